import { type Admin, startAdmin } from '@inmesh/admin';
import { createDevCa, devCertificates } from '@inmesh/identity/dev';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo } from 'node:net';
import { meshOf, type TestMesh } from '../support/mesh.ts';

/** A call as an access log has it. */
type Line = Record<string, unknown>;

export interface SmallMesh extends AsyncDisposable {
  /** The console of the storefront, with a tap and objectives. */
  readonly admin: Admin;
  /** The admin ports of the others. */
  readonly others: readonly string[];
  /** One visit: the storefront calls reviews, reviews calls ratings; sometimes something that is not there. */
  readonly visit: () => Promise<void>;
  /** Whose console it is. */
  readonly storefront: TestMesh;
  /** `failures` in a row eject an endpoint. */
  readonly policy: (failures: number) => string;
}

const service = (host: string, endpoints: readonly { readonly port: number; readonly version?: string; readonly account?: string }[]): string => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${host.split('.')[0]}, namespace: shop }
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [${endpoints
    .map(({ port, version = 'v1', account }) =>
      JSON.stringify({ address: '127.0.0.1', ports: { http: port }, labels: { app: host.split('.')[0], version, 'kubernetes.io/os': 'linux' }, locality: 'eu-west/eu-west-1a', ...(account === undefined ? {} : { serviceAccount: account }) }),
    )
    .join(', ')}]
`; // prettier-ignore

/** Five services on loopback, three of them processes of the mesh with mutual TLS between them. */
export async function smallMesh(): Promise<SmallMesh> {
  const ca = createDevCa();
  const left: (() => Promise<unknown>)[] = [];
  const serve = async (yaml: string, name: string, version: string, listener: (mesh: () => TestMesh) => RequestListener): Promise<{ readonly ports: readonly number[]; readonly mesh: TestMesh }> => {
    const mesh: TestMesh = await member(yaml, name, version);
    // Two endpoints each, for of one alone none is ejected.
    const both = [0, 1].map(() => mesh.listen(listener(() => mesh), { port: 0, host: '127.0.0.1' }));
    const listening = await Promise.all(both);
    left.push(() => Promise.all(listening.map((one) => one.close())));
    return { ports: listening.map(({ port }) => port), mesh };
  }; // prettier-ignore
  const member = async (yaml: string, name: string, version: string): Promise<TestMesh> => {
    const mesh = await meshOf(yaml, {
      identity: devCertificates(ca, { namespace: 'shop', serviceAccount: name }),
      admin: 0,
      workload: { name: `${name}-${version}`, namespace: 'shop', labels: { app: name, version }, serviceAccount: name },
    });
    left.push(() => mesh.close({ graceMs: 500 }));
    return mesh;
  };
  const legacy = createServer((_, response) => void response.end('old')).listen(0, '127.0.0.1');
  await new Promise((resolve) => legacy.once('listening', resolve));
  left.push(async () => {
    legacy.closeAllConnections();
    legacy.close();
  });

  const ratings = await serve('', 'ratings', 'v1', () => (request, response) => void response.end(`★★★★☆ ${request.url}`));
  const toRatings = service(
    'ratings.shop.svc',
    ratings.ports.map((port) => ({ port, account: 'ratings' })),
  );
  const review =
    (mesh: () => TestMesh): RequestListener =>
    async (request, response) => {
      const stars = await mesh().fetch(`http://ratings.shop.svc${request.url}`);
      response.end(await stars.text());
    };
  const v1 = await serve(toRatings, 'reviews', 'v1', review);
  let visits = 0;
  const v2 = await serve(toRatings, 'reviews', 'v2', (mesh) => (request, response) => {
    visits += 1;
    if (visits % 4 === 0) response.writeHead(503).end('not now');
    else review(mesh)(request, response);
  });
  const policy = (failures: number): string => `
${service('reviews.shop.svc', [...v1.ports.map((port) => ({ port, account: 'reviews' })), ...v2.ports.map((port) => ({ port, version: 'v2', account: 'reviews' }))])}
${service('legacy.shop.svc', [{ port: (legacy.address() as AddressInfo).port }])}
${service('gone.shop.svc', [])}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec:
  host: reviews.shop.svc
  trafficPolicy:
    outlierDetection: { consecutive5xxErrors: ${failures}, interval: 10s, baseEjectionTime: 30s }
    connectionPool: { tcp: { maxConnections: 50, connectTimeout: 2s } }
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: shop }
spec:
  hosts: [reviews.shop.svc]
  http:
  - name: testers
    match: [{ headers: { end-user: { exact: jason } } }]
    route: [{ destination: { host: reviews.shop.svc, subset: v2 } }]
  - name: canary
    timeout: 2s
    retries: { attempts: 0 }
    route:
    - { destination: { host: reviews.shop.svc, subset: v1 }, weight: 70 }
    - { destination: { host: reviews.shop.svc, subset: v2 }, weight: 30 }
`; // prettier-ignore
  const storefront = await member(policy(50), 'storefront', 'v1');
  const model = (await (await fetch(`${storefront.adminUrl}/snapshot`)).json()) as unknown;
  const listeners = new Set<(line: Line) => void>();
  const admin = await startAdmin({
    port: 0,
    console: true,
    metrics: { text: storefront.metrics },
    status: storefront.status,
    snapshot: () => model,
    explain: ({ method, url, headers }) => storefront.explain({ method, url, headers }),
    ready: () => true,
    tap: (listener) => {
      listeners.add(listener);
      return { close: () => void listeners.delete(listener) };
    },
    slo: () => [
      { resource: 'ServiceLevelObjective shop/reviews', service: 'reviews.shop.svc', indicator: { kind: 'availability' }, objective: 99.9, windowMs: 2_592_000_000, burn: { '5m': 61.2, '30m': 40.7, '1h': 18.4, '2h': 9.1, '6h': 3.2, '1d': 0.9, '3d': 0.4 }, budgetLeft: 0.62, state: 'page', enforcing: ['freezeWeights'] },
      { resource: 'ServiceLevelObjective shop/ratings', service: 'ratings.shop.svc', indicator: { kind: 'latency', thresholdMs: 250 }, objective: 99, windowMs: 2_592_000_000, burn: { '5m': 0.1, '30m': 0.2, '1h': 0.2, '2h': null, '6h': null, '1d': null, '3d': null }, budgetLeft: 0.98, state: 'ok', enforcing: [] },
    ],
  }); // prettier-ignore
  left.push(() => admin.close());
  let number = 0;
  const call = async (host: string): Promise<void> => {
    const path = `/ratings/${(number += 1)}`;
    const began = performance.now();
    const answer = await storefront.fetch(`http://${host}${path}`);
    await answer.text();
    const line = { start_time: new Date().toISOString(), reporter: 'source', source_workload: 'storefront-v1', destination_service: host, method: 'GET', path, authority: host, protocol: 'HTTP/1.1', response_code: answer.status, response_flags: answer.headers.get('x-inmesh-flags') ?? '-', duration: Math.round(performance.now() - began), upstream_host: '127.0.0.1', request_id: `r${number}` }; // prettier-ignore
    for (const listener of listeners) listener(line);
  };
  return {
    admin,
    others: [v1, v2, ratings].map(({ mesh }) => mesh.adminUrl!),
    storefront,
    policy,
    visit: async () => {
      await call('reviews.shop.svc');
      if (number % 3 === 0) await call('legacy.shop.svc');
      if (number % 8 === 0) await call('gone.shop.svc');
    },
    [Symbol.asyncDispose]: async () => {
      for (const end of left.reverse()) await end();
    },
  };
}
