import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Mesh } from 'inmesh';
import { Refusal } from '../support/kube-store.ts';
import { KubeShop, pod, service, slice, Traffic } from '../support/kube-shop.ts';

const URL = 'http://reviews.shop/';
let shop: KubeShop;
beforeEach(async () => (shop = await KubeShop.open()));
afterEach(() => shop[Symbol.asyncDispose]());

/** Who answers `count` calls, each once. */
async function callers(mesh: Mesh, count = 12, url = URL): Promise<string[]> {
  const names = new Set<string>();
  for (let call = 0; call < count; call += 1) names.add((await mesh.request(url)).text());
  return [...names].sort();
}

const endpointsOf = (mesh: Mesh) =>
  mesh.status().snapshot.clusters.flatMap(({ endpoints }) => endpoints.map(({ endpoint, health }) => `${endpoint.address} ${health}`));

describe('a process that calls Services of Kubernetes', () => {
  it('finds the pods of a Service by its name, on the ports of its slices, and follows nothing else', async () => {
    const a = await shop.pod('a');
    shop.apply(
      service('reviews'),
      service('other'),
      slice('reviews-1', 'reviews', a, [{ pod: 'a' }]),
      slice('other-1', 'other', 1, [{ pod: 'o' }]),
    );
    const mesh = await shop.mesh();
    expect(shop.api.watches.filter((path) => path.includes('slices'))).toEqual([]);
    for (const name of ['reviews', 'reviews.shop', 'reviews.shop.svc', 'reviews.shop.svc.cluster.local'])
      expect((await mesh.request(`http://${name}/`)).text()).toBe('a');
    expect(shop.api.watches.filter((path) => path.includes('slices'))).toHaveLength(1);
    expect(shop.api.seen.filter(({ path, query }) => path.includes('slices') && !query.get('labelSelector')!.endsWith('=reviews'))).toEqual(
      [],
    );
  });

  it('follows endpoints as they come, drain and go', async () => {
    const [a, b] = [await shop.pod('a'), await shop.pod('b')];
    shop.apply(service('reviews'), slice('reviews-a', 'reviews', a, [{ pod: 'a' }]));
    const mesh = await shop.mesh();
    expect(await callers(mesh)).toEqual(['a']);
    shop.apply(slice('reviews-b', 'reviews', b, [{ pod: 'b' }]));
    await expect.poll(() => callers(mesh)).toEqual(['a', 'b']);
    shop.apply(slice('reviews-a', 'reviews', a, [{ pod: 'a', ready: false, serving: true, terminating: true }]));
    await expect.poll(() => callers(mesh)).toEqual(['b']);
    expect(endpointsOf(mesh)).toContain(`127.0.0.1:${a} draining`);
    shop.apply(slice('reviews-a', 'reviews', a, []));
    await expect.poll(() => endpointsOf(mesh)).toEqual([`127.0.0.1:${b} healthy`]);
    // One that is not ready takes no calls, and is not kept either.
    shop.apply(slice('reviews-a', 'reviews', a, [{ pod: 'a' }]));
    await expect.poll(() => callers(mesh)).toEqual(['a', 'b']);
    shop.apply(slice('reviews-b', 'reviews', b, [{ pod: 'b', ready: false }]));
    await expect.poll(() => endpointsOf(mesh)).toEqual([`127.0.0.1:${a} healthy`]);
  });

  it('keeps endpoints that vanish without a word, as draining, and they get calls while there is nobody else', async () => {
    const [a, b] = [await shop.pod('a'), await shop.pod('b')];
    shop.apply(service('reviews'), slice('reviews-a', 'reviews', a, [{ pod: 'a' }]), slice('reviews-b', 'reviews', b, [{ pod: 'b' }]));
    const mesh = await shop.mesh();
    await expect.poll(() => callers(mesh)).toEqual(['a', 'b']);
    shop.api.remove('EndpointSlice', 'reviews-a');
    await expect.poll(() => callers(mesh)).toEqual(['b']);
    expect(endpointsOf(mesh)).toContain(`127.0.0.1:${a} draining`);
    shop.api.remove('EndpointSlice', 'reviews-b');
    await expect.poll(() => endpointsOf(mesh).every((text) => text.endsWith('draining'))).toBe(true);
    expect(await callers(mesh)).toEqual(['a', 'b']);
  });

  it('makes subsets of pod labels, as they change', async () => {
    const [a, b] = [await shop.pod('a'), await shop.pod('b')];
    shop.apply(
      service('reviews'),
      slice('reviews-a', 'reviews', a, [{ pod: 'a' }]),
      slice('reviews-b', 'reviews', b, [{ pod: 'b' }]),
      pod('a', { app: 'reviews', version: 'v1' }),
      pod('b', { app: 'reviews', version: 'v2' }),
      pod('x', { app: 'another' }),
      `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec: { host: reviews, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec: { hosts: [reviews], http: [{ route: [{ destination: { host: reviews, subset: v2 } }] }] }`,
    );
    shop.api.slow('/api/v1/namespaces/shop/pods', 200);
    const mesh = await shop.mesh();
    expect(await callers(mesh)).toEqual(['b']);
    // Pods are asked for their metadata, and only those of the service.
    const pods = shop.api.seen.filter(({ path }) => path.endsWith('/pods'));
    expect(pods.length).toBeGreaterThan(0);
    expect(
      pods.filter(({ accept, query }) => !accept.includes('PartialObjectMetadata') || query.get('labelSelector') !== 'app=reviews'),
    ).toEqual([]);
    shop.apply(pod('a', { app: 'reviews', version: 'v2' }), pod('b', { app: 'reviews', version: 'v1' }));
    await expect.poll(() => callers(mesh)).toEqual(['a']);
  });

  it('waits for the pod of an endpoint, which may be heard of later', async () => {
    const [a, b] = [await shop.pod('a'), await shop.pod('b')];
    shop.apply(service('reviews'), slice('reviews-a', 'reviews', a, [{ pod: 'a' }]));
    const mesh = await shop.mesh();
    expect(await callers(mesh)).toEqual(['a']);
    shop.api.apply(slice('reviews-b', 'reviews', b, [{ pod: 'b' }]));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await callers(mesh)).toEqual(['a']);
    shop.api.apply(pod('b', { app: 'reviews' }));
    await expect.poll(() => callers(mesh)).toEqual(['a', 'b']);
    // One that the selector does not mean is a member all the same, if slices say so.
    const c = await shop.pod('c');
    shop.api.apply(pod('c', { app: 'other' }), slice('reviews-c', 'reviews', c, [{ pod: 'c' }]));
    await expect.poll(() => callers(mesh), { timeout: 6000 }).toEqual(['a', 'b', 'c']);
  });

  it('keeps its endpoints when the selector of a Service moves, until the pods it means now are known', async () => {
    const [a, b] = [await shop.pod('a'), await shop.pod('b')];
    shop.apply(service('reviews'), slice('reviews-a', 'reviews', a, [{ pod: 'a' }]), pod('b', { app: 'green' }));
    const mesh = await shop.mesh();
    const traffic = new Traffic(mesh, URL);
    await expect.poll(() => traffic.answers.get('a') ?? 0).toBeGreaterThan(0);
    shop.api.refuse(({ query }) => (query.get('labelSelector') === 'app=green' ? new Refusal(500, 'InternalError', 'not now') : undefined));
    shop.api.apply(service('reviews', { selector: { app: 'green' } }));
    await expect.poll(() => mesh.status().registries[0]!.trouble).toContain('not now');
    shop.api.apply(slice('reviews-b', 'reviews', b, [{ pod: 'b' }]));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await callers(mesh)).toEqual(['a']);
    shop.api.remove('EndpointSlice', 'reviews-b');
    shop.api.refuse();
    // Slices follow the selector a while after it.
    await expect.poll(() => mesh.status().registries[0]!.trouble, { timeout: 5000 }).toBe('');
    expect(await callers(mesh)).toEqual(['a']);
    shop.api.apply(slice('reviews-a', 'reviews', b, [{ pod: 'b' }]));
    await expect.poll(() => callers(mesh), { timeout: 5000 }).toEqual(['b']);
    expect((await traffic.stop()).failures).toEqual([]);
  });

  it('knows region and zone of endpoints by their nodes, and goes without where it may not read them', async () => {
    const a = await shop.pod('a');
    shop.apply(service('reviews'), slice('reviews-a', 'reviews', a, [{ pod: 'a', zone: 'eu-1a', node: 'n1' }]), {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n1', labels: { 'topology.kubernetes.io/region': 'eu-1', 'topology.kubernetes.io/zone': 'eu-1a' } },
    });
    const locality = async (mesh: Mesh) => {
      expect((await mesh.request(URL)).text()).toBe('a');
      return mesh.status().snapshot.clusters.flatMap(({ endpoints }) => endpoints)[0]?.endpoint.locality;
    };
    // A place that is known a moment too late would look far away until then.
    shop.api.slow('/api/v1/nodes', 200);
    expect(await locality(await shop.mesh())).toMatchObject({ region: 'eu-1', zone: 'eu-1a' });
    shop.api.forbid('nodes');
    const blind = await shop.mesh();
    expect(await locality(blind)).toMatchObject({ region: '', zone: 'eu-1a' });
    expect(blind.status().registries[0]!.trouble).toBe('');
  });

  it('has the accounts of pods that take mutual TLS before it calls them', async () => {
    const a = await shop.pod('a');
    shop.apply(
      service('reviews'),
      slice('reviews-a', 'reviews', a, [{ pod: 'a' }]),
      pod('a', { app: 'reviews', 'security.istio.io/tlsMode': 'istio' }, { serviceAccountName: 'bookinfo-reviews' }),
    );
    const mesh = await shop.mesh();
    const accounts = () =>
      mesh
        .status()
        .snapshot.clusters.flatMap(({ endpoints }) => endpoints.map(({ endpoint }) => `${endpoint.serviceAccount} ${endpoint.mtls}`));
    await mesh.request(URL);
    shop.api.slow('/api/v1/namespaces/shop/pods', 150);
    expect(accounts()).toEqual(['bookinfo-reviews true']);
    shop.apply(
      pod('b', { app: 'reviews', 'security.istio.io/tlsMode': 'istio' }, { serviceAccountName: 'other' }),
      slice('reviews-b', 'reviews', a + 1, [{ pod: 'b' }]),
    );
    const seen = new Set<string>();
    await expect
      .poll(
        () => {
          for (const account of accounts()) seen.add(account);
          return accounts();
        },
        { interval: 5 },
      )
      .toEqual(['bookinfo-reviews true', 'other true']);
    // At no moment anybody would have done.
    expect(seen).toEqual(new Set(['bookinfo-reviews true', 'other true']));
  });

  it('makes one list of several slices: an address once, a pod of two families once', async () => {
    const a = await shop.pod('a');
    const ipv6 = { ...slice('reviews-6', 'reviews', a, [{ pod: 'a', address: '::1' }]), addressType: 'IPv6' };
    shop.apply(
      service('reviews'),
      slice('reviews-1', 'reviews', a, [{ pod: 'a' }, { pod: 'b', address: '127.0.0.2' }]),
      slice('reviews-2', 'reviews', a, [
        { pod: 'b', address: '127.0.0.2' },
        { pod: 'c', address: '127.0.0.3', ready: false },
      ]),
      ipv6,
    );
    const mesh = await shop.mesh();
    await mesh.request(URL);
    expect(endpointsOf(mesh).sort()).toEqual([`127.0.0.1:${a} healthy`, `127.0.0.2:${a} healthy`]);
  });

  it('is one service with what another registry knows under a name of its own', async () => {
    const [a, b] = [await shop.pod('a'), await shop.pod('b')];
    shop.apply(service('reviews'), slice('reviews-1', 'reviews', a, [{ pod: 'a' }]));
    const mesh = await shop.mesh({
      policy: `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: reviews, namespace: shop }
spec:
  hosts: [reviews.mesh]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${b} } }]
`,
      registries: [await shop.registry({ hosts: { 'reviews.mesh': 'shop/reviews' } })],
    });
    expect(await callers(mesh, 12, 'http://reviews.mesh/')).toEqual(['a', 'b']);
  });

  it('answers for a Service that is gone as for one that never was', async () => {
    const a = await shop.pod('a');
    shop.apply(service('reviews'), slice('reviews-a', 'reviews', a, [{ pod: 'a' }]));
    const mesh = await shop.mesh();
    expect(await callers(mesh)).toEqual(['a']);
    shop.api.remove('Service', 'reviews');
    await expect.poll(() => mesh.explain({ url: URL }).service ?? 'none').toBe('none');
  });
});

