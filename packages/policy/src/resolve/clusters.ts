import type { MeshConfigSpec } from '../kinds/mesh-config.ts';
import type { ConnectionPool } from '../kinds/parts/connection-pool.ts';
import type { OutlierDetection } from '../kinds/parts/outlier-detection.ts';
import type { TrafficPolicy } from '../kinds/parts/traffic-policy.ts';
import type {
  ClientTls,
  ClusterPolicy,
  ConnectionPolicy,
  HashKey,
  Limits,
  LoadBalancer,
  Outlier,
  ServicePort,
  Workload,
} from '../model.ts';
import type { BackendTlsPolicies } from './backend-tls.ts';
import { clusterName, type Destinations, type Target } from './destinations.ts';
import { hashKeysFor, keysOf, policyFor, type Rule, type Rules } from './destination-rule.ts';
import type { Hedgings } from './hedging.ts';
import type { KnownService } from './known-service.ts';
import { localityPolicy } from './locality.ts';
import { compareText } from './order.ts';

import type { Scope } from './sidecar.ts';

/** The clusters of a model in the making: a cluster is made when the first route asks for it. */
export interface Clusters extends Destinations {
  /** Key sources of the implicit route to a service: there the port is always known. */
  implicitHash(known: KnownService, port: number): readonly HashKey[];
  /** The services some cluster calls. */
  readonly reached: ReadonlySet<KnownService>;
  all(): readonly ClusterPolicy[];
}

/** What the policy of a cluster is made from. */
export interface ClusterInput {
  readonly workload: Workload;
  readonly scope: Scope;
  readonly rules: Rules;
  readonly backendTls: BackendTlsPolicies;
  readonly hedgings: Hedgings;
  readonly mesh: MeshConfigSpec;
}

export function clustersOf(input: ClusterInput): Clusters {
  const { scope, rules } = input;
  const made = new Map<string, ClusterPolicy>();
  const reached = new Set<KnownService>();
  const ruleOf = (host: string): Rule | undefined => {
    const known = scope.destination(host);
    return known === undefined ? undefined : rules.for(known.service);
  };

  // Subsets and ports share the blocks of their rule, and most clusters the defaults: thousands need not have their own.
  const shared: Shared = {
    connection: perBlock((pool) => connectionOf(pool, input.mesh)),
    limits: perBlock(limitsOf),
    implicitTls: perBlock((known) => implicitTls(known, input.mesh)),
  };

  const reach: Destinations['reach'] = ({ host, subset, port }, addressed) => {
    const known = scope.destination(host);
    // Istio's GetDestinationCluster: the port named, else the only one, else the one the client addresses.
    const ports = known?.service.ports ?? [];
    const number = port ?? (ports.length === 1 ? ports[0]!.number : (addressed ?? 0));
    const cluster = clusterName(number, subset, host);
    if (made.has(cluster)) return { cluster, missing: null };
    if (known === undefined)
      return { cluster, missing: `there is no service "${host}", or it is not exported to namespace ${input.workload.namespace}` };
    const servicePort = ports.find((one) => one.number === number);
    if (servicePort === undefined)
      return {
        cluster,
        missing: `service "${host}" has no port ${number === 0 ? 'of the number addressed' : number}; it has ${ports.map((one) => one.number).join(', ') || 'none'}`,
      };
    const rule = rules.for(known.service);
    if (subset !== undefined && rule?.subsets.has(subset) !== true)
      return { cluster, missing: `no DestinationRule in force defines subset "${subset}" of "${host}"` };
    made.set(cluster, clusterOf(cluster, known, servicePort, subset, rule, input, shared));
    reached.add(known);
    return { cluster, missing: null };
  };

  // Where the algorithm is the mesh's, so is its key.
  const meshHash = input.mesh.defaultTrafficPolicy?.loadBalancer?.consistentHash;
  const meshKeys = meshHash === undefined ? [] : keysOf(meshHash);
  const keys = (rule: Rule | undefined, subset: string | undefined, port: number | undefined): readonly HashKey[] =>
    meshKeys.length > 0 && policyFor(rule, subset, port ?? 0, undefined).loadBalancer === undefined
      ? meshKeys
      : hashKeysFor(rule, subset, port);

  return {
    reach,
    reached,
    hashKeys: ({ host, subset, port }: Target) => keys(ruleOf(host), subset, port),
    implicitHash: ({ service }, port) => keys(rules.for(service), undefined, port),
    all: () => [...made.values()].sort((a, b) => compareText(a.name, b.name)),
  };
}

interface Shared {
  connection(pool: ConnectionPool | undefined): ConnectionPolicy;
  limits(pool: ConnectionPool | undefined): Limits;
  implicitTls(known: KnownService): ClientTls;
}

