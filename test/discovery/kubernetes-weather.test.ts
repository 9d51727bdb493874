import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { kubernetesRegistry } from '@inmesh/discovery/kubernetes';
import type { Mesh } from 'inmesh';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KubeShop, pod, service, slice, Traffic } from '../support/kube-shop.ts';
import { Refusal } from '../support/kube-store.ts';

const URL = 'http://reviews/';
/** Reconnecting takes a second or two by design, and more after several failures. */
const BACK = { timeout: 20_000 };

let shop: KubeShop;
let a: number;
let b: number;
beforeEach(async () => {
  shop = await KubeShop.open({ bookmarkMs: 200 });
  a = await shop.pod('a');
  b = await shop.pod('b');
  shop.apply(
    service('reviews'),
    slice('reviews-a', 'reviews', a, [{ pod: 'a' }]),
    pod('a', { app: 'reviews', version: 'v1' }),
    pod('b', { app: 'reviews', version: 'v1' }),
    `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec: { host: reviews, subsets: [{ name: v1, labels: { version: v1 } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec: { hosts: [reviews], http: [{ route: [{ destination: { host: reviews, subset: v1 } }] }] }`,
  );
});
afterEach(() => shop[Symbol.asyncDispose]());

const quick = { timeoutMs: 400, silenceMs: 700 };
const trouble = (mesh: Mesh) => mesh.status().registries[0]!.trouble;
/** B comes, and gets calls: the mesh follows the server again. */
async function bComes(traffic: Traffic): Promise<void> {
  shop.apply(slice('reviews-b', 'reviews', b, [{ pod: 'b' }]));
  await expect.poll(() => traffic.answers.get('b') ?? 0, BACK).toBeGreaterThan(0);
}

describe('traffic while the API server', () => {
  /** Traffic under way before `what` happens, and until `b` has come after it: none of it fails. */
  async function weathers(
    what: (mesh: Mesh, traffic: Traffic) => Promise<void> | void,
    after: () => Promise<void> | void = () => {},
  ): Promise<void> {
    const mesh = await shop.mesh({ kubernetes: quick });
    const traffic = new Traffic(mesh, URL);
    await expect.poll(() => traffic.answers.get('a') ?? 0).toBeGreaterThan(10);
    await what(mesh, traffic);
    await bComes(traffic);
    await after();
    expect((await traffic.stop()).failures).toEqual([]);
    expect(traffic.calls).toBeGreaterThan(20);
    await expect.poll(() => trouble(mesh), BACK).toBe('');
    await expect.poll(() => mesh.status().source.trouble, BACK).toBe('');
  }

  it('cuts watches in the middle of an event', () => weathers(() => shop.api.cutMidEvent()));

  it('ends all watches', () => weathers(() => shop.api.endWatches()));

  it('is down, and comes back', () =>
    weathers(async (mesh) => {
      await shop.api.down();
      await expect.poll(() => trouble(mesh), BACK).toMatch(/^services of namespace shop: the API server cannot be reached: .*ECONNREFUSED/);
      await shop.api.up();
    }));

  it('has forgotten the history since (410)', () =>
    weathers(async () => {
      await shop.api.down();
      shop.apply(service('another'));
      shop.api.store.compact();
      await shop.api.up();
    }));

  it('comes back with other resource versions, lower ones', () =>
    weathers(async () => {
      await shop.api.down();
      shop.api.store.renumber(5);
      await shop.api.up();
    }));

  it('answers garbage', () =>
    weathers(async (mesh) => {
      shop.api.mangle((line) => `${line.slice(0, 20)}<html>\n`);
      await expect.poll(() => trouble(mesh), BACK).toContain('not JSON');
      shop.api.mangle();
    }));

  it('answers 500, and 429 with a time to come back', () =>
    weathers(async (mesh) => {
      shop.api.refuse(() => new Refusal(500, 'InternalError', 'etcdserver: leader changed'));
      shop.api.endWatches();
      await expect.poll(() => trouble(mesh), BACK).toContain('500: etcdserver: leader changed');
      shop.api.refuse(() => new Refusal(429, 'TooManyRequests', 'too many requests'));
      await expect.poll(() => trouble(mesh), BACK).toContain('429');
      shop.api.refuse();
    }));

  it('is frozen: connections are accepted, nothing is said', () =>
    weathers(async (mesh) => {
      shop.api.freeze();
      await expect.poll(() => trouble(mesh), BACK).toContain('did not answer within 400 ms');
      shop.api.thaw();
    }));

  it('has lost everything for a moment: what is gone at once is not believed', () =>
    weathers(async () => {
      const objects = shop.api.store.dump();
      await shop.api.down();
      shop.api.store.lose();
      await shop.api.up();
      const lists = () => shop.api.seen.filter(({ path, watch }) => path.endsWith('/services') && !watch).length;
      const before = lists();
      await expect.poll(lists, { ...BACK, interval: 5 }).toBeGreaterThan(before);
      for (const [, all] of objects) shop.apply(...all.filter(({ kind }) => kind !== 'Namespace'));
    }));
});

it('believes that there is nothing when it is said twice', async () => {
  const mesh = await shop.mesh({ kubernetes: quick });
  expect((await mesh.request(URL)).text()).toBe('a');
  await shop.api.down();
  shop.api.store.lose();
  await shop.api.up();
  await expect.poll(() => mesh.explain({ url: URL }).service ?? 'none', BACK).toBe('none');
  await expect.poll(() => trouble(mesh), BACK).toBe('');
});