describe('a policy that stands in the cluster', () => {
  it('takes effect as its resources change', async () => {
    shop.apply(service('reviews'));
    const mesh = await shop.mesh();
    const status = async () => (await mesh.request(URL)).status;
    const route = (code: number) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec: { hosts: [reviews], http: [{ directResponse: { status: ${code} } }] }`;
    shop.apply(route(201));
    await expect.poll(status).toBe(201);
    shop.apply(route(202));
    await expect.poll(status).toBe(202);
    shop.api.remove('VirtualService', 'reviews');
    await expect.poll(status).toBe(503);
  });

  it('leaves out a resource that does not parse, says so, and keeps the version before of one that broke', async () => {
    shop.apply(service('reviews'), service('ratings'));
    const route = (name: string, code: number | string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec: { hosts: [${name}], http: [{ directResponse: { status: ${code} } }] }`;
    shop.apply(route('reviews', '"many"'), route('ratings', 201));
    const mesh = await shop.mesh();
    const status = async (name: string) => (await mesh.request(`http://${name}/`)).status;
    expect(await status('ratings')).toBe(201);
    await expect.poll(() => mesh.status().source.trouble).toMatch(/VirtualService shop\/reviews .*status.*left out/);
    shop.apply(route('reviews', 203));
    await expect.poll(() => status('reviews')).toBe(203);
    await expect.poll(() => mesh.status().source.trouble).toBe('');
    shop.apply(route('reviews', '"many"'), route('ratings', 202));
    await expect.poll(() => status('ratings')).toBe(202);
    expect(await status('reviews')).toBe(203);
    expect(mesh.status().source.trouble).toMatch(/VirtualService shop\/reviews .*version before holds/);
  });

  it('keeps out everybody where a rule that keeps callers out does not parse', async () => {
    shop.apply(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: guard }
spec: { selector: { matchLabels: { app: client } }, action: ALLOW, rules: [{ from: [{ source: { principalz: [x] } }] }] }`);
    const mesh = await shop.mesh({ workload: { name: 'client', namespace: 'shop', labels: { app: 'client' } } });
    const server = await mesh.listen((_request, response) => response.end('in'), 0);
    expect((await fetch(`http://127.0.0.1:${server.port}/`)).status).toBe(403);
    await expect.poll(() => mesh.status().source.trouble).toContain('keeps out everybody');
  });

  it('leaves out kinds it may not read, and says so', async () => {
    shop.apply(
      service('reviews'),
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec: { hosts: [reviews], http: [{ directResponse: { status: 201 } }] }`,
    );
    shop.api.forbid('envoyfilters', 'sidecars', 'httproutes');
    const mesh = await shop.mesh();
    expect((await mesh.request(URL)).status).toBe(201);
    await expect.poll(() => mesh.status().source.trouble).toMatch(/sidecars of namespace shop: .*403.*forbidden/);
  });

  it('does not take a cluster in which nothing may be read for one without a policy', async () => {
    shop.api.refuse(({ path }) => (path.includes('istio.io') || path.includes('gateway.') || path.includes('inmesh.dev')) && path.includes('namespaces') ? new Refusal(403, 'Forbidden', 'forbidden') : undefined); // prettier-ignore
    await expect(shop.mesh({ startTimeoutMs: 800 })).rejects.toThrow(/403/);
  });

  it('follows its own namespace, those it is told, or all', async () => {
    shop.apply(service('reviews'));
    shop.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: default }
spec: { hosts: [reviews.shop.svc.cluster.local], http: [{ directResponse: { status: 207 } }] }`);
    const own = await shop.mesh();
    expect((await own.request(URL)).status).toBe(503);
    const all = await shop.mesh({ kubernetes: { namespaces: '*' } });
    expect((await all.request(URL)).status).toBe(207);
    const two = await shop.mesh({ kubernetes: { namespaces: ['shop', 'default'] } });
    expect((await two.request(URL)).status).toBe(207);
  });

  it('yields to what a policy of files declares itself', async () => {
    const a = await shop.pod('a');
    shop.apply(service('reviews'), slice('reviews-a', 'reviews', a, [{ pod: 'a' }]));
    const policy = `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: shop }
spec: { selector: { app: reviews }, ports: [{ name: http-web, port: 8080 }, { name: http, port: 80 }] }
`;
    const mesh = await shop.mesh({ policy });
    expect(await callers(mesh)).toEqual(['a']);
  });
});
