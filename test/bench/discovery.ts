/**
 * How soon a change of endpoints is followed, and what following costs: `npm run bench:discovery`. A change is timed from the moment it is made
 * at the registry to the first answer of the new endpoint, with calls one after another all along. Real parts but for Kubernetes, whose API server
 * is the tests' own, in this process.
 */
import { createServer, type Server } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { consul } from '@inmesh/discovery/consul';
import { startRegistry } from '@inmesh/server';
import type { CreateMeshOptions, Mesh } from 'inmesh';
import { createMesh } from 'inmesh';
import { consulAgent } from '../support/consul.ts';
import { dnsmasq } from '../support/dnsmasq.ts';
import { KubeShop, service, slice } from '../support/kube-shop.ts';

const CHANGES = 30;
const HOST = 'reviews.example.com';
const NOTHING = 'apiVersion: v1\nkind: List\nitems: []\n';
const stack = new AsyncDisposableStack();
const folder = mkdtempSync(join(tmpdir(), 'inmesh-bench-'));
stack.defer(() => rmSync(folder, { recursive: true, force: true }));

const entry = (rest: string): string => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: reviews, namespace: default }
spec: { hosts: [${HOST}], location: MESH_INTERNAL, ports: [{ number: 80, name: http, protocol: HTTP }], ${rest} }
`;

/** A server that answers with its name. */
async function answering(name: string, host = '127.0.0.1', port = 0): Promise<number> {
  const server: Server = createServer((_, response) => response.end(name));
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  stack.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

async function follow(options: CreateMeshOptions): Promise<Mesh> {
  const mesh = await createMesh({ identity: false, workload: { name: 'client', namespace: 'default' }, ...options });
  stack.defer(() => mesh.close({ graceMs: 100 }));
  return mesh;
}

/** Moves the service from one endpoint to the other and back. `move` makes `to` its only one. */
async function timed(mesh: Mesh, url: string, move: (to: 'a' | 'b') => unknown, changes = CHANGES): Promise<number[]> {
  const times: number[] = [];
  await move('a');
  while ((await mesh.request(url)).text() !== 'a') await pause(5);
  for (let change = 0; change < changes; change += 1) {
    const to = change % 2 === 0 ? 'b' : 'a';
    // Whoever follows a registry asks only so often: changes in a row are seen together.
    await pause(500 + Math.random() * 500);
    const began = performance.now();
    const moved = Promise.resolve(move(to));
    while ((await mesh.request(url)).text() !== to) await new Promise(setImmediate);
    times.push(performance.now() - began);
    await moved;
  }
  return times.toSorted((left, right) => left - right);
}

const SOURCES: Readonly<Record<string, () => Promise<number[]>>> = {
  'a file of endpoints': async () => {
    const ports = { a: await answering('a'), b: await answering('b') };
    const file = join(folder, 'endpoints.yaml');
    const move = (to: 'a' | 'b') => writeFileSync(file, `${HOST}: [{ address: 127.0.0.1, ports: { http: ${ports[to]} } }]\n`);
    move('a');
    const mesh = await follow({ policy: NOTHING + '---\n' + entry('resolution: STATIC'), registries: [`file:${file}`] });
    return timed(mesh, `http://${HOST}/`, move);
  },
  'the registry of @inmesh/server': async () => {
    const ports = { a: await answering('a'), b: await answering('b') };
    const server = await startRegistry({ port: 0, data: join(folder, 'registry') });
    stack.defer(() => server.close());
    const put = (id: string, port: number) =>
      fetch(`${server.url}/v1/registrations/${id}`, {
        method: 'PUT',
        body: JSON.stringify({ service: HOST, address: '127.0.0.1', ports: { http: port }, leaseSeconds: 600 }),
      }).then(checked);
    const move = async (to: 'a' | 'b') => {
      await put(to, ports[to]);
      await fetch(`${server.url}/v1/registrations/${to === 'a' ? 'b' : 'a'}`, { method: 'DELETE' });
    };
    const mesh = await follow({ policy: NOTHING + '---\n' + entry('resolution: STATIC'), registries: [server.url] });
    return timed(mesh, `http://${HOST}/`, move);
  },
  'Consul 1.8.7': async () => {
    const ports = { a: await answering('a'), b: await answering('b') };
    const agent = stack.use(await consulAgent());
    const move = async (to: 'a' | 'b') => {
      await agent.register({ ID: to, Name: 'reviews', Address: '127.0.0.1', Port: ports[to] });
      await agent.call('PUT', `/agent/service/deregister/${to === 'a' ? 'b' : 'a'}`).catch(() => {});
    };
    await move('a');
    const mesh = await follow({ policy: NOTHING, registries: [consul({ address: agent.url })] });
    return timed(mesh, 'http://reviews.service.consul/', move);
  },
  'Kubernetes (EndpointSlices)': async () => {
    const shop = stack.use(await KubeShop.open());
    const ports = { a: await answering('a'), b: await answering('b') };
    const move = (to: 'a' | 'b') => shop.apply(slice('reviews-1', 'reviews', ports[to], [{ pod: to }]));
    shop.apply(service('reviews'), slice('reviews-1', 'reviews', ports.a, [{ pod: 'a' }]));
    return timed(await shop.mesh(), 'http://reviews.shop/', move);
  },
  'Kubernetes (a VirtualService)': async () => {
    const shop = stack.use(await KubeShop.open());
    const ports = { a: await answering('a'), b: await answering('b') };
    for (const name of ['a', 'b'] as const) shop.apply(service(name), slice(`${name}-1`, name, ports[name], [{ pod: name }]));
    const move = (to: 'a' | 'b') =>
      shop.apply({
        apiVersion: 'networking.istio.io/v1',
        kind: 'VirtualService',
        metadata: { name: 'reviews', namespace: 'shop' },
        spec: { hosts: ['a'], http: [{ route: [{ destination: { host: to } }] }] },
      });
    move('a');
    return timed(await shop.mesh(), 'http://a.shop/', move);
  },
  'DNS, TTL 1 s (dnsmasq)': async () => {
    const port = await answering('a', '127.0.0.2');
    await answering('b', '127.0.0.3', port);
    const zone = (to: 'a' | 'b') => ({ hosts: { 'reviews.internal': [to === 'a' ? '127.0.0.2' : '127.0.0.3'] } });
    const server = stack.use(await dnsmasq(zone('a')));
    const policy = entry(`resolution: DNS, endpoints: [{ address: reviews.internal, ports: { http: ${port} } }]`);
    const mesh = await follow({ policy: NOTHING + '---\n' + policy, dns: { servers: [server.address] } });
    return timed(mesh, `http://${HOST}/`, (to) => server.set(zone(to)), CHANGES / 2);
  },
};

