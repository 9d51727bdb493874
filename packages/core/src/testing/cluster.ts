import type { ClusterPolicy, EndpointSpec, Outlier, Service, Workload } from '@inmesh/policy';
import { testLocality } from './exchange.ts';

/** Who calls: a workload with no locality. */
export function testWorkload(fields: Partial<Workload> = {}): Workload {
  return {
    name: 'caller',
    namespace: 'default',
    labels: {},
    locality: testLocality(''),
    network: '',
    cluster: '',
    serviceAccount: 'default',
    node: '',
    ...fields,
  };
}

/** An EndpointSpec on `host` that serves port 80 at 8080 unless `ports` says otherwise. */
export function testSpec(host: string, fields: Partial<EndpointSpec> = {}): EndpointSpec {
  return {
    host,
    ports: { 80: 8080 },
    labels: {},
    locality: testLocality(''),
    network: '',
    weight: 1,
    serviceAccount: '',
    mtls: false,
    workload: '',
    namespace: '',
    node: '',
    health: 'healthy',
    ...fields,
  };
}

/** The Kubernetes service `reviews` on port 80, resolved statically, without endpoints. */
export function testService(fields: Partial<Service> = {}): Service {
  return {
    host: 'reviews.default.svc.cluster.local',
    name: 'reviews',
    namespace: 'default',
    resource: 'Service default/reviews',
    location: 'internal',
    resolution: 'static',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    addresses: [],
    headless: false,
    endpoints: [],
    subjectAltNames: [],
    annotations: {},
    ...fields,
  };
}

/** Istio's defaults for `reviews` on port 80, but round robin, HTTP/1, no limits, no outlier detection. */
export function testClusterPolicy(fields: Partial<ClusterPolicy> = {}): ClusterPolicy {
  return {
    name: 'outbound|80||reviews.default.svc.cluster.local',
    service: 'reviews.default.svc.cluster.local',
    port: 80,
    subset: null,
    labels: {},
    resources: [],
    hedging: [],
    protocol: 'HTTP',
    http: 'http1',
    location: 'internal',
    resolution: 'static',
    loadBalancer: { kind: 'roundRobin' },
    slowStart: null,
    locality: { kind: 'off' },
    panicPercent: 0,
    connection: {
      connectTimeoutMs: 10_000,
      idleTimeoutMs: null,
      maxConnectionDurationMs: null,
      maxRequestsPerConnection: 0,
      maxConcurrentStreams: 2 ** 31 - 1,
      tcpKeepalive: null,
    },
    limits: { connections: null, pending: null, requests: null, retries: null },
    retryBudget: null,
    outlier: null,
    tls: {
      mode: 'DISABLE',
      clientCertificate: null,
      privateKey: null,
      caCertificates: null,
      caPem: null,
      caCrl: null,
      credentialName: null,
      subjectAltNames: [],
      sni: null,
      insecureSkipVerify: false,
    },
    ...fields,
  };
}

/** Istio's defaults of `outlierDetection: {}`: 5 bad answers in a row, sweeps of 10 s, 30 s base, 10 % at most, but always one. */
export function testOutlier(fields: Partial<Outlier> = {}): Outlier {
  return {
    consecutive5xx: 5,
    consecutiveGateway: 0,
    splitLocalOrigin: false,
    consecutiveLocalOrigin: 5,
    intervalMs: 10_000,
    baseEjectionMs: 30_000,
    maxEjectionPercent: 10,
    alwaysEjectOne: true,
    statusCodes: null,
    ...fields,
  };
}