/** Values made once for each thing they are made from. */
function perBlock<Block, Value>(make: (block: Block) => Value): (block: Block) => Value {
  const values = new Map<Block, Value>();
  return (block) => {
    let value = values.get(block);
    if (value === undefined) values.set(block, (value = make(block)));
    return value;
  };
}

function clusterOf(
  name: string,
  known: KnownService,
  port: ServicePort,
  subset: string | undefined,
  rule: Rule | undefined,
  input: ClusterInput,
  shared: Shared,
): ClusterPolicy {
  const { mesh, workload } = input;
  const { service } = known;
  const policy = policyFor(rule, subset, port.number, mesh.defaultTrafficPolicy);
  const balancing = policy.loadBalancer ?? mesh.defaultTrafficPolicy?.loadBalancer;
  const backendTls = policy.tls === undefined ? input.backendTls(service, port) : undefined;
  const { outlierDetection, connectionPool, retryBudget } = policy;
  const loadBalancer = loadBalancerOf(balancing, service.resolution, rule?.peakEwma === true);
  return {
    name,
    service: service.host,
    port: port.number,
    subset: subset ?? null,
    labels: subset === undefined ? {} : (rule?.subsets.get(subset)?.labels ?? {}),
    resources: [...(rule?.resources ?? []), ...(backendTls === undefined ? [] : [backendTls.resource])],
    protocol: port.protocol,
    http: httpOf(port.protocol, connectionPool, mesh),
    location: service.location,
    resolution: service.resolution,
    loadBalancer,
    slowStart: slowStartOf(balancing, loadBalancer),
    locality: localityPolicy(
      balancing?.localityLbSetting,
      known.trafficDistribution,
      mesh.localityLbSetting,
      outlierDetection !== undefined,
      workload.locality,
    ),
    panicPercent: known.publishNotReady ? 0 : outlierDetection === undefined ? ENVOY_PANIC : (outlierDetection.minHealthPercent ?? 0),
    connection: shared.connection(connectionPool),
    limits: shared.limits(connectionPool),
    retryBudget:
      retryBudget === undefined
        ? null
        : {
            percent: retryBudget.percent ?? 20,
            minConcurrency: retryBudget.minRetryConcurrency ?? 3,
            intervalMs: retryBudget.budgetInterval ?? 0,
          },
    outlier: outlierDetection === undefined ? null : outlierOf(outlierDetection, mesh.alwaysEjectOne),
    tls: policy.tls === undefined ? (backendTls?.tls ?? shared.implicitTls(known)) : tlsOf(policy.tls, service.subjectAltNames),
    hedging: input.hedgings(service),
  };
}

/** Envoy's healthy_panic_threshold, left alone where nothing can turn unhealthy. */
const ENVOY_PANIC = 50;

/** A loadBalancer block of the mesh, which knows one algorithm more than that of a rule. */
type Balancing = NonNullable<MeshConfigSpec['defaultTrafficPolicy']>['loadBalancer'];

const PEAK_EWMA: LoadBalancer = { kind: 'peakEwma', decayMs: 10_000, defaultRttMs: 30, penaltyMs: 5000 };
const RING_SIZE = 1024;
const MAXIMUM_RING_SIZE = 8_388_608;
const MAGLEV_SIZE = 65_537;

/** The annotation replaces an algorithm without a key; a key, or PASSTHROUGH, was asked for on purpose. */
function loadBalancerOf(settings: Balancing, resolution: ClusterPolicy['resolution'], peakEwma: boolean): LoadBalancer {
  // The address is what the caller asked for: there is nothing to choose from.
  if (resolution === 'none' || resolution === 'dynamicDns') return { kind: 'passthrough' };
  const hash = settings?.consistentHash;
  if (hash !== undefined) {
    if (hash.maglev !== undefined) return { kind: 'maglev', tableSize: hash.maglev.tableSize === 0 ? MAGLEV_SIZE : hash.maglev.tableSize };
    const size = hash.ringHash?.minimumRingSize ?? hash.minimumRingSize ?? 0;
    return { kind: 'ringHash', minimumRingSize: size === 0 ? RING_SIZE : size, maximumRingSize: MAXIMUM_RING_SIZE };
  }
  if (settings?.simple === 'PASSTHROUGH') return { kind: 'passthrough' };
  if (peakEwma) return PEAK_EWMA;
  switch (settings?.simple) {
    case 'PEAK_EWMA':
      return PEAK_EWMA;
    case 'ROUND_ROBIN':
      return { kind: 'roundRobin' };
    case 'RANDOM':
      return { kind: 'random' };
    default:
      return { kind: 'leastRequest' };
  }
}

