import { createDevCa, devCertificates } from '@inmesh/identity/dev';
import type { Listening } from 'inmesh';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { get, listening, talk } from '../support/raw.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const services = (ports: readonly number[]) => `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: vault, namespace: default }
spec:
  hosts: [vault.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [${ports.map((port) => `{ address: 127.0.0.1, ports: { http: ${port} }, serviceAccount: vault }`).join(', ')}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: vault, namespace: default }
spec:
  hosts: [vault.example.com]
  http: [{ retries: { attempts: 0 }, route: [{ destination: { host: vault.example.com } }] }]
`;

/** Asks at a steady rate until it is stopped, and tells what became of every call. */
function asking(mesh: TestMesh) {
  const statuses: number[] = [];
  const failures: string[] = [];
  const under = new Set<Promise<void>>();
  const ask = async (): Promise<void> => {
    const response = await mesh.fetch('http://vault.example.com/');
    const text = await response.text();
    if (response.status !== 200) failures.push(text.trim());
    statuses.push(response.status);
  };
  const timer = setInterval(() => {
    const call = ask().catch(() => void failures.push('rejected'));
    under.add(call);
    void call.finally(() => under.delete(call));
  }, 5);
  return {
    stop: async () => {
      clearInterval(timer);
      await Promise.all(under);
      return { asked: statuses.length, failures };
    },
  };
}

describe('without a lost call, and without a retry of the caller', () => {
  it('each of three backends restarts in turn', async () => {
    const ca = createDevCa();
    const identity = (serviceAccount: string) => devCertificates(ca, { namespace: 'default', serviceAccount });
    const server = await meshOf(services([]), { identity: identity('vault'), workload: { name: 'vault' } });
    const client = await meshOf(services([]), { identity: identity('client') });
    left.push(server, client);
    const start = () => server.listen((_, response) => void sleep(10).then(() => response.end('ok')), { port: 0, host: '127.0.0.1' });
    const backends: Listening[] = [await start(), await start(), await start()];
    const told = () => client.set(services(backends.map(({ port }) => port)));
    told();
    const traffic = asking(client);
    await sleep(200);
    for (const index of [0, 1, 2]) {
      const leaving = backends[index]!;
      backends[index] = await start();
      told();
      // Callers learn of it while it still serves.
      await leaving.close({ delayMs: 150, graceMs: 5000 });
      await sleep(150);
    }
    const { asked, failures } = await traffic.stop();
    left.push(...backends);
    expect(asked).toBeGreaterThan(100);
    expect(failures).toEqual([]);
  });

  it('certificates rotate every second and a half, and the root is exchanged meanwhile', async () => {
    const ca = createDevCa();
    const identity = (serviceAccount: string) => devCertificates(ca, { namespace: 'default', serviceAccount, ttlMs: 3000 });
    const server = await meshOf(services([]), { identity: identity('vault'), workload: { name: 'vault' } });
    const client = await meshOf(services([]), { identity: identity('client') });
    left.push(server, client);
    const backend = await server.listen((_, response) => response.end('ok'), { port: 0, host: '127.0.0.1' });
    left.push(backend);
    client.set(services([backend.port]));
    const traffic = asking(client);
    const serials = new Set<number>();
    for (let step = 0; step < 26; step += 1) {
      await sleep(250);
      serials.add(client.status().identity!.expiresAt);
      // Announced, signing, done: everyone renews in between.
      if (step === 6 || step === 13 || step === 20) ca.rotateRoot();
    }
    const { asked, failures } = await traffic.stop();
    expect(serials.size).toBeGreaterThan(3);
    expect(asked).toBeGreaterThan(100);
    expect(failures).toEqual([]);
  });

  it('what outlasts its grace is cut', async () => {
    const server = await meshOf('', { identity: false });
    left.push(server);
    const backend = await server.listen(() => {}, { port: 0, host: '127.0.0.1' });
    const cut = fetch(`http://127.0.0.1:${backend.port}/`).then(() => 'answered', () => 'cut'); // prettier-ignore
    await sleep(50);
    const began = performance.now();
    await backend.close({ graceMs: 200 });
    expect(performance.now() - began).toBeLessThan(1500);
    expect(await cut).toBe('cut');
  });

  it('of an upgrade no less', async () => {
    const server = await meshOf('', { identity: false });
    left.push(server);
    const backend = await server.listen(() => {}, { port: 0, host: '127.0.0.1' });
    backend.server.on('upgrade', (_, socket) =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    );
    const heard = talk(backend.port, get('/', ['Upgrade: x', 'Connection: upgrade']), 5000);
    await sleep(100);
    const began = performance.now();
    await backend.close({ graceMs: 200 });
    expect(await heard).toMatch(/^HTTP\/1.1 101/);
    expect(performance.now() - began).toBeLessThan(1500);
  });

  it('not even what said nothing', async () => {
    const server = await meshOf('', { identity: devCertificates(createDevCa(), { namespace: 'default', serviceAccount: 'a' }) });
    left.push(server);
    const backend = await server.listen(() => {}, { port: 0, host: '127.0.0.1' });
    const silent = talk(backend.port, '', 10_000);
    await sleep(50);
    await backend.close();
    expect(await silent).toBe('');
  });
});

