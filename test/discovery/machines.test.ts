import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startRegistry } from '@inmesh/server';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { child } from '../support/process.ts';
import { rawUpstream, say, upstream, type Upstream } from '../support/upstream.ts';

const HOST = 'shop.example.com';
let stack: AsyncDisposableStack;
beforeEach(() => (stack = new AsyncDisposableStack()));
afterEach(() => stack.disposeAsync());

/** A machine that says its name, and how it is where it is probed. */
interface Machine extends Upstream {
  well: boolean;
  probes: number;
}

async function machine(name: string): Promise<Machine> {
  const server = await rawUpstream((request, response) => {
    if (request.url !== '/healthz') return void response.end(name);
    made.probes += 1;
    response.writeHead(made.well ? 200 : 503).end();
  });
  const made: Machine = Object.assign(Object.create(server) as Upstream, { well: true, probes: 0 });
  return stack.use(made);
}

const resource = (kind: string, name: string, spec: object): string =>
  `---\n${JSON.stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name, namespace: 'default' }, spec })}\n`;

/** A service of machines, each a WorkloadEntry of a group that is probed every second. */
function serviceOf(machines: readonly { readonly port: number }[], host = HOST): string {
  const app = host.split('.', 1)[0]!;
  const ports = [{ number: 80, name: 'http', protocol: 'HTTP' }];
  return [
    resource('ServiceEntry', app, {
      hosts: [host],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports,
      workloadSelector: { labels: { app } },
    }),
    ...machines.map(({ port }, index) =>
      resource('WorkloadEntry', `${app}-${index}`, { address: '127.0.0.1', ports: { http: port }, labels: { app, port: `${port}` } }),
    ),
    // Each has a probe of its own port: on one address they are told apart by it.
    ...machines.map(({ port }, index) =>
      resource('WorkloadGroup', `${app}-${index}`, {
        template: { labels: { app, port: `${port}` } },
        probe: { periodSeconds: 1, failureThreshold: 2, successThreshold: 2, httpGet: { port, path: '/healthz' } },
      }),
    ),
  ].join('');
}

const reached = async (mesh: TestMesh, calls = 30): Promise<string[]> => {
  const names = new Set<string>();
  for (let call = 0; call < calls; call += 1) {
    const response = await mesh.request(`http://${HOST}/`);
    names.add(response.status === 200 ? response.text() : `failed ${response.status}`);
  }
  return [...names].sort();
};
const healthOf = (mesh: TestMesh): string[] =>
  mesh
    .status()
    .snapshot.clusters.find(({ name }) => name.includes(HOST))!
    .endpoints.map(({ health }) => health);

