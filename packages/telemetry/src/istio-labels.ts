import type { Endpoint, InboundInfo, Peer, RouteInfo } from '@inmesh/core';
import { printFlags } from '@inmesh/core';
import { canonicalRevision, canonicalService, type Workload } from '@inmesh/policy';
import { uriOf } from './facts.ts';
import type { Shape } from './istio-families.ts';

// Labels of Istio's standard metrics as its istio_stats filter fills them (istio.io "Istio Standard Metrics"; envoy
// contrib/istio/filters/http/istio_stats). What is not known is "unknown", never empty: dashboards and Kiali drop series that lack one
// of them.

export type Labels = Readonly<Record<string, string>>;

/** connection_security_policy. */
export type Security = 'mutual_tls' | 'none';

const UNKNOWN = 'unknown' as const;
/** What Istio calls a cluster nobody named (CLUSTER_ID). */
const DEFAULT_CLUSTER = 'Kubernetes';
/** Clusters that stand for traffic outside the mesh: Istio prints their names as the service's. */
export const OUTSIDE: ReadonlySet<string> = new Set(['PassthroughCluster', 'BlackHoleCluster']);

const known = (...values: (string | undefined)[]): string => values.find((value) => value !== undefined && value !== '') ?? UNKNOWN;

const canonical = (labels: Labels, workload: string): string => known(canonicalService(labels, workload).value);

const clusterOf = ({ cluster }: Workload): string => known(cluster, DEFAULT_CLUSTER);

/** The process itself as the one who calls. `principal`: what it proved to be on this connection. */
export function sourceLabels(workload: Workload, principal: string | undefined): Labels {
  const { name, namespace, labels } = workload;
  return {
    reporter: 'source',
    source_workload: known(name),
    source_canonical_service: canonical(labels, name),
    source_canonical_revision: canonicalRevision(labels).value,
    source_workload_namespace: known(namespace),
    source_principal: known(principal),
    source_app: known(labels['app']),
    source_version: known(labels['version']),
    source_cluster: clusterOf(workload),
  };
}

/** The workload behind an endpoint; of calls that reached none, only what their service says is known. */
export function destinationLabels(
  endpoint: Endpoint | undefined,
  { serviceNamespace }: RouteInfo,
  workload: Workload,
  trustDomain: string,
): Labels {
  const labels: Labels = endpoint?.labels ?? {};
  const { namespace = '', serviceAccount = '', workload: name = '' } = endpoint ?? {};
  // A service of the mesh that does not say of which cluster is of ours: Kiali drops those of none.
  const cluster = known(labels['topology.istio.io/cluster'], namespace === '' && serviceNamespace === '' ? undefined : clusterOf(workload));
  const principal = known(uriOf({ namespace, serviceAccount }, trustDomain));
  return {
    destination_workload: known(name),
    // As Istio: whom a certificate names comes before what metadata says.
    destination_workload_namespace: known(/\/ns\/([^/]+)\//.exec(principal)?.[1], namespace),
    destination_principal: principal,
    destination_app: known(labels['app']),
    destination_version: known(labels['version']),
    destination_canonical_service: canonical(labels, name),
    destination_canonical_revision: canonicalRevision(labels).value,
    destination_cluster: cluster,
  };
}

/** What was asked for, from the registry; of traffic outside the mesh, the host as it was called. */
export function serviceLabels({ cluster, service, serviceName, serviceNamespace }: RouteInfo): Labels {
  return {
    destination_service: known(service),
    destination_service_name: OUTSIDE.has(cluster) ? cluster : known(serviceName, service.split('.', 1)[0]),
    destination_service_namespace: known(serviceNamespace),
  };
}

/** Who calls: what his certificate says first, then what he says of himself. */
export function callerLabels({ principal, metadata }: Peer): Labels {
  const { workload = '', namespace = '', cluster = '', labels = {} } = metadata ?? {};
  return {
    reporter: 'destination',
    source_workload: known(workload),
    source_canonical_service: canonical(labels, workload),
    source_canonical_revision: canonicalRevision(labels).value,
    source_workload_namespace: known(principal?.namespace, namespace),
    source_principal: known(principal?.uri),
    source_app: known(labels['app']),
    source_version: known(labels['version']),
    source_cluster: known(cluster),
  };
}

/** The process itself as the one that is called. `principal`: what it proved to be on this connection. */
export function calledLabels(workload: Workload, principal: string | undefined, info: InboundInfo): Labels {
  const { name, namespace, labels } = workload;
  return {
    destination_workload: known(name),
    destination_workload_namespace: known(namespace),
    destination_principal: known(principal),
    destination_app: known(labels['app']),
    destination_version: known(labels['version']),
    destination_canonical_service: canonical(labels, name),
    destination_canonical_revision: canonicalRevision(labels).value,
    destination_cluster: clusterOf(workload),
    destination_service: known(info.service, canonical(labels, name)),
    destination_service_name: known(info.serviceName, canonical(labels, name)),
    destination_service_namespace: known(info.serviceNamespace, namespace),
  };
}

/** What came of a call. `grpcStatus` −1 leaves its label out, as Istio does for what is not gRPC. */
export function outcomeLabels(protocol: 'http' | 'grpc', status: number, grpcStatus: number, flags: number, security: Security): Labels {
  return {
    request_protocol: protocol,
    response_code: String(status),
    ...(grpcStatus >= 0 ? { grpc_response_status: String(grpcStatus) } : {}),
    response_flags: printFlags(flags),
    connection_security_policy: security,
  };
}

/** What came of a connection of TCP. */
export function connectionLabels(flags: number, security: Security): Labels {
  return { request_protocol: 'tcp', response_flags: printFlags(flags), connection_security_policy: security };
}

const OVERFLOW = 'overflow';

/** Labels of whoever is at the other side. */
const OTHERS = {
  client: [
    'destination_workload', 'destination_workload_namespace', 'destination_principal', 'destination_app', 'destination_version', 'destination_canonical_service',
    'destination_canonical_revision', 'destination_cluster', 'destination_service', 'destination_service_name', 'destination_service_namespace',
  ],
  server: [
    'source_workload', 'source_canonical_service', 'source_canonical_revision', 'source_workload_namespace', 'source_principal', 'source_app', 'source_version',
    'source_cluster',
  ],
} as const; // prettier-ignore

const OUTCOMES = {
  calls: ['request_protocol', 'response_code', 'response_flags', 'connection_security_policy'],
  messages: [],
  connections: ['request_protocol', 'response_flags', 'connection_security_policy'],
} as const;

/** Where is counted for what no series may be made any more: of the other side, and of what came of it, nothing is said. `own`: labels of this one. */
export function overflowLabels(shape: Shape, side: 'client' | 'server', own: Labels): Labels {
  return { ...own, ...Object.fromEntries([...OTHERS[side], ...OUTCOMES[shape]].map((name) => [name, OVERFLOW])) };
}