it('starts without the server from the document it kept, and calls the virtual address until the members are known', async () => {
  const cacheFile = join(shop.folder, 'last-good');
  // What kube-proxy would do: its virtual address answers for the pods.
  shop.apply(
    service('ratings', { clusterIP: '127.0.0.1', clusterIPs: ['127.0.0.1'], ports: [{ name: 'http', port: b }] }),
    slice('ratings-a', 'ratings', a, [{ pod: 'r' }]),
  );
  const ratings = `http://ratings:${b}/`;
  const first = await shop.mesh({ policy: await shop.policy({ cacheFile }) });
  expect((await first.request(URL)).text()).toBe('a');
  await new Promise((resolve) => setTimeout(resolve, 200));
  await first.close();
  await shop.api.down();
  const second = await shop.mesh({ policy: await shop.policy({ cacheFile }), startTimeoutMs: 3000 });
  expect(second.status().source.trouble).toContain('ECONNREFUSED');
  expect(second.explain({ url: URL }).service).toBe('reviews.shop.svc.cluster.local');
  expect((await second.request(ratings)).text()).toBe('b');
  await shop.api.up();
  await expect.poll(async () => (await second.request(ratings)).text(), BACK).toBe('a');
  await expect.poll(async () => (await second.request(URL)).text(), BACK).toBe('a');
});

describe('in a pod', () => {
  it('reads its token and its CA again when they were exchanged', async () => {
    const files = join(shop.folder, 'serviceaccount');
    mkdirSync(files);
    const write = (token: string) => {
      writeFileSync(join(files, 'token'), `${token}\n`);
      writeFileSync(join(files, 'ca.crt'), shop.api.ca);
      writeFileSync(join(files, 'namespace'), 'shop');
    };
    write('good');
    const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(shop.api.port) };
    const registry = await kubernetesRegistry({ env, serviceAccountFolder: files });
    const mesh = await shop.mesh({ registries: [registry] });
    const traffic = new Traffic(mesh, URL);
    await expect.poll(() => traffic.answers.get('a') ?? 0).toBeGreaterThan(0);
    shop.api.tokens!.clear();
    shop.api.tokens!.add('new');
    shop.api.rotateCa();
    const from = shop.api.seen.length;
    shop.api.cutMidEvent();
    await expect.poll(() => trouble(mesh), BACK).toMatch(/certificate/);
    write('good');
    await expect.poll(() => trouble(mesh), BACK).toMatch(/401/);
    write('new');
    await bComes(traffic);
    expect((await traffic.stop()).failures).toEqual([]);
    await expect.poll(() => trouble(mesh), BACK).toBe('');
    expect(new Set(shop.api.seen.slice(from).map(({ token }) => token))).toEqual(new Set(['good', 'new']));
  });

  it('says what it looked for where there is no cluster', async () => {
    await expect(kubernetesRegistry({ env: { HOME: shop.folder } })).rejects.toThrow(/KUBERNETES_SERVICE_HOST.*KUBECONFIG.*\.kube/);
    await expect(kubernetesRegistry({ kubeconfig: join(shop.folder, 'none') })).rejects.toThrow(/ENOENT/);
  });
});

it('leaves nothing behind: no connection after a close, and no process is kept alive by a watch', async () => {
  // Whose account is asked for leaves an idle connection.
  shop.apply(pod('a', { app: 'reviews', version: 'v1', 'security.istio.io/tlsMode': 'istio' }));
  const mesh = await shop.mesh();
  await mesh.request(URL);
  expect(shop.api.connections).toBeGreaterThan(3);
  await mesh.close();
  await expect.poll(() => shop.api.connections).toBe(0);
  const script = `
    import { createMesh } from 'inmesh';
    const mesh = await createMesh({ policy: 'kubernetes:', registries: ['kubernetes:shop+default'], identity: false });
    console.log((await mesh.request('http://reviews.shop/')).text());
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@inmesh/source', '--input-type=module', '-e', script], {
    cwd: join(import.meta.dirname, '../../examples/hello'),
    env: { ...process.env, KUBECONFIG: shop.kubeconfig, INMESH_NAMESPACE: 'shop' },
    timeout: 15_000,
  });
  expect(stdout).toBe('a\n');
});

it('comes back one by one: 200 processes, cut off at one moment', async () => {
  const count = 200;
  const heard = new Set<number>();
  const registries = await Promise.all([...Array(count).keys()].map(() => shop.registry()));
  const watches = registries.map(({ services }, index) => services!.watch(({ ok }) => ok && heard.add(index)));
  await expect.poll(() => heard.size, { timeout: 20_000 }).toBe(count);
  await expect.poll(() => shop.api.watches.length, { timeout: 20_000 }).toBe(count);
  const from = shop.api.seen.length;
  const began = performance.now();
  shop.api.endWatches();
  const back = () => shop.api.seen.slice(from).filter(({ watch }) => watch);
  await expect.poll(() => back().length, BACK).toBeGreaterThanOrEqual(count);
  const times = back().map(({ at }) => at - began).sort((x, y) => x - y); // prettier-ignore
  // One process plays all of them and the server, and stands still now and then; informer.test.ts has the narrow bound.
  const busiest = Math.max(...times.map((at) => times.filter((other) => other >= at && other < at + 100).length));
  const spread = times.at(-1)! - times[0]!;
  console.log(`200 reconnects over ${spread.toFixed(0)} ms, ${busiest} in the busiest 100 ms`);
  expect(spread).toBeGreaterThan(700);
  expect(busiest).toBeLessThan(count / 2);
  for (const watch of watches) watch.close();
  for (const { close } of registries) close!();
  await expect.poll(() => shop.api.connections, BACK).toBe(0);
});
