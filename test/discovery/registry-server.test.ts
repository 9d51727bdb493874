import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttp, request as requestHttp, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { registryServer } from '@inmesh/discovery/registry-server';
import { createDevCa } from '@inmesh/identity/dev';
import { type RegistryServer, type RegistryServerOptions, startRegistry } from '@inmesh/server';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { type Child, child } from '../support/process.ts';
import { say, upstream } from '../support/upstream.ts';

/** Frequent, so that silence is noticed soon. */
const HEARTBEAT_MS = 200;
const NO_SERVICES = 'apiVersion: inmesh.dev/v1\nkind: MeshConfig\nmetadata: { name: mesh }\n';
const RETRIES = `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: default }
spec:
  hosts: [reviews.default.svc.cluster.local]
  http:
  - retries: { attempts: 3, retryOn: 'connect-failure,reset,unavailable' }
    route: [{ destination: { host: reviews.default.svc.cluster.local } }]
`;

let folder: string;
let stack: AsyncDisposableStack;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-registry-'));
  stack = new AsyncDisposableStack();
});
afterEach(async () => {
  await stack.disposeAsync();
  rmSync(folder, { recursive: true, force: true });
});

interface Running {
  readonly url: string;
  readonly port: number;
  child: Child;
  /** Starts again on the same port, with what it kept unless told otherwise. */
  restart(data?: string): Promise<void>;
}

async function registry(): Promise<Running> {
  const start = (port: number, data: string): Promise<Child> =>
    child('discovery/registry.child.ts', { port, data, heartbeatMs: HEARTBEAT_MS });
  const data = join(folder, 'data');
  const first = await start(0, data);
  const port = first.ready as number;
  const running: Running = {
    url: `http://127.0.0.1:${port}`,
    port,
    child: first,
    restart: async (given = data) => {
      running.child = await start(port, given);
    },
  };
  stack.defer(() => running.child.end());
  return running;
}

async function machine(name: string, url: string, leaseSeconds = 3): Promise<Child> {
  return stack.use(await child('discovery/machine.child.ts', { name, url, leaseSeconds }));
}

async function caller(
  url: string,
  policy = NO_SERVICES + RETRIES,
  options: Parameters<typeof registryServer>[0] = { url },
): Promise<TestMesh> {
  return stack.use(
    await meshOf(policy, {
      registries: [registryServer({ patienceMs: 1000, settleMs: 4000, keepMs: 2000, longestWaitMs: 2000, ...options })],
    }),
  );
}

/** Calls without a pause until stopped. Tells how many there were, whom they reached, and what failed. */
function load(mesh: TestMesh) {
  let running = true;
  const reached = new Map<string, number>();
  const failed: string[] = [];
  const one = async (): Promise<void> => {
    while (running) {
      const response = await mesh.request('http://reviews/');
      const text = response.text();
      if (response.status === 200) reached.set(text, (reached.get(text) ?? 0) + 1);
      else failed.push(`${response.status} ${text}`);
      await pause(2);
    }
  };
  const callers = Promise.all([one(), one(), one(), one()]);
  return {
    reached,
    failed,
    /** Whom calls reach from now on. */
    now: async (ms = 300): Promise<string[]> => {
      reached.clear();
      await pause(ms);
      return [...reached.keys()].sort();
    },
    stop: async (): Promise<void> => {
      running = false;
      await callers;
    },
  };
}

const trouble = (mesh: TestMesh): string => mesh.status().registries[0]!.trouble;
const reviews = async (url: string): Promise<number> => {
  const response = await fetch(`${url}/v1/services/reviews.default.svc.cluster.local`);
  return response.ok ? ((await response.json()) as { members: unknown[] }).members.length : 0;
};

