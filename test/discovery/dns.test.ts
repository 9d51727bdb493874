import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import type { MeshStatus } from 'inmesh';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type DnsServer, dnsmasq, dnsmasqThere } from '../support/dnsmasq.ts';
import { destinationRule, meshOf, type TestMesh, virtualService } from '../support/mesh.ts';
import { steadyCalls } from '../support/steady-calls.ts';
import { endpointAt, testRegistry } from '../support/test-registry.ts';

const there = dnsmasqThere();
const soon = { timeout: 8000, interval: 20 };

let members: Server[];
beforeEach(() => {
  members = [];
});
afterEach(() => Promise.all(members.map(stop)));

/** A server that answers with its own name, on one of the loopback addresses. */
async function member(name: string, host = '127.0.0.1', port = 0): Promise<number> {
  const server = createServer((_, response) => response.end(name));
  members.push(server);
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return (server.address() as AddressInfo).port;
}

async function stop(server: Server): Promise<void> {
  const closed = new Promise<unknown>((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}

const reviews = (port: number, rest = '', resolution = 'DNS'): string => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: reviews, namespace: default }
spec:
  hosts: [reviews.internal]
  location: MESH_INTERNAL
  resolution: ${resolution}
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: ${port} }]
${rest}
`;
const srvMember = 'endpoints: [{ address: _http._tcp.reviews.internal }]';
const url = 'http://reviews.internal/';

describe.skipIf(there !== true)(`against a real DNS server${there === true ? '' : ` (skipped: ${there})`}`, () => {
  let dns: DnsServer;
  const options = (): { dns: { servers: string[] } } => ({ dns: { servers: [`internal=${dns.address}`] } });
  afterEach(() => dns[Symbol.asyncDispose]());

  it('follows what the answers say, as their TTL ends, without a failed call', async () => {
    dns = await dnsmasq({ hosts: { 'reviews.internal': ['127.0.0.2'] } });
    const port = await member('two', '127.0.0.2');
    await member('three', '127.0.0.3', port);
    await using mesh = await meshOf(reviews(port), options());
    await using calls = steadyCalls(mesh, url);
    await vi.waitFor(() => expect(calls.answers).toEqual({ two: calls.total }), soon);
    expect(calls.total).toBeGreaterThan(0);

    await dns.set({ hosts: { 'reviews.internal': ['127.0.0.2', '127.0.0.3'] } });
    await vi.waitFor(() => expect(calls.answers['three']).toBeGreaterThan(10), soon);

    await dns.set({ hosts: { 'reviews.internal': ['127.0.0.3'] } });
    // It drains: it is called no more, and still there.
    await vi.waitFor(() => expect(healthOf(mesh)).toEqual({ [`127.0.0.2:${port}`]: 'draining', [`127.0.0.3:${port}`]: 'healthy' }), soon);
    calls.forget();
    await vi.waitFor(() => expect(calls.total).toBeGreaterThan(50), soon);
    expect(calls.answers).toEqual({ three: calls.total });
    expect(calls.failures).toEqual([]);
  });

  it('goes on with what it knew while the server is killed, frozen, or knows nothing', async () => {
    const zone = { hosts: { 'reviews.internal': ['127.0.0.2'] } };
    dns = await dnsmasq(zone);
    const port = await member('two', '127.0.0.2');
    await member('three', '127.0.0.3', port);
    await using mesh = await meshOf(reviews(port), options());
    await using calls = steadyCalls(mesh, url);
    await vi.waitFor(() => expect(calls.total).toBeGreaterThan(10), soon);
    const reason = (): string | null | undefined => clusterOf(mesh)?.reason;

    await dns.kill();
    await vi.waitFor(() => expect(reason()).toMatch(/ECONNREFUSED/), soon);
    await dns.start();
    await vi.waitFor(() => expect(reason()).toBeNull(), soon);

    dns.freeze();
    await vi.waitFor(() => expect(reason()).toMatch(/ETIMEOUT|no answer/), { ...soon, timeout: 15_000 });
    dns.thaw();
    await vi.waitFor(() => expect(reason()).toBeNull(), soon);

    await dns.kill();
    await dns.start({});
    await vi.waitFor(() => expect(reason()).toMatch(/has no addresses .*ENOTFOUND/), soon);
    expect(Object.values(healthOf(mesh))).toEqual(['healthy']);
    await dns.set({ hosts: { 'reviews.internal': ['127.0.0.3'] } });
    await vi.waitFor(() => expect(calls.answers['three']).toBeGreaterThan(10), soon);
    expect(calls.failures).toEqual([]);
  });

  it('shares calls by the weights of SRV records, and goes to the next priority when nobody of the first is left', async () => {
    const [one, two, spare] = [await member('one'), await member('two'), await member('spare')];
    dns = await dnsmasq({
      hosts: { 'a.internal': ['127.0.0.1'] },
      srv: {
        '_http._tcp.reviews.internal': [
          { target: 'a.internal', port: one, priority: 10, weight: 3 },
          { target: 'a.internal', port: two, priority: 10, weight: 1 },
          { target: 'a.internal', port: spare, priority: 20, weight: 100 },
        ],
      },
    });
    const outliers = destinationRule('reviews.internal', 'trafficPolicy:\n  loadBalancer: { simple: ROUND_ROBIN }\n  outlierDetection: { consecutive5xxErrors: 1, baseEjectionTime: 60s, maxEjectionPercent: 100 }'); // prettier-ignore
    // What a killed server had under way is tried again.
    const retries = virtualService('reviews.internal', '- route: [{ destination: { host: reviews.internal } }]\n  retries: { attempts: 2, retryOn: "connect-failure,reset" }'); // prettier-ignore
    await using mesh = await meshOf(reviews(1, `  ${srvMember}`) + outliers + retries, options());
    const answers: Record<string, number> = {};
    for (let call = 0; call < 400; call += 1) {
      const name = await (await mesh.fetch(url)).text();
      answers[name] = (answers[name] ?? 0) + 1;
    }
    expect(answers).toEqual({ one: 300, two: 100 });

    await using calls = steadyCalls(mesh, url);
    await stop(members[0]!);
    await stop(members[1]!);
    await vi.waitFor(() => expect(calls.answers['spare']).toBeGreaterThan(100), soon);
    expect(calls.failures).toEqual([]);
  });

  it('moves calls as weights and ports of SRV records change', async () => {
    const [old, next] = [await member('old'), await member('new')];
    const records = (weights: readonly [number, number]) => ({
      hosts: { 'a.internal': ['127.0.0.1'] },
      srv: {
        '_http._tcp.reviews.internal': [{ target: 'a.internal', port: old, weight: weights[0] }, { target: 'a.internal', port: next, weight: weights[1] }].filter(({ weight }) => weight > 0), // prettier-ignore
      },
    });
    dns = await dnsmasq(records([1, 0]));
    await using mesh = await meshOf(reviews(1, `  ${srvMember}`), options());
    await using calls = steadyCalls(mesh, url);
    await vi.waitFor(() => expect(calls.answers['old']).toBeGreaterThan(10), soon);
    await dns.set(records([1, 9]));
    await vi.waitFor(() => expect(calls.answers['new']).toBeGreaterThan(50), soon);
    await dns.set(records([0, 1]));
    await vi.waitFor(() => expect(healthOf(mesh)[`127.0.0.1:${old}`]).toBe('draining'), soon);
    calls.forget();
    await vi.waitFor(() => expect(calls.total).toBeGreaterThan(50), soon);
    expect(calls.answers).toEqual({ new: calls.total });
    expect(calls.failures).toEqual([]);
  });

  it('lets a service move on to another registry: what it names with priority 10 stands behind, and its server may go', async () => {
    const [machine, pod] = [await member('machine'), await member('pod')];
    const target = (port: number) => ({ target: 'a.internal', port, priority: 10, weight: 1 });
    dns = await dnsmasq({ hosts: { 'a.internal': ['127.0.0.1'] }, srv: { '_http._tcp.reviews.internal': [target(machine), target(pod)] } });
    const kubernetes = testRegistry('kubernetes', 'reviews.internal');
    kubernetes.say();
    await using mesh = await meshOf(reviews(1, `  ${srvMember}`), { ...options(), registries: [kubernetes] });
    await using calls = steadyCalls(mesh, url);
    await vi.waitFor(() => expect(Object.keys(calls.answers).toSorted()).toEqual(['machine', 'pod']), soon);

    // The pod was in DNS already: it is one endpoint, and now of the first priority.
    kubernetes.say(endpointAt(pod));
    await vi.waitFor(
      () =>
        expect(clusterOf(mesh)?.endpoints.map(({ endpoint: { port }, priority }) => [port, priority])).toEqual([
          [pod, 0],
          [machine, 1],
        ]),
      soon,
    );
    calls.forget();
    await vi.waitFor(() => expect(calls.total).toBeGreaterThan(50), soon);
    expect(calls.answers).toEqual({ pod: calls.total });

    await dns.kill();
    await vi.waitFor(() => expect(clusterOf(mesh)?.reason).toMatch(/^dns: .*ECONNREFUSED/), soon);
    // A policy that changes meanwhile is about those that DNS named, too.
    mesh.set(reviews(1, '  endpoints: [{ address: _http._tcp.reviews.internal, labels: { platform: machines } }]'));
    expect(clusterOf(mesh)?.endpoints.map(({ endpoint: { port, labels } }) => [port, labels])).toEqual([
      [pod, {}],
      [machine, { platform: 'machines' }],
    ]);
    await stop(members[0]!);
    calls.forget();
    await vi.waitFor(() => expect(calls.total).toBeGreaterThan(50), soon);
    expect(calls.answers).toEqual({ pod: calls.total });
    expect(calls.failures).toEqual([]);
  });

  it('knows all of many: what does not fit into UDP is asked for by TCP', async () => {
    const many = Array.from({ length: 120 }, (_, index) => `127.0.1.${index + 1}`);
    const targets = many.map((_, index) => ({ target: `machine-${index}.reviews.internal`, port: 8080, weight: 1 }));
    dns = await dnsmasq({
      hosts: { 'reviews.internal': many, ...Object.fromEntries(many.map((address, index) => [`machine-${index}.reviews.internal`, [address]])) }, // prettier-ignore
      srv: { '_http._tcp.reviews.internal': targets },
    });
    for (const rest of ['', `  ${srvMember}`]) {
      await using mesh = await meshOf(reviews(8080, rest), options());
      mesh.fetch(url).catch(() => {});
      await vi.waitFor(() => expect(Object.keys(healthOf(mesh))).toHaveLength(120), soon);
    }
  });

  it('takes the first address only where the policy says DNS_ROUND_ROBIN', async () => {
    dns = await dnsmasq({ hosts: { 'reviews.internal': ['127.0.0.2', '127.0.0.3'] } });
    const port = await member('two', '127.0.0.2');
    await member('three', '127.0.0.3', port);
    await using mesh = await meshOf(reviews(port, '', 'DNS_ROUND_ROBIN'), options());
    await using calls = steadyCalls(mesh, url);
    // dnsmasq rotates its answers: every second or so it is the other one.
    await vi.waitFor(() => expect(Object.keys(calls.answers).toSorted()).toEqual(['three', 'two']), soon);
    expect(Object.keys(healthOf(mesh))).toHaveLength(1);
    expect(calls.failures).toEqual([]);
  });

  it('says that a name does not exist, in the refusal, in status and in the event', async () => {
    dns = await dnsmasq({});
    await using mesh = await meshOf(reviews(80), options());
    const refused = await mesh.fetch(url);
    expect([refused.status, refused.headers.get('x-inmesh-flags')]).toEqual([503, 'UH']);
    expect(await refused.text()).toContain('reviews.internal: has no addresses (queryAaaa ENOTFOUND reviews.internal)');
    expect(mesh.events).toContainEqual(expect.objectContaining({ type: 'endpoints.failed', reason: expect.stringContaining('ENOTFOUND') as string })); // prettier-ignore
  });
});

it('asks no server where the policy says who is called: STATIC, and NONE', async () => {
  const port = await member('here');
  const nowhere = { dns: { servers: ['127.0.0.1:1'] } };
  await using fixed = await meshOf(reviews(port, '  endpoints: [{ address: 127.0.0.1 }]', 'STATIC'), nowhere);
  expect(await (await fixed.fetch(url)).text()).toBe('here');
  const entry = `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: local, namespace: default }
