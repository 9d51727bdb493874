/** Policies of the bench, as manifests any Istio user would write. */
const service = (ports: readonly number[]) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: echo, namespace: default }
spec:
  hosts: [echo.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints:
${ports.map((port, i) => `  - { address: 127.0.0.1, ports: { http: ${port} }, labels: { version: v${(i % 2) + 1} } }`).join('\n')}
`;

/** A service and nothing else: least request over its endpoints, Istio's default retries, metrics. */
export const plain = service;

/** What a careful team has: split, retries with status codes, timeout, outlier detection, header rules. */
export const full = (ports: readonly number[]) => `${service(ports)}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: echo, namespace: default }
spec:
  hosts: [echo.example.com]
  http:
  - name: canary
    match: [{ headers: { x-canary: { exact: always } } }]
    route: [{ destination: { host: echo.example.com, subset: v2 } }]
  - name: main
    match: [{ uri: { prefix: / } }]
    timeout: 5s
    retries: { attempts: 2, perTryTimeout: 2s, retryOn: "5xx,connect-failure,refused-stream,reset" }
    headers:
      request: { set: { x-tier: gold } }
      response: { remove: [x-internal] }
    route:
    - { destination: { host: echo.example.com, subset: v1 }, weight: 50 }
    - { destination: { host: echo.example.com, subset: v2 }, weight: 50 }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: echo, namespace: default }
spec:
  host: echo.example.com
  trafficPolicy:
    outlierDetection: { consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s }
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
`;
