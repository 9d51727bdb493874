import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { denyPaths, formsOf, get, listening, statusOf, talk } from '../support/raw.ts';

const left: (() => unknown)[] = [];
afterEach(async () => {
  for (const leave of left.splice(0).reverse()) await leave();
});

async function serve(
  handler: RequestListener,
  yaml = denyPaths('/secret'),
): Promise<{ readonly mesh: TestMesh; readonly port: number; readonly server: Server }> {
  const mesh = await meshOf(yaml, { identity: false });
  const { port, close, server } = await mesh.listen(handler, { port: 0, host: '127.0.0.1' });
  left.push(() => mesh.close({ graceMs: 100 }), () => close({ graceMs: 100 })); // prettier-ignore
  return { mesh, port, server };
}

const ok: RequestListener = (_, response) => response.end('program');
const answers = (heard: string): string[] => [...heard.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status!);

describe('a refusal', () => {
  it('leaves the connection to the next request', async () => {
    const { port } = await serve(ok);
    expect(answers(await talk(port, get('/secret') + get('/') + get('/secret') + get('/'), 200))).toEqual(['403', '200', '403', '200']);
  });

  it('throws a short body away, and closes at a long one or one without a length', async () => {
    const { port } = await serve(ok);
    const post = (lines: string[], body: string) => get('/secret', lines, 'POST /secret HTTP/1.1') + body;
    expect(answers(await talk(port, post(['content-length: 5'], 'hello') + get('/'), 200))).toEqual(['403', '200']);
    expect(answers(await talk(port, post(['content-length: 100000'], 'x'.repeat(100_000)) + get('/'), 300))).toEqual(['403']);
    expect(answers(await talk(port, `${post(['transfer-encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n')}${get('/')}`, 300))).toEqual([
      '403',
    ]);
  });

  it('of an upgrade ends its connection, though the caller keeps his open, and nothing he sent reaches the program', async () => {
    const { mesh, port, server } = await serve(ok);
    const reached: string[] = [];
    server.on('upgrade', (request) => reached.push(request.url!));
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    socket.write(get('/secret', ['Upgrade: echo', 'Connection: Upgrade']) + 'x'.repeat(100_000));
    let heard = '';
    socket.on('data', (chunk) => (heard += chunk.toString()));
    await sleep(1300);
    expect(statusOf(heard)).toBe(403);
    expect(await new Promise((resolve) => server.getConnections((_, count) => resolve(count)))).toBe(0);
    expect(mesh.status().callsInFlight).toBe(0);
    expect(reached).toEqual([]);
    socket.destroy();
  });

  it('is counted with its status', async () => {
    const { mesh, port } = await serve(ok);
    await talk(port, get('/secret'), 100);
    expect(mesh.metrics()).toMatch(/istio_requests_total\{[^}]*reporter="destination"[^}]*response_code="403"/);
  });
});

describe('a deadline', () => {
  it('that has passed keeps the program from beginning', async () => {
    let begun = 0;
    const { port } = await serve((_, response) => {
      begun += 1;
      response.end();
    });
    expect(statusOf(await talk(port, get('/', ['x-inmesh-deadline: 0']), 100))).toBe(504);
    expect(begun).toBe(0);
  });

  it('ends the call, tells the program by its signal, and what the program says later harms nobody', async () => {
    const heard: string[] = [];
    const { mesh, port } = await serve((request: IncomingMessage, response) => {
      request.mesh!.signal.addEventListener('abort', () => heard.push('aborted'));
      void sleep(150).then(() => {
        response.setHeader('late', '1');
        response.write('late');
        response.end('later');
        heard.push('answered');
      });
    });
    expect(await talk(port, get('/', ['x-inmesh-deadline: 40']), 1000)).toBe('');
    await sleep(200);
    expect(heard).toEqual(['aborted', 'answered']);
    expect(mesh.status().callsInFlight).toBe(0);
    expect(mesh.metrics()).toMatch(/istio_requests_total\{[^}]*response_flags="UT"/);
  });
});

it('a caller who leaves aborts the signal of his call', async () => {
  let aborted = false;
  const { mesh, port } = await serve((request: IncomingMessage) => {
    request.mesh!.signal.addEventListener('abort', () => (aborted = true));
  });
  await talk(port, get('/'), 50);
  await expect.poll(() => aborted).toBe(true);
  expect(mesh.status().callsInFlight).toBe(0);
});