const at = (times: readonly number[], share: number): string => `${times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(1)} ms`; // prettier-ignore

console.log('| source | changes | p50 | p99 |\n|---|---|---|---|');
for (const [name, run] of Object.entries(SOURCES)) {
  const times = await run();
  console.log(`| ${name} | ${times.length} | ${at(times, 0.5)} | ${at(times, 0.99)} |`);
}

// ── what a big catalog costs ─────────────────────────────────────────────────────────────────────────────────────────

const SERVICES = 1000;
const MEMBERS = 10;
const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
const collect = (): number => (globalThis.gc?.(), process.memoryUsage().heapUsed);

async function cost(name: string, open: () => Promise<{ readonly mesh: Mesh; readonly urls: readonly string[] }>): Promise<void> {
  const before = collect();
  const began = performance.now();
  const { mesh, urls } = await open();
  const started = performance.now() - began;
  const heap = collect() - before;
  await Promise.all(urls.map((url) => mesh.request(url)));
  const called = collect() - before;
  const cpu = process.cpuUsage();
  await pause(5000);
  const { user, system } = process.cpuUsage(cpu);
  console.log(
    `| ${name} | ${started.toFixed(0)} ms | ${mb(heap)} | ${urls.length} | ${mb(called)} | ${((user + system) / 5e4).toFixed(1)} % |`,
  );
}

console.log(
  `\n| ${SERVICES} services, ${SERVICES * MEMBERS} endpoints | start | heap | called | heap then | CPU at rest |\n|---|---|---|---|---|---|`,
);
const real = await answering('it');
await cost('in the policy document', async () => {
  const members = (index: number) =>
    Array.from({ length: MEMBERS }, (_, member) => ({ address: member === 0 ? '127.0.0.1' : `10.${index >> 8}.${index & 255}.${member}`, ports: { http: member === 0 ? real : 9080 } })); // prettier-ignore
  const items = Array.from({ length: SERVICES }, (_, index) => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: `s${index}`, namespace: 'default' },
    spec: { hosts: [`s${index}.example.com`], location: 'MESH_INTERNAL', resolution: 'STATIC', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], endpoints: members(index) },
  })); // prettier-ignore
  const file = join(folder, 'big.json');
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  return { mesh: await follow({ policy: file }), urls: Array.from({ length: 20 }, (_, index) => `http://s${index}.example.com/`) };
});
const agent = stack.use(await consulAgent());
for (let index = 0; index < SERVICES; index += 1)
  await agent.call('PUT', '/catalog/register', {
    Node: `n${index}`,
    Address: '127.0.0.1',
    Service: { ID: `s${index}`, Service: `s${index}`, Address: '127.0.0.1', Port: real },
  });
await cost('in Consul (an endpoint each)', async () => ({
  mesh: await follow({ policy: NOTHING, registries: [consul({ address: agent.url })] }),
  urls: Array.from({ length: 20 }, (_, index) => `http://s${index}.service.consul/`),
}));

await stack.disposeAsync();
process.exit(0);

async function checked(response: Response): Promise<void> {
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
}
