import type { MeshStatus } from 'inmesh';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { destinationRule, meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';
import { type SteadyCalls, steadyCalls } from '../support/steady-calls.ts';
import { endpointAt, testRegistry } from '../support/test-registry.ts';
import { say, upstream, type Upstream } from '../support/upstream.ts';

// reviews runs on machines, and is to run in Kubernetes. Whoever calls it must not notice.

const HOST = 'reviews.shop';
const url = `http://${HOST}/`;
const soon = { timeout: 8000, interval: 20 };

let open: Upstream[];
beforeEach(() => {
  open = [];
});
afterEach(() => Promise.all(open.map((server) => server.kill())));

async function member(name: string): Promise<Upstream> {
  const server = await upstream(say(name));
  open.push(server);
  return server;
}

const retries = '\n  retries: { attempts: 2, retryOn: "connect-failure,reset" }';

/** Shares of the calls from now on, in percent of the last `count`. */
async function shares(calls: SteadyCalls, count = 300): Promise<Record<string, number>> {
  calls.forget();
  await vi.waitFor(() => expect(calls.total).toBeGreaterThanOrEqual(count), soon);
  return Object.fromEntries(Object.entries(calls.answers).map(([name, times]) => [name, (100 * times) / calls.total]));
}

type Cluster = MeshStatus['snapshot']['clusters'][number];

const clusterOf = (mesh: TestMesh, subset = ''): Cluster =>
  mesh.status().snapshot.clusters.find(({ name }) => name === `outbound|80|${subset}|${HOST}`)!;

describe('a service moves from machines to Kubernetes', () => {
  it('by weights: a tenth, a half, all; then the machines are switched off', async () => {
    const [m1, m2, k1, k2] = [await member('machine'), await member('machine'), await member('pod'), await member('pod')];
    const subsets = destinationRule(
      HOST,
      `subsets:
  - { name: machines, labels: { platform: machines } }
  - { name: kubernetes, labels: { platform: kubernetes } }`,
    );
    const onMachines = (...members: readonly Upstream[]): string =>
      serviceEntry(HOST, members.map(({ port }) => ({ port, labels: { platform: 'machines' }, locality: 'eu/eu-1' }))); // prettier-ignore
    const split = (machines: number, kubernetes: number): string =>
      virtualService(
        HOST,
        `- route:
  - { destination: { host: ${HOST}, subset: machines }, weight: ${machines} }
  - { destination: { host: ${HOST}, subset: kubernetes }, weight: ${kubernetes} }${retries}`,
      );
    const kubernetes = testRegistry('kubernetes', HOST);
    await using mesh = await meshOf(onMachines(m1, m2) + subsets + split(100, 0), { registries: [kubernetes] });
    await using calls = steadyCalls(mesh, url);

    // The new registry has not said a word yet: the machines are called after two seconds, and nobody is refused.
    await vi.waitFor(() => expect(calls.answers['machine']).toBeGreaterThan(10), soon);

    // Two pods are up, and nobody is sent there before the policy says so.
    const pod = (at: Upstream) =>
      endpointAt(at.port, { labels: { platform: 'kubernetes' }, locality: { region: 'eu', zone: 'eu-2', subzone: '' }, network: 'pods', namespace: 'shop', workload: 'reviews' }); // prettier-ignore
    kubernetes.say(pod(k1), pod(k2));
    expect(await shares(calls)).toEqual({ machine: 100 });

    mesh.set(onMachines(m1, m2) + subsets + split(90, 10));
    await vi.waitFor(() => expect(calls.answers['pod']).toBeGreaterThan(0), soon);
    const tenth = await shares(calls, 600);
    expect(tenth['pod']).toBeGreaterThan(5);
    expect(tenth['pod']).toBeLessThan(16);

    // What the registry knows of its members is kept: place, network, workload.
    expect(clusterOf(mesh, 'kubernetes').endpoints.map(({ endpoint }) => endpoint)).toMatchObject([
      { locality: { region: 'eu', zone: 'eu-2' }, network: 'pods', workload: 'reviews' },
      { locality: { region: 'eu', zone: 'eu-2' }, network: 'pods', workload: 'reviews' },
    ]);
    expect(clusterOf(mesh, 'machines').endpoints.map(({ endpoint }) => endpoint.locality.zone)).toEqual(['eu-1', 'eu-1']);

    mesh.set(onMachines(m1, m2) + subsets + split(50, 50));
    await vi.waitFor(async () => expect((await shares(calls, 100))['pod']).toBeGreaterThan(30), soon);
    // Kubernetes goes away for a moment: what it said last holds.
    kubernetes.fail('the API server restarts');
    const half = await shares(calls, 600);
    expect(half['pod']).toBeGreaterThan(40);
    expect(half['pod']).toBeLessThan(60);
    expect(mesh.status().registries).toEqual([{ name: 'kubernetes', trouble: 'the API server restarts' }]);
    expect(clusterOf(mesh, 'kubernetes')).toMatchObject({ resolution: 'failed', reason: 'kubernetes: the API server restarts' });
    kubernetes.say(pod(k1), pod(k2));

    mesh.set(onMachines(m1, m2) + subsets + split(0, 100));
    await vi.waitFor(async () => expect(await shares(calls, 50)).toEqual({ pod: 100 }), soon);

    // The machines leave the document, then they are switched off; the subsets are not needed any more either.
    mesh.set(onMachines(m1).replace(/ *endpoints:[^]*$/, '') + virtualService(HOST, `- route: [{ destination: { host: ${HOST} } }]${retries}`)); // prettier-ignore
    expect(mesh.status().rejected).toBeNull();
    await Promise.all([m1.kill(), m2.kill()]);
    expect(await shares(calls)).toEqual({ pod: 100 });
    expect(clusterOf(mesh).endpoints).toHaveLength(2);
    expect(calls.failures).toEqual([]);
  });

  it('by priority: the new platform as soon as it can, the old one when it cannot; then the old registry is switched off', async () => {
    const [m1, k1, k2] = [await member('machine'), await member('pod'), await member('pod')];
    const policy =
      serviceEntry(HOST, [1]).replace(/ *endpoints:[^]*$/, '') +
      destinationRule(HOST, 'trafficPolicy:\n  outlierDetection: { consecutive5xxErrors: 1, interval: 100ms, baseEjectionTime: 300ms, maxEjectionPercent: 100 }') +
      virtualService(HOST, `- route: [{ destination: { host: ${HOST} } }]${retries}`); // prettier-ignore
    const kubernetes = testRegistry('kubernetes', HOST);
    const consul = testRegistry('consul', HOST, 1);
    consul.say(endpointAt(m1.port));
    kubernetes.say();
    await using mesh = await meshOf(policy, { registries: [kubernetes, consul] });
    // A process follows what it calls, and nothing before.
    expect([kubernetes.followers, consul.followers]).toEqual([0, 0]);
    await using calls = steadyCalls(mesh, url);
    expect(await shares(calls)).toEqual({ machine: 100 });
    expect([kubernetes.followers, consul.followers]).toEqual([1, 1]);

    kubernetes.say(endpointAt(k1.port), endpointAt(k2.port));
    expect(await shares(calls)).toEqual({ pod: 100 });

    // One pod dies: the other takes what the machines need not. Both die: the machines are still there.
    await k1.kill();
    await k2.kill();
    await vi.waitFor(async () => expect(await shares(calls, 20)).toEqual({ machine: 100 }), soon);
    await Promise.all([k1.revive(), k2.revive()]);
    await vi.waitFor(async () => expect(await shares(calls, 50)).toEqual({ pod: 100 }), soon);

    // A machine that both name is one endpoint, and the better priority is its own.
    consul.say(endpointAt(m1.port), endpointAt(k1.port));
    expect(clusterOf(mesh).endpoints.map(({ endpoint: { port }, priority }) => [port, priority])).toEqual([
      [k1.port, 0],
      [k2.port, 0],
      [m1.port, 1],
    ]);
    expect(await shares(calls)).toEqual({ pod: 100 });

    // Consul is switched off: first it fails, and its last list holds; then it knows the service no more.
    consul.fail('connect ECONNREFUSED');
    expect(clusterOf(mesh).endpoints).toHaveLength(3);
    consul.forget();
    expect(clusterOf(mesh)).toMatchObject({ resolution: 'bound', reason: null, endpoints: [{}, {}] });
    await m1.kill();
    expect(await shares(calls)).toEqual({ pod: 100 });
    expect(calls.failures).toEqual([]);
  });

  it('near ones first, whichever registry names them', async () => {
    const [near, far] = [await member('near'), await member('far')];
    const policy =
      serviceEntry(HOST, [{ port: far.port, locality: 'us/us-1' }]) +
      destinationRule(HOST, 'trafficPolicy:\n  loadBalancer: { localityLbSetting: { enabled: true } }\n  outlierDetection: { consecutive5xxErrors: 1, interval: 100ms, baseEjectionTime: 30s }') +
      virtualService(HOST, `- route: [{ destination: { host: ${HOST} } }]${retries}`); // prettier-ignore
    const kubernetes = testRegistry('kubernetes', HOST);
    kubernetes.say(endpointAt(near.port, { locality: { region: 'eu', zone: 'eu-1', subzone: '' } }));
    await using mesh = await meshOf(policy, {
      registries: [kubernetes],
      workload: { locality: { region: 'eu', zone: 'eu-1', subzone: '' } },
    });
    await using calls = steadyCalls(mesh, url);
    expect(await shares(calls)).toEqual({ near: 100 });
    await near.kill();
    await vi.waitFor(async () => expect(await shares(calls, 20)).toEqual({ far: 100 }), soon);
    expect(calls.failures).toEqual([]);
  });
});
