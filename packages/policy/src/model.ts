/**
 * The traffic model: what a policy document means for one workload.
 *
 * Plain, comparable JSON data in which the dialects of Istio and the Gateway API have become one, and in which every
 * default is filled in. `resolve` makes it, `@inmesh/core` compiles it; nothing behind this page knows Istio's syntax.
 * Units: durations are milliseconds (`…Ms`), shares are percent 0–100 unless a field says otherwise.
 */

import type { InboundModel, PeerRule } from './inbound.ts';
import type { RouteMatch, StringMatch } from './route-match.ts';
import type { Objective, TelemetryModel } from './telemetry.ts';

export type * from './route-match.ts';
export type * from './telemetry.ts';

/** Who asks: the workload this process is. Static conditions (sourceLabels, Sidecar, exportTo, locality) are decided for it. */
export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: Locality;
  /** Network of the workload (`topology.istio.io/network`), '' where there is one network only. */
  readonly network: string;
  /** Kubernetes cluster the workload runs in (Istio's CLUSTER_ID), '' if unknown. */
  readonly cluster: string;
  readonly serviceAccount: string;
  /** Node name, for failoverPriority on `kubernetes.io/hostname`. */
  readonly node: string;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

export interface Model {
  readonly workload: Workload;
  readonly settings: Settings;
  /** Every service this workload may see, sorted by host. */
  readonly services: readonly Service[];
  /** What a client may address, most specific domain wins. */
  readonly hosts: readonly VirtualHost[];
  /** Every destination × subset × port that a route can reach. Sorted by name. */
  readonly clusters: readonly ClusterPolicy[];
  /** Where endpoints that could take mutual TLS do not (PeerAuthentication DISABLE), in order of precedence. Empty: nowhere. */
  readonly peers: readonly PeerRule[];
  /** What this workload demands of its callers. */
  readonly inbound: InboundModel;
  /** What is told of its calls. */
  readonly telemetry: TelemetryModel;
  /** What its services have promised. Sorted by namespace and name. */
  readonly objectives: readonly Objective[];
}

/** Mesh-wide settings (MeshConfig of Istio, plus what only a mesh in the process has). */
export interface Settings {
  readonly rootNamespace: string;
  readonly domain: string;
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  readonly outboundTrafficPolicy: 'ALLOW_ANY' | 'REGISTRY_ONLY';
  readonly enableAutoMtls: boolean;
  readonly dnsRefreshRateMs: number;
  readonly pathNormalization: 'NONE' | 'BASE' | 'MERGE_SLASHES' | 'DECODE_AND_MERGE_SLASHES';
  /** One of at least two endpoints may always be ejected, whatever maxEjectionPercent says. */
  readonly alwaysEjectOne: boolean;
  /** Default cap of connections to one endpoint; a limit of a DestinationRule may lower it. */
  readonly connectionsPerEndpoint: number;
}