describe('while it leaves', () => {
  it('a server still takes what comes, says that it was the last, and the process is not ready', async () => {
    const server = await meshOf('', { identity: false, admin: 0 });
    left.push(server);
    const { port, close } = await server.listen((request, response) => {
      if (request.url === '/begun') response.write('begun ');
      void sleep(100).then(() => response.end('ok'));
    }, { port: 0, host: '127.0.0.1' }); // prettier-ignore
    const ready = async () => (await fetch(`${server.adminUrl}/ready`)).status;
    expect(await ready()).toBe(200);
    // Three connections: idle, in the middle of an answer that has begun, and of one that has not.
    const idle = open(port);
    await idle.ask('/');
    const [begun, waiting] = [open(port), open(port)];
    const answers = [begun.ask('/begun'), waiting.ask('/')];
    await sleep(30);
    const closed = close({ delayMs: 300 });
    expect(await ready()).toBe(503);
    expect(await answers[0]).toMatch(/keep-alive/i);
    expect(await answers[1]).toMatch(/connection: close/i);
    expect(await begun.ask('/')).toMatch(/200 OK.*connection: close/is);
    expect(await idle.ask('/')).toMatch(/200 OK.*connection: close/is);
    await closed;
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  });

  it('a server of HTTP/2 takes streams until its delay is over, and finishes those it has taken', async () => {
    const mesh = await meshOf('', { identity: false });
    left.push(mesh);
    const server = createHttp2Server((_, response) => void sleep(100).then(() => response.end('ok')));
    const { drain } = mesh.attach(server);
    const port = await listening(server);
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const ask = () =>
      new Promise<number>((resolve) => {
        const stream = session.request({ ':path': '/' });
        stream.on('response', (headers) => resolve(headers[':status']!));
        stream.on('error', () => resolve(0));
        stream.resume();
      });
    const before = ask();
    const goaway = new Promise((resolve) => session.once('goaway', resolve));
    const closed = drain({ delayMs: 200 });
    await sleep(150);
    const during = ask();
    await goaway;
    expect(await Promise.all([before, during])).toEqual([200, 200]);
    await closed;
    expect(session.closed).toBe(true);
  });

  it('a mesh that is closed lets the servers it opened finish first, calls to others included', async () => {
    const upstream = await meshOf('', { identity: false });
    const backend = await upstream.listen((_, response) => response.end('from the backend'), { port: 0, host: '127.0.0.1' });
    const front = await meshOf('', { identity: false });
    left.push(upstream);
    const { port } = await front.listen((_, response) => {
      void sleep(150)
        .then(() => front.fetch(`http://127.0.0.1:${backend.port}/`))
        .then((answer) => answer.text())
        .then((text) => response.end(text));
    }, { port: 0, host: '127.0.0.1' }); // prettier-ignore
    const answer = fetch(`http://127.0.0.1:${port}/`).then((response) => response.text());
    await sleep(50);
    await front.close();
    expect(await answer).toBe('from the backend');
  });
});

/** A connection that is kept, and its answers. */
function open(port: number) {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  const ask = (path: string) =>
    new Promise<string>((resolve) => {
      let heard = '';
      const more = (chunk: Buffer): void => {
        heard += chunk.toString();
        if (!/ok(?:\r\n0\r\n\r\n)?$/.test(heard)) return;
        socket.off('data', more);
        resolve(heard);
      };
      socket.on('data', more);
      socket.write(get(path));
    });
  return { ask };
}