describe('machines that register themselves', () => {
  it('are called by whoever follows the registry, come, leave and die, and no call is lost', { timeout: 60_000 }, async () => {
    const { url } = await registry();
    const a = await machine('a', url);
    await expect.poll(() => reviews(url)).toBe(1);
    const mesh = await caller(url);
    const calls = load(mesh);
    expect(await calls.now()).toEqual(['a']);
    const b = await machine('b', url);
    await expect.poll(() => calls.now(100), { timeout: 10_000 }).toEqual(['a', 'b']);
    // Leaves in order: it is taken back before its server closes.
    await a.end('SIGTERM');
    expect(await reviews(url)).toBe(1);
    expect(await calls.now()).toEqual(['b']);
    // Dies: nobody takes it back.
    const c = await machine('c', url, 2);
    await expect.poll(() => calls.now(100), { timeout: 10_000 }).toEqual(['b', 'c']);
    await c.end('SIGKILL');
    await expect.poll(() => reviews(url), { timeout: 10_000 }).toBe(1);
    expect(await calls.now()).toEqual(['b']);
    await calls.stop();
    expect(calls.failed).toEqual([]);
    const healthy = mesh.status().snapshot.clusters[0]!.endpoints.filter(({ health }) => health === 'healthy');
    expect(healthy.map(({ endpoint }) => endpoint.address)).toEqual([`127.0.0.1:${b.ready as number}`]);
  });

  it('that freeze are forgotten when their lease ends, and are back when they thaw', { timeout: 60_000 }, async () => {
    const { url } = await registry();
    const a = await machine('a', url, 2);
    await machine('b', url, 2);
    await expect.poll(() => reviews(url)).toBe(2);
    a.signal('SIGSTOP');
    await expect.poll(() => reviews(url), { timeout: 10_000 }).toBe(1);
    a.signal('SIGCONT');
    await expect.poll(() => reviews(url), { timeout: 10_000 }).toBe(2);
  });
});