describe('what the program is given', () => {
  it('is the request less what nobody outside may say, in every form, and everything else as it came', async () => {
    let forms: ReturnType<typeof formsOf> | undefined;
    const { port } = await serve((request, response) => {
      forms = formsOf(request);
      response.end();
    });
    await talk(
      port,
      get('/', [
        'X-Envoy-Peer: a',
        'X-Twice: 1',
        'x_user: root',
        'x-twice: 2',
        'X-Inmesh-Deadline: 5000',
        'x-inmesh-flags: UH',
        'X-Request-Id: r',
      ]),
      100,
    );
    expect(forms!.headers).toEqual({ host: 'shop', 'x-twice': '1, 2', 'x-inmesh-deadline': '5000', 'x-request-id': 'r' });
    expect({ ...forms!.distinct }).toEqual({
      host: ['shop'],
      'x-twice': ['1', '2'],
      'x-inmesh-deadline': ['5000'],
      'x-request-id': ['r'],
    });
    expect(forms!.raw).toEqual(['Host', 'shop', 'X-Twice', '1', 'x-twice', '2', 'X-Inmesh-Deadline', '5000', 'X-Request-Id', 'r']);
  });

  it('has the client behind as many proxies as are trusted, and the peer where they name none', async () => {
    let client: string | undefined;
    const { mesh, port } = await serve((request, response) => {
      client = request.mesh!.clientAddress;
      response.end();
    });
    const asked = async (...lines: string[]) => {
      await talk(port, get('/', ['Connection: close', ...lines]), 300);
      return client;
    };
    expect(await asked('x-forwarded-for: 10.4.5.6')).toBe('127.0.0.1');
    mesh.set(trusted(1));
    expect(await asked('x-forwarded-for: 10.4.5.6')).toBe('10.4.5.6');
    expect(await asked('x-forwarded-for: 6.6.6.6, 10.4.5.6')).toBe('10.4.5.6');
    expect(await asked('x-forwarded-for: 6.6.6.6', 'X-Forwarded-For: 10.4.5.6')).toBe('10.4.5.6');
    expect(await asked('x-forwarded-for: 6.6.6.6, unknown')).toBe('127.0.0.1');
    expect(await asked()).toBe('127.0.0.1');
    mesh.set(trusted(2));
    expect(await asked('x-forwarded-for: 7.7.7.7, 6.6.6.6, 10.4.5.6')).toBe('6.6.6.6');
    expect(await asked('x-forwarded-for: 10.4.5.6')).toBe('127.0.0.1');
  });
});

const trusted = (hops: number): string => `---
apiVersion: inmesh.dev/v1
kind: MeshConfig
metadata: { name: mesh }
spec: { defaultConfig: { gatewayTopology: { numTrustedProxies: ${hops} } } }
`;

describe('attach', () => {
  it('is there once, refuses what it cannot guard, and can be taken away', async () => {
    const mesh = await meshOf(denyPaths('/secret'), { identity: false });
    const other = await meshOf('', { identity: false });
    const server = createServer(ok);
    left.push(() => server.close(), () => mesh.close(), () => other.close()); // prettier-ignore
    mesh.attach(server);
    const { detach } = mesh.attach(server);
    expect(() => other.attach(server)).toThrow(/another mesh of this process is attached/);
    expect(() => mesh.attach({} as typeof server)).toThrow(/attach needs a server/);
    expect(() => mesh.attach(createServer({ insecureHTTPParser: true }))).toThrow(/insecureHTTPParser/);
    const port = await listening(server);
    expect(statusOf(await talk(port, get('/secret'), 100))).toBe(403);
    detach();
    expect(statusOf(await talk(port, get('/secret'), 100))).toBe(200);
    other.attach(server);
    expect(statusOf(await talk(port, get('/secret'), 100))).toBe(200);
  });

  it('guards a server that listens and has callers already', async () => {
    const mesh = await meshOf(denyPaths('/secret'), { identity: false });
    const server = createServer(ok);
    left.push(() => server.close(), () => mesh.close()); // prettier-ignore
    const port = await listening(server);
    const socket = connect(port, '127.0.0.1');
    const ask = (path: string) =>
      new Promise<number>((resolve) => {
        socket.once('data', (chunk) => resolve(statusOf(chunk.toString())));
        socket.write(get(path));
      });
    expect(await ask('/secret')).toBe(200);
    mesh.attach(server);
    expect(await ask('/secret')).toBe(403);
    socket.destroy();
  });
});