/** Slow start exists for round robin and least request only (Envoy). */
function slowStartOf(settings: Balancing, { kind }: LoadBalancer): ClusterPolicy['slowStart'] {
  const windowMs = settings?.warmup?.duration ?? settings?.warmupDurationSecs;
  if (windowMs === undefined || (kind !== 'roundRobin' && kind !== 'leastRequest')) return null;
  return { windowMs, minPercent: settings?.warmup?.minimumPercent ?? 10, aggression: settings?.warmup?.aggression ?? 1 };
}

function httpOf(protocol: ServicePort['protocol'], pool: ConnectionPool | undefined, mesh: MeshConfigSpec): ClusterPolicy['http'] {
  if (protocol === 'HTTP2' || protocol === 'GRPC' || protocol === 'GRPC_WEB') return 'http2';
  if (protocol !== 'HTTP') return 'http1'; // Istio upgrades ports declared HTTP only
  const asked = pool?.http?.h2UpgradePolicy ?? 'DEFAULT';
  return (asked === 'DEFAULT' ? mesh.h2UpgradePolicy : asked) === 'UPGRADE' ? 'http2' : 'http1';
}

const MAXIMUM_STREAMS = 2_147_483_647;

function connectionOf(pool: ConnectionPool | undefined, mesh: MeshConfigSpec): ConnectionPolicy {
  const { tcp, http } = pool ?? {};
  const keepalive = tcp?.tcpKeepalive;
  return {
    connectTimeoutMs: tcp?.connectTimeout ?? mesh.connectTimeout,
    // Istio's default of an hour, and its "never", would outlive the keep-alive of most servers: see the model.
    idleTimeoutMs: (http?.idleTimeout ?? tcp?.idleTimeout) || null,
    maxConnectionDurationMs: tcp?.maxConnectionDuration ?? null,
    maxRequestsPerConnection: http?.maxRequestsPerConnection ?? 0,
    maxConcurrentStreams: http?.maxConcurrentStreams ?? MAXIMUM_STREAMS,
    tcpKeepalive:
      keepalive === undefined
        ? null
        : { probes: keepalive.probes ?? null, timeMs: keepalive.time ?? null, intervalMs: keepalive.interval ?? null },
  };
}

/** Istio sets Envoy's four thresholds to 2³²−1; its fields are int32, so their largest value means the same. */
const limit = (value: number | undefined): number | null => (value === undefined || value <= 0 || value >= MAXIMUM_STREAMS ? null : value);

const limitsOf = (pool: ConnectionPool | undefined): Limits => ({
  connections: limit(pool?.tcp?.maxConnections),
  pending: limit(pool?.http?.http1MaxPendingRequests),
  requests: limit(pool?.http?.http2MaxRequests),
  retries: limit(pool?.http?.maxRetries),
});

const outlierOf = (outlier: OutlierDetection, alwaysEjectOne: boolean): Outlier => ({
  consecutive5xx: outlier.consecutive5xxErrors ?? 5,
  consecutiveGateway: outlier.consecutiveGatewayErrors ?? 0,
  splitLocalOrigin: outlier.splitExternalLocalOriginErrors,
  consecutiveLocalOrigin: outlier.consecutiveLocalOriginFailures ?? 5,
  intervalMs: outlier.interval ?? 10_000,
  baseEjectionMs: outlier.baseEjectionTime ?? 30_000,
  maxEjectionPercent: outlier.maxEjectionPercent ?? 10,
  alwaysEjectOne,
  statusCodes: outlier.outlierDetectionHttpErrorCodes.length > 0 ? outlier.outlierDetectionHttpErrorCodes : null,
});

const tlsOf = (tls: NonNullable<TrafficPolicy['tls']>, serviceNames: readonly string[]): ClientTls => ({
  mode: tls.mode,
  clientCertificate: tls.clientCertificate ?? null,
  privateKey: tls.privateKey ?? null,
  caCertificates: tls.caCertificates ?? null,
  caPem: null,
  caCrl: tls.caCrl ?? null,
  credentialName: tls.credentialName ?? null,
  subjectAltNames: tls.subjectAltNames.length > 0 ? tls.subjectAltNames : serviceNames,
  sni: tls.sni ?? null,
  insecureSkipVerify: tls.insecureSkipVerify,
});

/** Nobody said anything: mutual TLS where both ends have an identity; plaintext to what is outside the mesh. */
const implicitTls = ({ service }: KnownService, mesh: MeshConfigSpec): ClientTls => ({
  mode: service.location === 'internal' && mesh.enableAutoMtls ? 'auto' : 'DISABLE',
  clientCertificate: null,
  privateKey: null,
  caCertificates: null,
  caPem: null,
  caCrl: null,
  credentialName: null,
  subjectAltNames: service.subjectAltNames,
  sni: null,
  insecureSkipVerify: false,
});