describe('calls go on', () => {
  let running: Running;
  let mesh: TestMesh;
  let calls: ReturnType<typeof load>;
  beforeEach(async () => {
    running = await registry();
    await Promise.all([machine('a', running.url), machine('b', running.url)]);
    await expect.poll(() => reviews(running.url)).toBe(2);
    mesh = await caller(running.url);
    calls = load(mesh);
    await expect.poll(() => calls.now(100)).toEqual(['a', 'b']);
  });
  const allIsWell = async (): Promise<void> => {
    await calls.stop();
    expect(calls.failed).toEqual([]);
    expect(trouble(mesh)).toBe('');
  };

  it('while the registry is dead, and after it came back with what it kept', { timeout: 60_000 }, async () => {
    await running.child.end('SIGKILL');
    await expect.poll(() => trouble(mesh), { timeout: 10_000 }).toMatch(/cannot be reached: .*ECONNREFUSED/);
    // Longer than a lease: to the dead nothing is known of who renews.
    await pause(4000);
    expect(await calls.now()).toEqual(['a', 'b']);
    await running.restart();
    expect(await reviews(running.url)).toBe(2);
    await expect.poll(() => trouble(mesh), { timeout: 20_000 }).toBe('');
    await machine('c', running.url);
    await expect.poll(() => calls.now(100), { timeout: 10_000 }).toEqual(['a', 'b', 'c']);
    await allIsWell();
  });

  it('while the registry restarts in order', { timeout: 60_000 }, async () => {
    for (let round = 0; round < 3; round += 1) {
      await running.child.end('SIGTERM');
      await running.restart();
      await pause(500);
    }
    await expect.poll(() => trouble(mesh), { timeout: 20_000 }).toBe('');
    expect(await calls.now()).toEqual(['a', 'b']);
    await allIsWell();
  });

  it('when the registry has lost all it knew: machines register again', { timeout: 60_000 }, async () => {
    await running.child.end('SIGKILL');
    await running.restart(join(folder, 'empty'));
    const seen = new Set<number>();
    for (let look = 0; look < 60; look += 1) {
      seen.add(mesh.status().snapshot.clusters[0]!.endpoints.filter(({ health }) => health === 'healthy').length);
      await pause(100);
    }
    expect([...seen]).toEqual([2]);
    expect(await reviews(running.url)).toBe(2);
    expect(await calls.now()).toEqual(['a', 'b']);
    await expect.poll(() => trouble(mesh), { timeout: 20_000 }).toBe('');
    await allIsWell();
  });

  it('while the registry is frozen', { timeout: 60_000 }, async () => {
    running.child.signal('SIGSTOP');
    await expect.poll(() => trouble(mesh), { timeout: 10_000 }).toMatch(/silent for 500 ms|no word within/);
    await pause(3500);
    expect(await calls.now()).toEqual(['a', 'b']);
    running.child.signal('SIGCONT');
    await expect.poll(() => trouble(mesh), { timeout: 20_000 }).toBe('');
    await expect.poll(() => reviews(running.url), { timeout: 10_000 }).toBe(2);
    await pause(2500);
    expect(await calls.now()).toEqual(['a', 'b']);
    await allIsWell();
  });

  it('when something else answers in the place of the registry', { timeout: 90_000 }, async () => {
    await running.child.end('SIGKILL');
    const stream = { 'content-type': 'text/event-stream' };
    const hello = (epoch: string) => `event: hello\ndata: {"epoch":"${epoch}","index":0,"heartbeatMs":200}\n\n`;
    const wrongs: readonly (readonly [RegExp, RequestListener])[] = [
      [/answered with text\/html/, (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Sign in</h1>')],
      [/answered 404/, (_, response) => response.writeHead(404).end()],
      [/answered 503: busy/, (_, response) => response.writeHead(503).end('{"error":"busy"}')],
      [/is not understood/, (_, response) => response.writeHead(200, stream).end('event: hello\ndata: {"epoch"\n\n')],
      [/says something before it says who it is/, (_, response) => response.writeHead(200, stream).end('event: current\ndata: {}\n\n')],
      [/is not understood/, (_, response) => response.writeHead(200, stream).end(`${hello('x')}event: service\ndata: {"service":"reviews.default.svc.cluster.local","members":[{"id":"a","namespace":"n","workload":"w","member":{"address":7}}]}\n\n`)],
      [/cut the stream off/, (_, response) => void response.writeHead(200, stream).write(hello('y'), () => response.destroy())],
      [/cannot be reached/, (request) => void request.socket.end('\u0000\u0001\u0002 nonsense\r\n\r\n')],
    ]; // prettier-ignore
    for (const [expected, answer] of wrongs) {
      const impostor = createHttp(answer);
      await new Promise<void>((resolve) => impostor.listen(running.port, '127.0.0.1', resolve));
      await expect.poll(() => trouble(mesh), { timeout: 40_000 }).toMatch(expected);
      const closed = new Promise((resolve) => impostor.close(resolve));
      impostor.closeAllConnections();
      await closed;
    }
    expect(await calls.now()).toEqual(['a', 'b']);
    await calls.stop();
    expect(calls.failed).toEqual([]);
  });
});

/** In this process, where nobody has to die. */
async function open(options: RegistryServerOptions = {}): Promise<RegistryServer> {
  const server = await startRegistry({ port: 0, heartbeatMs: HEARTBEAT_MS, ...options });
  stack.defer(() => server.close());
  return server;
}
const put = async (url: string, id: string, body: object, headers: Record<string, string> = {}): Promise<number> =>
  (await fetch(`${url}/v1/registrations/${id}`, { method: 'PUT', body: JSON.stringify(body), headers })).status;

describe('what is registered', () => {
  it('adds members to a service the policy declares, whose words about it stand', async () => {
    const { url } = await open();
    const [static_, registered] = [await upstream(say('static')), await upstream(say('registered'))];
    stack.use(static_);
    stack.use(registered);
    await put(url, 'r', {
      service: 'shop.example.com',
      address: '127.0.0.1',
      ports: { main: registered.port },
      servicePorts: { main: 81 },
      serviceAccount: 'vm',
    });
    const entry = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: shop, namespace: default }
spec:
  hosts: [shop.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: main, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { main: ${static_.port} } }]
`;
    const mesh = await caller(url, entry);
    const heard = new Set<string>();
    for (let call = 0; call < 20; call += 1) heard.add((await mesh.request('http://shop.example.com/')).text());
    expect(heard).toEqual(new Set(['static', 'registered']));
    expect(mesh.explain({ method: 'GET', url: 'http://shop.example.com:81/' }).service).toBeNull();
    expect(mesh.status().problems).toEqual([]);
  });

  it('can be called as soon as it is, without a policy that knows it; short names are those of the namespace', async () => {
    const { url } = await open();
    const mesh = await caller(url);
    const server = stack.use(await upstream(say('hello')));
    const called = async (): Promise<string> => (await mesh.request('http://greeter/').catch(() => undefined))?.text() ?? 'nobody';
    await put(url, 'g', { service: 'greeter', address: '127.0.0.1', ports: { http: server.port }, servicePorts: { http: 80 } });
    await expect.poll(called, { timeout: 5000 }).toBe('hello');
    expect((await mesh.request('http://greeter.default/')).text()).toBe('hello');
  });

  it('is followed over one connection, however many services are called', async () => {
    const { url } = await open();
    const gate = await proxy(new URL(url).port);
    const server = stack.use(await upstream(say('hello')));
    for (let index = 0; index < 30; index += 1)
      await put(url, `s${index}`, { service: `s${index}`, address: '127.0.0.1', ports: { http: server.port }, servicePorts: { http: 80 } });
    const mesh = await caller(gate.url, NO_SERVICES);
    await Promise.all(Array.from({ length: 30 }, async (_, index) => expect((await mesh.request(`http://s${index}/`)).status).toBe(200)));
    await expect.poll(() => gate.open).toBe(1);
    expect(gate.attempts.length).toBeLessThan(6);
    await mesh.close();
    await expect.poll(() => gate.open).toBe(0);
  });

  it('is polled for where something on the way holds streams back', { timeout: 30_000 }, async () => {
    const { url } = await open();
    const server = stack.use(await upstream(say('hello')));
    const register = (port: number): Promise<number> =>
      put(url, 'g', { service: 'greeter', address: '127.0.0.1', ports: { http: port }, servicePorts: { http: 80 } });
    await register(server.port);
    let unchanged = 0;
    // Answers at once, and passes on nothing until all is there, which with a stream is never.
    const holding = createHttp((request, response) => {
      const onward = requestHttp(`${url}${request.url}`, { headers: request.headers }, (answer) => {
        if (answer.statusCode === 304) unchanged += 1;
        response.writeHead(answer.statusCode!, answer.headers).flushHeaders();
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', () => {});
        answer.on('end', () => response.end(Buffer.concat(chunks)));
      });
      onward.on('error', () => {});
      response.on('close', () => onward.destroy());
      onward.end();
    });
    await listen(holding);
    const mesh = await caller(addressOf(holding), NO_SERVICES, { url: addressOf(holding), patienceMs: 300, pollMs: 100 });
    await expect
      .poll(async () => (await mesh.request('http://greeter/').catch(() => undefined))?.text(), { timeout: 15_000 })
      .toBe('hello');
    expect(trouble(mesh)).toBe('');
    await expect.poll(() => unchanged).toBeGreaterThan(2);
    const other = stack.use(await upstream(say('other')));
    await register(other.port);
    await expect.poll(async () => (await mesh.request('http://greeter/')).text(), { timeout: 5000 }).toBe('other');
  });

  it('is shown to whoever has the token, over TLS', async () => {
    const ca = createDevCa();
    const { certificate, privateKey } = ca.issue({ namespace: 'default', serviceAccount: 'registry', hosts: ['127.0.0.1'] });
    const server = await open({ tokens: ['old', 'secret'], tls: { cert: certificate, key: privateKey } });
    /** Trouble after the first word. */
    const follow = async (token: string | undefined, roots = ca.roots): Promise<string> => {
      const followed = registryServer({ url: server.url, ca: roots, ...(token === undefined ? {} : { token }) }, {});
      const watch = await new Promise<{ close(): void }>((resolve) => {
        const watching = followed.services!.watch(() => resolve(watching));
      });
      const trouble = followed.trouble();
      watch.close();
      followed.close!();
      return trouble;
    };
    expect(await follow('secret')).toBe('');
    expect(await follow('old')).toBe('');
    expect(await follow('wrong')).toMatch(/answered 401: a token is needed/);
    expect(await follow(undefined)).toMatch(/answered 401: a token is needed/);
    expect(await follow('secret', createDevCa().roots)).toMatch(/cannot be reached: .*(?:certificate|signature)/);
  });
});