describe('machines that no platform watches', () => {
  it('get no calls while their probe fails, though they would answer, and get them again afterwards', { timeout: 60_000 }, async () => {
    const [a, b, c] = [await machine('a'), await machine('b'), await machine('c')];
    const mesh = stack.use(await meshOf(serviceOf([a, b, c])));
    expect(await reached(mesh)).toEqual(['a', 'b', 'c']);
    b.well = false;
    await expect.poll(() => healthOf(mesh), { timeout: 10_000 }).toEqual(['healthy', 'unhealthy', 'healthy']);
    expect(await reached(mesh)).toEqual(['a', 'c']);
    b.well = true;
    await expect.poll(() => healthOf(mesh), { timeout: 10_000 }).toEqual(['healthy', 'healthy', 'healthy']);
    expect(await reached(mesh)).toEqual(['a', 'b', 'c']);
  });

  it('that die are out before a call has to find out, and are back once they live', { timeout: 60_000 }, async () => {
    const [a, b, c] = [await machine('a'), await machine('b'), await machine('c')];
    const mesh = stack.use(await meshOf(serviceOf([a, b, c])));
    expect(await reached(mesh)).toEqual(['a', 'b', 'c']);
    await c.kill();
    await expect.poll(() => healthOf(mesh), { timeout: 10_000 }).toEqual(['healthy', 'healthy', 'unhealthy']);
    expect(await reached(mesh)).toEqual(['a', 'b']);
    // What was learned stays when the policy changes, and no call falls into the gap.
    mesh.set(
      serviceOf([a, b, c]) + resource('DestinationRule', 'shop', { host: HOST, trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } }),
    );
    expect(await reached(mesh, 60)).toEqual(['a', 'b']);
    await c.revive();
    await expect.poll(() => reached(mesh), { timeout: 10_000 }).toEqual(['a', 'b', 'c']);
  });

  it('that all fail are called all the same: Envoy’s panic threshold', { timeout: 60_000 }, async () => {
    const [a, b] = [await machine('a'), await machine('b')];
    const mesh = stack.use(await meshOf(serviceOf([a, b])));
    await reached(mesh, 1);
    a.well = b.well = false;
    await expect.poll(() => healthOf(mesh), { timeout: 10_000 }).toEqual(['unhealthy', 'unhealthy']);
    expect(await reached(mesh)).toEqual(['a', 'b']);
    expect(mesh.events.filter(({ type }) => type === 'cluster.panic')).toMatchObject([{ active: true }]);
  });

  it('are asked only by who calls them, and by nobody after the mesh was closed', { timeout: 60_000 }, async () => {
    const [a, idle] = [await machine('a'), await machine('idle')];
    const mesh = await meshOf(serviceOf([a]) + serviceOf([idle], 'idle.example.com'));
    await pause(1500);
    expect([a.probes, idle.probes]).toEqual([0, 0]);
    await reached(mesh, 1);
    await expect.poll(() => a.probes, { timeout: 10_000 }).toBeGreaterThan(1);
    await mesh.close();
    const before = a.probes;
    await pause(2500);
    expect([a.probes - before, idle.probes]).toEqual([0, 0]);
  });
});

describe('Unix sockets', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'inmesh-sockets-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  async function listening(path: string, name: string): Promise<Server> {
    const server = createServer((_, response) => response.end(name)).listen(path);
    await once(server, 'listening');
    stack.defer(() => {
      server.closeAllConnections();
      server.close();
    });
    return server;
  }
  const get = async (mesh: TestMesh): Promise<Set<string>> => {
    const heard = new Set<string>();
    for (let call = 0; call < 10; call += 1) {
      heard.add((await mesh.request(`http://${HOST}/`)).text());
      heard.add(await (await mesh.fetch(`http://${HOST}/`)).text());
    }
    return heard;
  };

  it('are endpoints like others: listed in a ServiceEntry, or registered', { timeout: 30_000 }, async () => {
    const [one, two] = [join(folder, 'one.sock'), join(folder, 'two.sock')];
    await listening(one, 'one');
    await listening(two, 'two');
    const registry = await startRegistry({ port: 0 });
    stack.defer(() => registry.close());
    const entry = resource('ServiceEntry', 'shop', {
      hosts: [HOST],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      endpoints: [{ address: `unix://${one}` }],
    });
    const alone = stack.use(await meshOf(entry));
    expect(await get(alone)).toEqual(new Set(['one']));
    const body = JSON.stringify({ service: HOST, address: `unix://${two}` });
    expect((await fetch(`${registry.url}/v1/registrations/two`, { method: 'PUT', body })).status).toBe(201);
    const both = stack.use(await meshOf(entry, { registries: [registry.url] }));
    await expect.poll(() => get(both)).toEqual(new Set(['one', 'two']));
  });
});

describe('a program that has nothing more to do', () => {
  it('ends, whatever it follows: health checks, files, a registry', { timeout: 30_000 }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'inmesh-quiet-'));
    const registry = await startRegistry({ port: 0 });
    const server = await upstream(say('done'));
    stack.defer(() => rmSync(folder, { recursive: true }));
    stack.defer(() => registry.close());
    stack.use(server);
    const policy = serviceOf([server]);
    const file = join(folder, 'endpoints.yaml');
    writeFileSync(file, `${HOST}: []\n`);
    const program = await child('discovery/quiet.child.ts', {
      policy,
      registries: [registry.url, `file:${file}`],
      call: `http://${HOST}/`,
    });
    expect(program.ready).toBe('done');
    const code = await Promise.race([once(program.process, 'exit').then(([exit]) => exit as number), pause(5000, 'still there')]);
    await program.end();
    expect(code).toBe(0);
  });
});
