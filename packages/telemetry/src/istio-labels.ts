import type { Endpoint, InboundInfo, Principal, RouteInfo } from '@inmesh/core';
import { printFlags } from '@inmesh/core';
import { canonicalRevision, canonicalService, type Workload } from '@inmesh/policy';

// Labels of Istio's standard metrics as its istio_stats filter fills them for reporter="source" (istio.io "Istio Standard
// Metrics"; envoy contrib/istio/filters/http/istio_stats). What is not known is "unknown", never empty: dashboards and Kiali drop
// series that lack one of them.

type Labels = Readonly<Record<string, string>>;

const UNKNOWN = 'unknown' as const;
/** What Istio calls a cluster nobody named (CLUSTER_ID). */
const DEFAULT_CLUSTER = 'Kubernetes';
/** Clusters that stand for traffic outside the mesh: Istio prints their names as the service's. */
const OUTSIDE: ReadonlySet<string> = new Set(['PassthroughCluster', 'BlackHoleCluster']);

const known = (...values: (string | undefined)[]): string => values.find((value) => value !== undefined && value !== '') ?? UNKNOWN;

const canonical = (labels: Labels, workload: string): string => known(canonicalService(labels, workload).value);

/** The process itself: the same in all of its series. */
export function sourceLabels({ name, namespace, labels, cluster }: Workload): Labels {
  return {
    reporter: 'source',
    source_workload: known(name),
    source_canonical_service: canonical(labels, name),
    source_canonical_revision: canonicalRevision(labels).value,
    source_workload_namespace: known(namespace),
    // Ours, once connections carry it: plaintext has no principal.
    source_principal: UNKNOWN,
    source_app: known(labels['app']),
    source_version: known(labels['version']),
    source_cluster: cluster === '' ? DEFAULT_CLUSTER : cluster,
  };
}

/** The workload behind an endpoint; of calls that reached none, everything is unknown. */
export function destinationLabels(endpoint: Endpoint | undefined, workload: Workload, trustDomain: string): Labels {
  const labels: Labels = endpoint?.labels ?? {};
  const { namespace = '', serviceAccount = '', workload: name = '' } = endpoint ?? {};
  // An endpoint with a namespace is a workload of the mesh; if it does not say of which cluster, it is of ours.
  const cluster = known(labels['topology.istio.io/cluster'], namespace === '' ? undefined : workload.cluster || DEFAULT_CLUSTER);
  return {
    destination_workload: known(name),
    destination_workload_namespace: known(namespace),
    destination_principal: principal(serviceAccount, namespace, trustDomain),
    destination_app: known(labels['app']),
    destination_version: known(labels['version']),
    destination_canonical_service: canonical(labels, name),
    destination_canonical_revision: canonicalRevision(labels).value,
    destination_cluster: cluster,
  };
}

function principal(serviceAccount: string, namespace: string, trustDomain: string): string {
  if (serviceAccount.startsWith('spiffe://')) return serviceAccount;
  return serviceAccount === '' || namespace === '' ? UNKNOWN : `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

/** What was asked for, from the registry; of traffic outside the mesh, the host as it was called. */
export function serviceLabels({ cluster, service, serviceName, serviceNamespace }: RouteInfo): Labels {
  return {
    destination_service: known(service),
    destination_service_name: OUTSIDE.has(cluster) ? cluster : known(serviceName, service.split('.', 1)[0]),
    destination_service_namespace: known(serviceNamespace),
  };
}

/** Who called, as far as its certificate says; what only a proxy's exchange of metadata could tell is unknown, as from a caller without one. */
export function peerLabels(principal: Principal | undefined): Labels {
  return {
    reporter: 'destination',
    source_workload: UNKNOWN,
    source_canonical_service: UNKNOWN,
    source_canonical_revision: 'latest',
    source_workload_namespace: known(principal?.namespace),
    source_principal: known(principal?.uri),
    source_app: UNKNOWN,
    source_version: UNKNOWN,
    source_cluster: UNKNOWN,
  };
}

/** The process itself, as the one that is called. */
export function ownLabels({ name, namespace, labels, cluster, serviceAccount }: Workload, trustDomain: string, info: InboundInfo): Labels {
  return {
    destination_workload: known(name),
    destination_workload_namespace: known(namespace),
    destination_principal: principal(serviceAccount, namespace, trustDomain),
    destination_app: known(labels['app']),
    destination_version: known(labels['version']),
    destination_canonical_service: canonical(labels, name),
    destination_canonical_revision: canonicalRevision(labels).value,
    destination_cluster: cluster === '' ? DEFAULT_CLUSTER : cluster,
    destination_service: known(info.service, canonical(labels, name)),
    destination_service_name: known(info.serviceName, canonical(labels, name)),
    destination_service_namespace: known(info.serviceNamespace, namespace),
  };
}

/** What came of it. `grpcStatus` −1 leaves its label out, as Istio does for what is not gRPC. */
export function outcomeLabels(
  protocol: RouteInfo['protocol'],
  status: number,
  grpcStatus: number,
  flags: number,
  security: 'mutual_tls' | 'none' | 'unknown' = UNKNOWN,
): Labels {
  return {
    request_protocol: grpcStatus >= 0 ? 'grpc' : protocol,
    response_code: String(status),
    ...(grpcStatus >= 0 ? { grpc_response_status: String(grpcStatus) } : {}),
    response_flags: printFlags(flags),
    // Envoy's client side cannot tell whether the server took the certificate, and always says unknown; its server side can.
    connection_security_policy: security,
  };
}

const OVERFLOW = 'overflow';

/** Where calls are counted for which no series may be made any more. */
export const overflowLabels: Labels = {
  destination_workload: OVERFLOW,
  destination_workload_namespace: OVERFLOW,
  destination_principal: OVERFLOW,
  destination_app: OVERFLOW,
  destination_version: OVERFLOW,
  destination_canonical_service: OVERFLOW,
  destination_canonical_revision: OVERFLOW,
  destination_cluster: OVERFLOW,
  destination_service: OVERFLOW,
  destination_service_name: OVERFLOW,
  destination_service_namespace: OVERFLOW,
};

/** What came of them, where it is counted. */
export const overflowOutcome: Labels = {
  request_protocol: OVERFLOW,
  response_code: OVERFLOW,
  response_flags: OVERFLOW,
  connection_security_policy: UNKNOWN,
};