describe('a process that registers itself', () => {
  it('is known from when it listens, again when it was forgotten, and no more once it has left', { timeout: 30_000 }, async () => {
    const server = await open();
    const program = stack.use(await upstream(say('hello')));
    const { port } = program;
    await program.kill();
    const register = { service: 'reviews', ports: { http: port }, leaseSeconds: 1.5, labels: { version: 'v1' }, weight: 3 };
    const own = registryServer({ url: server.url, register }, {});
    const me = {
      name: 'reviews-v1',
      namespace: 'shop',
      labels: { app: 'reviews' },
      locality: { region: 'eu', zone: 'a', subzone: '' },
      network: 'n',
      cluster: '',
      serviceAccount: 'vm',
      node: '',
    };
    own.join!(me);
    await pause(600);
    expect(server.registrations).toBe(0);
    await program.revive();
    await expect.poll(() => server.registrations, { timeout: 5000 }).toBe(1);
    const listed = (await (await fetch(`${server.url}/v1/services`)).json()) as { services: { host: string; members: { id: string }[] }[] };
    expect(listed.services).toMatchObject([
      {
        host: 'reviews.shop.svc.cluster.local',
        members: [
          {
            workload: 'reviews-v1',
            namespace: 'shop',
            member: {
              address: '127.0.0.1',
              ports: { http: port },
              labels: { app: 'reviews', version: 'v1' },
              locality: 'eu/a',
              network: 'n',
              serviceAccount: 'vm',
              weight: 3,
            },
          },
        ],
      },
    ]);
    const { id } = listed.services[0]!.members[0]!;
    expect((await fetch(`${server.url}/v1/registrations/${id}`, { method: 'DELETE' })).status).toBe(204);
    await expect.poll(() => server.registrations, { timeout: 5000 }).toBe(1);
    // Longer than a lease: it is renewed.
    await pause(2000);
    expect([server.registrations, own.trouble()]).toEqual([1, '']);
    await own.leave!();
    expect(server.registrations).toBe(0);
    own.close!();
    await pause(1000);
    expect(server.registrations).toBe(0);
  });

  it('says what is wrong when it cannot, and leaves all the same', async () => {
    const program = stack.use(await upstream(say('hello')));
    const own = registryServer({ url: 'http://127.0.0.1:1', register: { service: 'reviews', ports: { http: program.port } } }, {});
    own.join!({
      name: 'a',
      namespace: 'default',
      labels: {},
      locality: { region: '', zone: '', subzone: '' },
      network: '',
      cluster: '',
      serviceAccount: '',
      node: '',
    });
    await expect.poll(() => own.trouble()).toMatch(/cannot register "reviews": .*ECONNREFUSED/);
    await own.leave!();
    own.close!();
  });

  it('is told by its environment', () => {
    const open = (env: Record<string, string>) => registryServer({ url: 'http://127.0.0.1:1' }, env);
    expect(open({}).join).toBeUndefined();
    expect(open({ INMESH_REGISTER: 'reviews:http=9080,admin=9090', INMESH_ADDRESS: '10.0.0.1' }).join).toBeDefined();
    for (const wrong of ['reviews', 'reviews:9080', 'reviews:http=x', ':http=1', 'reviews:http=0'])
      expect(() => open({ INMESH_REGISTER: wrong }), wrong).toThrow(/INMESH_REGISTER|register/);
    expect(() => open({ INMESH_REGISTRY_CA: '/nowhere' })).toThrow(/INMESH_REGISTRY_CA/);
    for (const url of ['registry:8500', 'ftp://registry', 'http://me:pass@registry'])
      expect(() => registryServer({ url }, {}), url).toThrow(/registry/);
  });
});