export interface Service {
  /** FQDN, or a `*.` wildcard of a ServiceEntry. */
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
  /** Where it was declared: `Service ns/name` or `ServiceEntry ns/name`. */
  readonly resource: string;
  readonly location: 'internal' | 'external';
  readonly resolution: 'static' | 'dns' | 'dnsRoundRobin' | 'dynamicDns' | 'none';
  readonly ports: readonly ServicePort[];
  /** Virtual addresses under which TCP clients dial it. */
  readonly addresses: readonly string[];
  readonly headless: boolean;
  /** Known members. With resolution dns their hosts are names still to be looked up; empty there means: look up `host`. */
  readonly endpoints: readonly EndpointSpec[];
  readonly subjectAltNames: readonly string[];
  /** Annotations `inmesh.dev/…` of the resource: what it is called in other registries. */
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ServicePort {
  readonly number: number;
  readonly name: string;
  /** Upper-case Istio protocol. */
  readonly protocol: 'HTTP' | 'HTTPS' | 'HTTP2' | 'GRPC' | 'GRPC_WEB' | 'TCP' | 'TLS' | 'MONGO' | 'MYSQL' | 'REDIS' | 'UDP' | 'UNSUPPORTED';
}

export interface EndpointSpec {
  /** IP, host name, or `unix:///path`. */
  readonly host: string;
  /** Service port number → port to dial there. */
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality: Locality;
  readonly network: string;
  /** Relative load-balancing weight ≥ 1. */
  readonly weight: number;
  readonly serviceAccount: string;
  /** It takes mutual TLS: label security.istio.io/tlsMode, or for members of a ServiceEntry a service account. `Model.peers` may turn it off. */
  readonly mtls: boolean;
  /** Name of the workload behind it, '' if unknown. */
  readonly workload: string;
  readonly namespace: string;
  readonly node: string;
  /** `draining` takes no new calls while another is healthy, `unhealthy` never does (save in panic). */
  readonly health: 'healthy' | 'draining' | 'unhealthy';
  /** Pod of a headless service: a call whose host is `hostname.` and a name of the service is for this endpoint alone. */
  readonly hostname?: string;
  /** How callers find out whether it is well, where no platform tells them. Left out: they do not. */
  readonly probe?: Probe;
}

/** A health check (WorkloadGroup.probe) that callers carry out; the endpoint itself is dialled. */
export interface Probe {
  readonly initialDelayMs: number;
  readonly timeoutMs: number;
  readonly periodMs: number;
  /** In a row, ≥ 1. */
  readonly successThreshold: number;
  readonly failureThreshold: number;
  readonly ask:
    | {
        readonly kind: 'http';
        readonly port: number;
        readonly path: string;
        /** Host header; null: the address dialled. */
        readonly host: string | null;
        readonly tls: boolean;
        readonly headers: readonly (readonly [name: string, value: string])[];
      }
    | { readonly kind: 'tcp'; readonly port: number }
    /** grpc.health.v1. Port null: that of the endpoint. */
    | { readonly kind: 'grpc'; readonly port: number | null; readonly service: string };
}

/** A probe that a machine carries out on itself: it can run a command, too. */
export interface MachineProbe extends Omit<Probe, 'ask'> {
  readonly ask: Probe['ask'] | { readonly kind: 'exec'; readonly command: readonly string[] };
}

/** One name (with its aliases) on one port: the unit a call is looked up in. */
export interface VirtualHost {
  /** `host:port`, or `host:*`. */
  readonly name: string;
  /** Lower-case, without port; exact names and `*.suffix`. A bare `*` is not used. */
  readonly domains: readonly string[];
  /** Port the client addresses; null = any port (a VirtualService whose host no registry knows). */
  readonly port: number | null;
  /** Host of the service behind it; null if no registry knows it. */
  readonly service: string | null;
  /** In order: the first match decides. None matches → 404 NR. */
  readonly routes: readonly Route[];
  /** Sentences on how this host came to have these routes (which VirtualService won, which lost, quirks). For explain. */
  readonly why: readonly string[];
}

export interface Route {
  /** Route name for logs, metrics and explain; 'default' for the implicit route to a service. */
  readonly name: string;
  /** `VirtualService ns/name`, `HTTPRoute ns/name`…; null for the implicit route. */
  readonly resource: string | null;
  readonly match: RouteMatch;
  readonly action: RouteAction;
  /** Whole call, retries and backoffs included; null = off. */
  readonly timeoutMs: number | null;
  readonly retries: RetryPolicy | null;
  readonly fault: Fault | null;
  readonly mirrors: readonly Mirror[];
  readonly rewrite: Rewrite | null;
  /** Applied to answers the route gives itself (redirect, directResponse). Forwarded calls use the destination's. */
  readonly responseHeaders: readonly HeaderOp[];
  /** Key sources of a consistent-hash destination, combined in order as rotl(h,1) XOR next. */
  readonly hash: readonly HashKey[];
  /** Sentences on what was made of it beside what the document says (`constrain`). Left out: nothing. For explain. */
  readonly why?: readonly string[];
}

export type RouteAction =
  | { readonly kind: 'forward'; readonly destinations: readonly Destination[] }
  | {
      readonly kind: 'redirect';
      readonly status: number;
      readonly scheme: string | null;
      readonly authority: string | null;
      /** null keeps the port of the Host header. */
      readonly port: number | 'protocolDefault' | 'requestPort' | null;
      readonly path: PathRewrite | null;
    }
  | { readonly kind: 'direct'; readonly status: number; readonly body: string; readonly bodyEncoding: 'utf8' | 'base64' }
  /** The policy asks for something no call can have (no valid backend, all weights zero). */
  | { readonly kind: 'refuse'; readonly status: number; readonly why: string };

export interface Destination {
  /** Name of a cluster of this model, or of one that does not exist (then `missing` is set). */
  readonly cluster: string;
  /** Relative share ≥ 1; the share of a call is weight / total. A single destination has weight 1. */
  readonly weight: number;
  /** Set if the service or subset does not exist: calls drawn to it get this status (503 with flag NC; HTTPRoute 500). */
  readonly missing: { readonly status: number; readonly why: string } | null;
  /** All header operations of this choice in the order they apply, route's and destination's already merged. */
  readonly requestHeaders: readonly HeaderOp[];
  readonly responseHeaders: readonly HeaderOp[];
  /** Host rewrite of this choice (route rewrite, or an authority header operation); null keeps it. */
  readonly authority: string | null;
}

/** name is lower-case. remove drops all values, set replaces, add appends. */
export type HeaderOp =
  | { readonly op: 'set'; readonly name: string; readonly value: string }
  | { readonly op: 'add'; readonly name: string; readonly value: string }
  | { readonly op: 'remove'; readonly name: string };

/** Path rewrite only; authority lives on the destination. Queries are kept. */
export type Rewrite = PathRewrite;

export type PathRewrite =
  /** Plain string: the matched prefix is replaced by value. */
  | { readonly kind: 'prefix'; readonly prefix: string; readonly value: string; readonly ignoreCase: boolean }
  /** Gateway API ReplacePrefixMatch, whole segments. */
  | { readonly kind: 'segments'; readonly prefix: string; readonly value: string }
  | { readonly kind: 'full'; readonly value: string }
  /** RE2; every non-overlapping occurrence; \1 refers to a group. */
  | { readonly kind: 'regex'; readonly pattern: string; readonly substitution: string };

export type RetryWord =
  | '5xx'
  | 'gateway-error'
  | 'reset'
  | 'reset-before-request'
  | 'connect-failure'
  | 'retriable-4xx'
  | 'refused-stream'
  | 'retriable-status-codes'
  | 'retriable-headers'
  | 'envoy-ratelimited'
  | 'http3-post-connect-failure'
  | 'cancelled'
  | 'deadline-exceeded'
  | 'internal'
  | 'resource-exhausted'
  | 'unavailable';

export interface RetryPolicy {
  /** Retries beyond the first try, ≥ 1. */
  readonly attempts: number;
  readonly retryOn: readonly RetryWord[];
  readonly statusCodes: readonly number[];
  readonly perTryTimeoutMs: number | null;
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
  /** Avoid endpoints already tried (up to 5 re-picks). */
  readonly ignorePreviousHosts: boolean;
  /** Move to lower priorities after two failed ones. */
  readonly remoteLocalities: boolean;
}

export interface Fault {
  readonly delay: { readonly ms: number; readonly percent: number } | null;
  readonly abort: { readonly httpStatus: number | null; readonly grpcStatus: number | null; readonly percent: number } | null;
}

export interface Mirror {
  readonly cluster: string;
  readonly percent: number;
}

export type HashKey =
  | { readonly kind: 'header'; readonly name: string }
  /** ttlMs null: passive, never generated; 0: session cookie. */
  | {
      readonly kind: 'cookie';
      readonly name: string;
      readonly path: string;
      readonly ttlMs: number | null;
      readonly attributes: readonly { readonly name: string; readonly value: string }[];
    }
  | { readonly kind: 'query'; readonly name: string }
  | { readonly kind: 'sourceIp' };

/** One destination × subset × port, named as Istio names it. */
export interface ClusterPolicy {
  /** `outbound|PORT|SUBSET|HOST`. */
  readonly name: string;
  readonly service: string;
  readonly port: number;
  readonly subset: string | null;
  /** Endpoint labels that make the subset. */
  readonly labels: Readonly<Record<string, string>>;
  /** The DestinationRules it was made from, most important first: `DestinationRule ns/name`. */
  readonly resources: readonly string[];
  readonly protocol: ServicePort['protocol'];
  /** HTTP version spoken upstream: by port protocol, h2UpgradePolicy. */
  readonly http: 'http1' | 'http2';
  readonly location: Service['location'];
  readonly resolution: Service['resolution'];
  readonly loadBalancer: LoadBalancer;
  /** null: off. */
  readonly slowStart: { readonly windowMs: number; readonly minPercent: number; readonly aggression: number } | null;
  readonly locality: LocalityPolicy;
  /** Below this share of healthy endpoints all are used; 0 = never. */
  readonly panicPercent: number;
  readonly connection: ConnectionPolicy;
  readonly limits: Limits;
  /** null: `limits.retries` holds. */
  readonly retryBudget: { readonly percent: number; readonly minConcurrency: number; readonly intervalMs: number } | null;
  readonly outlier: Outlier | null;
  readonly tls: ClientTls;
  /** Calls that may be sent twice at once; of several for a path the first holds. */
  readonly hedging: readonly Hedging[];
}

export type LoadBalancer =
  | { readonly kind: 'roundRobin' }
  | { readonly kind: 'leastRequest' }
  | { readonly kind: 'random' }
  | { readonly kind: 'passthrough' }
  | { readonly kind: 'peakEwma'; readonly decayMs: number; readonly defaultRttMs: number; readonly penaltyMs: number }
  | { readonly kind: 'ringHash'; readonly minimumRingSize: number; readonly maximumRingSize: number }
  | { readonly kind: 'maglev'; readonly tableSize: number };

/**
 * How endpoints are ranked by place (Istio's loadbalancer.go).
 * failover: priority by locality and/or labels; distribute: weights by locality, unmatched localities get nothing.
 */
export type LocalityPolicy =
  | { readonly kind: 'off' }
  | {
      readonly kind: 'failover';
      /** Rank by region/zone/subzone of the workload. */
      readonly byLocality: boolean;
      readonly failover: readonly { readonly from: string; readonly to: string }[];
      /** Labels (`key` or `key=value`) in order of weight. */
      readonly failoverPriority: readonly string[];
    }
  /** Only the entry whose `from` matched this workload. `to` patterns are `region/zone/subzone` with `*`. */
  | { readonly kind: 'distribute'; readonly to: readonly { readonly pattern: string; readonly percent: number }[] };

export interface ConnectionPolicy {
  readonly connectTimeoutMs: number;
  /** Idle pool connection; null = the library's own, below the server's keep-alive. */
  readonly idleTimeoutMs: number | null;
  /** null = no limit. */
  readonly maxConnectionDurationMs: number | null;
  /** 0 = no limit, 1 = no keep-alive. */
  readonly maxRequestsPerConnection: number;
  readonly maxConcurrentStreams: number;
  readonly tcpKeepalive: { readonly probes: number | null; readonly timeMs: number | null; readonly intervalMs: number | null } | null;
}

/** Counters per process × cluster; null = unlimited. */
export interface Limits {
  readonly connections: number | null;
  readonly pending: number | null;
  readonly requests: number | null;
  readonly retries: number | null;
}

export interface Outlier {
  /** 0 = off. */
  readonly consecutive5xx: number;
  readonly consecutiveGateway: number;
  readonly splitLocalOrigin: boolean;
  readonly consecutiveLocalOrigin: number;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionPercent: number;
  readonly alwaysEjectOne: boolean;
  /** Replaces "5xx" as the definition of a bad answer; null = 5xx. */
  readonly statusCodes: readonly number[] | null;
}

/** Idempotent calls, by path, to which a slow attempt gets another beside it. */
export interface Hedging {
  /** `HedgePolicy ns/name`. */
  readonly resource: string;
  readonly paths: readonly StringMatch[];
  /** Time an attempt has before the next is sent beside it. */
  readonly delayMs: number;
  /** The first included, ≥ 2. */
  readonly maxAttempts: number;
}

export interface ClientTls {
  /** `auto`: mutual TLS where both ends have an identity (PeerAuthentication issue), plaintext else. */
  readonly mode: 'auto' | 'DISABLE' | 'SIMPLE' | 'MUTUAL' | 'ISTIO_MUTUAL';
  readonly clientCertificate: string | null;
  readonly privateKey: string | null;
  readonly caCertificates: string | null;
  /** Inline PEM of trusted roots (from a ConfigMap of a BackendTLSPolicy); '' trusts nobody; null = file or system. */
  readonly caPem: string | null;
  readonly caCrl: string | null;
  readonly credentialName: string | null;
  readonly subjectAltNames: readonly string[];
  /** null = the authority of the call. */
  readonly sni: string | null;
  readonly insecureSkipVerify: boolean;
}
