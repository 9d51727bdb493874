import type { Backend } from './processes.ts';
import { GET } from './ratings.ts';
import { ISSUER, jwks } from './tokens.ts';

/** What the director asks of the traffic to reviews. jason, who tests, always gets v3. */
export interface Traffic {
  /** Percent per version, for everyone but jason. */
  readonly split: Readonly<Record<string, number>>;
  /** jason's calls are answered by an injected 500. */
  readonly faultForJason: boolean;
}

/** The version jason gets. */
export const JASON_VERSION = 'v3';

/** The service outside the mesh. */
export const RATES_HOST = 'rates.example.com';

/** Longest an attempt may take before another endpoint is asked. */
const PER_TRY_TIMEOUT_MS = 1000;

/** Who may call whom: everybody of the shop by mutual TLS only, ratings by reviews alone; a visitor with a token must have a good one. */
export function papers(): string {
  return `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: shop }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ratings, namespace: shop }
spec:
  selector: { matchLabels: { app: ratings } }
  action: ALLOW
  rules:
    - from: [{ source: { principals: [cluster.local/ns/shop/sa/reviews] } }]
      to: [{ operation: { paths: [${GET}] } }]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: visitors, namespace: shop }
spec:
  selector: { matchLabels: { app: reviews } }
  jwtRules: [{ issuer: ${ISSUER}, jwks: '${jwks()}' }]
`;
}

/** Where ratings and the world outside are. Like all of this folder, resources as Istio has them. */
export function neighbours(ratings: readonly Backend[], rates: readonly Backend[]): string {
  return `${service('ratings', 'grpc')}---
${workloads('grpc', ratings)}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings, namespace: shop }
spec:
  hosts: [ratings]
  http:
    - name: get
      match: [{ uri: { exact: ${GET} } }]
      timeout: 5s
      retries: { attempts: 3, perTryTimeout: ${PER_TRY_TIMEOUT_MS}ms, retryOn: 'connect-failure,reset,unavailable' }
      route:
        - destination: { host: ratings }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: rates, namespace: shop }
spec:
  hosts: [${RATES_HOST}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints:${rates.map(({ port }) => `\n    - { address: 127.0.0.1, ports: { http: ${port} } }`).join('')}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: rates, namespace: shop }
spec:
  hosts: [${RATES_HOST}]
  http:
    - timeout: 10s
      route:
        - destination: { host: ${RATES_HOST} }
`;
}

/** What reviews is: the service, its versions, and when an endpoint is sent off the field. */
export function reviewsService(): string {
  return `${service('reviews', 'http')}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec:
  host: reviews
  trafficPolicy:
    loadBalancer: { simple: LEAST_REQUEST }
    outlierDetection:
      consecutive5xxErrors: 3
      interval: 1s
      baseEjectionTime: 10s
      maxEjectionPercent: 50
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
    - { name: v3, labels: { version: v3 } }
`;
}

/** What reviews promises. Nothing is done when the budget burns: the story is told to its end. */
export function objectives(): string {
  const objective = (name: string, indicator: string, percent: number): string => `apiVersion: inmesh.dev/v1
kind: ServiceLevelObjective
metadata: { name: ${name}, namespace: shop }
spec: { service: reviews, indicator: { ${indicator} }, objective: ${percent} }
`;
  return `${objective('reviews-answers', 'availability: {}', 99.9)}---\n${objective('reviews-in-time', 'latency: { threshold: 500ms }', 90)}`;
}

/** Where reviews runs at the moment. */
export const reviewsWorkloads = (reviews: readonly Backend[]): string => workloads('http', reviews);

/** Who gets which reviews: the file the director edits. */
export function reviewsTraffic({ split, faultForJason }: Traffic): string {
  const fault = `
      fault:
        abort: { httpStatus: 500, percentage: { value: 100 } }`;
  const routes = Object.entries(split)
    .map(
      ([version, weight]) => `
        - destination: { host: reviews, subset: ${version} }
          weight: ${weight}`,
    )
    .join('');
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: shop }
spec:
  hosts: [reviews]
  http:
    - name: jason
      match: [{ headers: { end-user: { exact: jason } } }]${faultForJason ? fault : ''}
      route:
        - destination: { host: reviews, subset: ${JASON_VERSION} }
    - name: everyone
      timeout: 10s
      retries: { attempts: 3, perTryTimeout: ${PER_TRY_TIMEOUT_MS}ms, retryOn: 'connect-failure,reset,gateway-error' }
      route:${routes}
`;
}

/** A service of the shop: whoever carries its label serves it. */
function service(name: string, protocol: 'http' | 'grpc'): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: shop }
spec:
  hosts: [${name}.shop.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: ${protocol}, protocol: ${protocol.toUpperCase()} }]
  workloadSelector: { labels: { app: ${name} } }
`;
}

/** Processes of the shop, who they are and where they listen. */
function workloads(protocol: 'http' | 'grpc', backends: readonly Backend[]): string {
  return backends
    .map(
      ({ role, version, port }) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${role}-${version}-${port}, namespace: shop }
spec:
  address: 127.0.0.1
  ports: { ${protocol}: ${port} }
  labels: { app: ${role}, version: ${version} }
  serviceAccount: ${role}
`,
    )
    .join('---\n');
}