describe('two hundred processes', () => {
  it(
    'that lose their registry at once come back one after the other, and ask less and less while it is away',
    { timeout: 90_000 },
    async () => {
      const server = await open();
      const gate = await proxy(new URL(server.url).port);
      const clients = Array.from({ length: 200 }, () => {
        const followed = registryServer({ url: gate.url }, {});
        const watch = followed.services!.watch(() => {});
        return { followed, close: () => (watch.close(), followed.close!()) };
      });
      stack.defer(() => clients.forEach(({ close }) => close()));
      await expect.poll(() => gate.open, { timeout: 20_000 }).toBe(200);
      await pause(5500);
      const most = (from: number): number => {
        const windows = new Map<number, number>();
        for (const at of gate.attempts.filter((moment) => moment >= from))
          windows.set(Math.floor(at / 100), (windows.get(Math.floor(at / 100)) ?? 0) + 1);
        return Math.max(...windows.values());
      };
      const since = (moment: number): number => gate.attempts.filter((at) => at >= moment).length;
      // All connections end in one moment, and the registry is there again at once.
      let began = performance.now();
      gate.cut();
      await expect.poll(() => since(began), { timeout: 20_000 }).toBeGreaterThanOrEqual(200);
      await expect.poll(() => gate.open, { timeout: 20_000 }).toBe(200);
      expect(most(began)).toBeLessThan(60);
      // Away for six seconds.
      began = performance.now();
      gate.shut(true);
      await pause(6000);
      expect(since(began) / 200).toBeGreaterThan(1.5);
      expect(since(began) / 200).toBeLessThan(6);
      expect(most(began)).toBeLessThan(60);
      gate.shut(false);
      await expect.poll(() => gate.open, { timeout: 40_000 }).toBe(200);
      await expect.poll(() => clients.filter(({ followed }) => followed.trouble() !== '').length, { timeout: 10_000 }).toBe(0);
    },
  );
});

async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
}
const addressOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** Passes connections on and counts them; may cut them, or be shut. */
async function proxy(port: string) {
  const attempts: number[] = [];
  const sockets = new Set<Socket>();
  let closed = false;
  const server = createTcp((socket) => {
    attempts.push(performance.now());
    if (closed) return void socket.resetAndDestroy();
    const onward = connect(Number(port), '127.0.0.1');
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => (sockets.delete(socket), onward.destroy()));
    onward.on('error', () => {}).on('close', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => sockets.forEach((socket) => void socket.resetAndDestroy());
  stack.defer(() => {
    cut();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    attempts,
    get open() {
      return sockets.size;
    },
    cut,
    shut: (now: boolean) => {
      closed = now;
      if (now) cut();
    },
  };
}