spec:
  hosts: [localhost]
  resolution: NONE
  ports: [{ number: ${port}, name: http, protocol: HTTP }]
`;
  await using asked = await meshOf(entry, nowhere);
  expect(await (await asked.fetch(`http://localhost:${port}/`)).text()).toBe('here');
});

it('keeps a process alive for a call that waits for a look-up, and for nothing else', async () => {
  // A server that hears and never answers. A look-up takes three seconds there.
  const silent = createTcpServer((socket) => void socket.on('error', () => {}).resume()).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const mute = createSocket('udp4').bind(port, '127.0.0.1');
  await once(mute, 'listening');
  for (const name of ['a.internal', '_http._tcp.reviews.internal']) {
    const args = ['--conditions=@inmesh/source', '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'dns.child.ts'), `127.0.0.1:${port}`, name]; // prettier-ignore
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    let saidAt = 0;
    child.stdout.on('data', (chunk) => {
      said += String(chunk);
      saidAt = performance.now();
    });
    const [code] = (await once(child, 'exit')) as [number];
    expect({ said, code }).toEqual({ said: 'gave up\n', code: 0 });
    expect(performance.now() - saidAt).toBeLessThan(1000);
  }
  await Promise.all([new Promise<unknown>((resolve) => silent.close(resolve)), new Promise<void>((resolve) => mute.close(resolve))]);
});

it('refuses servers it cannot read', async () => {
  await expect(meshOf('', { dns: { servers: ['consul=agent'] } })).rejects.toThrow('"agent" is not a DNS server');
});

type Cluster = MeshStatus['snapshot']['clusters'][number];

const clusterOf = (mesh: TestMesh): Cluster | undefined => mesh.status().snapshot.clusters.find(({ name }) => name.includes('reviews'));

const healthOf = (mesh: TestMesh): Record<string, string> =>
  Object.fromEntries((clusterOf(mesh)?.endpoints ?? []).map(({ endpoint: { address }, health }) => [address, health]));
