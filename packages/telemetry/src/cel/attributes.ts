import type { Clock, EndedCall } from '@inmesh/core';
import { canonicalRevision, canonicalService, type Workload } from '@inmesh/policy';
import {
  callerUri,
  type CallInfo,
  calledUri,
  connectionOf,
  fullPath,
  httpProtocol,
  localAddress,
  peerOf,
  portOf,
  remoteAddress,
  requestHeader,
  responseHeader,
  startOf,
  upstreamAddress,
} from '../facts.ts';

/** Where an attribute is read from. */
export interface Source {
  readonly call: EndedCall;
  readonly info: CallInfo;
  readonly workload: Workload;
  readonly trustDomain: string;
  readonly clock: Clock;
  /** CEL's own durations, of milliseconds. */
  readonly duration: (ms: number) => unknown;
}

/** undefined: the call has no such attribute, and an expression that asks for it without `has` fails. */
export type Attribute = (source: Source) => unknown;

/** What stands below a name: more of them, a value, or headers by name. */
export type Attributes = Attribute | Headers | { readonly [name: string]: Attributes };

/** Headers of one message; only those an expression names are read. */
export class Headers {
  readonly read: (call: EndedCall, name: string) => string | undefined;

  constructor(read: (call: EndedCall, name: string) => string | undefined) {
    this.read = read;
  }
}

const int = (value: number | undefined): bigint | undefined => (value === undefined ? undefined : BigInt(Math.trunc(value)));
const filled = (value: string | undefined): string | undefined => (value === '' ? undefined : value);
const never: Attribute = () => undefined;
const header =
  (name: string): Attribute =>
  ({ call }) =>
    requestHeader(call, name);
const ofCall =
  (read: (call: NonNullable<EndedCall['call']>) => string): Attribute =>
  ({ call: { call } }) =>
    call === undefined || call.protocol === 'tcp' ? undefined : read(call);

/** What a sidecar would have learned of a workload; the same names for whoever is at the other end. */
function workloadAttributes(read: (source: Source) => PeerFacts | undefined): Attributes {
  const of =
    (take: (facts: PeerFacts) => unknown): Attribute =>
    (source) => {
      const facts = read(source);
      const value = facts === undefined ? undefined : take(facts);
      return value === '' ? undefined : value;
    };
  return {
    workload: of(({ workload }) => workload),
    name: of(({ workload }) => workload),
    namespace: of(({ namespace }) => namespace),
    cluster: of(({ cluster }) => cluster),
    service: of(({ workload, labels }) => labels && canonicalService(labels, workload ?? '').value),
    revision: of(({ labels }) => labels && canonicalRevision(labels).value),
    app: of(({ labels }) => labels?.['app']),
    version: of(({ labels }) => labels?.['version']),
    labels: of(({ labels }) => labels),
    principal: of(({ principal }) => principal),
    identity: of(({ principal }) => principal),
  };
}

interface PeerFacts {
  readonly workload: string | undefined;
  readonly namespace: string | undefined;
  readonly cluster: string | undefined;
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly principal: string | undefined;
}

function upstreamPeer({ call, info, workload, trustDomain }: Source): PeerFacts | undefined {
  const { endpoint } = call;
  if (info.side === 'server' || endpoint === undefined) return undefined;
  return {
    workload: endpoint.workload,
    namespace: endpoint.namespace,
    cluster: endpoint.labels['topology.istio.io/cluster'],
    labels: endpoint.labels,
    principal: calledUri(call, info, workload, trustDomain),
  };
}

/** A caller is who it proved to be, and beyond that what it says of itself. */
function downstreamPeer({ call }: Source): PeerFacts | undefined {
  const { principal, metadata } = peerOf(call) ?? {};
  if (principal === undefined && metadata === undefined) return undefined;
  return {
    workload: metadata?.workload,
    namespace: principal?.namespace ?? metadata?.namespace,
    cluster: metadata?.cluster,
    labels: metadata?.labels,
    principal: principal?.uri,
  };
}

const node: Attributes = {
  id: ({ workload: { name, namespace } }) => `${name}.${namespace}`,
  cluster: ({ workload: { name, namespace } }) => `${name}.${namespace}`,
  locality: {
    region: ({ workload }) => workload.locality.region,
    zone: ({ workload }) => workload.locality.zone,
    sub_zone: ({ workload }) => workload.locality.subzone,
  },
  metadata: ({ workload: { name, namespace, labels, cluster, serviceAccount, network, node: machine } }) => ({
    NAME: name,
    WORKLOAD_NAME: name,
    NAMESPACE: namespace,
    LABELS: labels,
    CLUSTER_ID: cluster,
    SERVICE_ACCOUNT: serviceAccount,
    NETWORK: network,
    NODE_NAME: machine,
  }),
};

/** Certificates' fields a SPIFFE identity leaves empty, and facts no library tells: known names without a value. */
const unknownOfTls: Attributes & object = {
  tls_version: never,
  subject_local_certificate: never,
  subject_peer_certificate: never,
  dns_san_local_certificate: never,
  dns_san_peer_certificate: never,
  sha256_peer_certificate_digest: never,
};

/** Envoy's attributes (docs "Attributes"; source/extensions/filters/common/expr/context.cc) and Istio's of peers. */
export const ATTRIBUTES: { readonly [name: string]: Attributes } = {
  request: {
    path: ({ call }) => fullPath(call),
    url_path: ofCall(({ path }) => path),
    host: ofCall(({ authority }) => authority),
    scheme: ofCall(({ scheme }) => scheme),
    method: ofCall(({ method }) => method),
    query: ofCall(({ query }) => query),
    headers: new Headers(requestHeader),
    referer: header('referer'),
    useragent: header('user-agent'),
    id: header('x-request-id'),
    protocol: ({ call }) => httpProtocol(call),
    time: ({ call, clock }) => new Date(startOf(call, clock.wall())),
    duration: ({ call, duration }) => duration(call.ms),
    size: ({ call }) => int(call.requestBytes),
    total_size: ({ call }) => int(call.requestHead + call.requestBytes),
  },
  response: {
    // Not set where nothing was sent, so that `response.code >= 400` fails for a caller who left.
    code: ({ call }) => (call.status === 0 ? undefined : int(call.status)),
    code_details: ({ call }) => filled(call.details),
    flags: ({ call }) => int(call.flags),
    grpc_status: ({ call }) => (call.grpcStatus < 0 ? undefined : int(call.grpcStatus)),
    headers: new Headers(responseHeader),
    trailers: new Headers(() => undefined),
    size: ({ call }) => int(call.responseBytes),
    total_size: ({ call }) => int(call.responseHead + call.responseBytes),
    backend_latency: ({ call, duration }) => (call.upstreamMs < 0 ? undefined : duration(call.upstreamMs)),
  },
  source: {
    address: ({ call }) => remoteAddress(call),
    port: ({ call }) => int(portOf(remoteAddress(call))),
  },
  destination: {
    address: ({ call, info }) => (info.side === 'server' ? localAddress(call) : call.endpoint?.address),
    port: ({ call, info }) => int(info.side === 'server' ? info.port : (call.endpoint?.port ?? call.call?.port)),
  },
  connection: {
    ...unknownOfTls,
    mtls: ({ call }) => call.mutual,
    requested_server_name: ({ call }) => connectionOf(call)?.sni,
    termination_details: ({ call: { call, details } }) => (call?.protocol === 'tcp' ? filled(details) : undefined),
    id: never,
    uri_san_local_certificate: ({ call, info, workload, trustDomain }) =>
      info.side === 'server' ? calledUri(call, info, workload, trustDomain) : callerUri(call, info, workload, trustDomain),
    uri_san_peer_certificate: ({ call, info, workload, trustDomain }) =>
      info.side === 'server' ? callerUri(call, info, workload, trustDomain) : calledUri(call, info, workload, trustDomain),
  },
  upstream: {
    ...unknownOfTls,
    address: ({ call, info }) => upstreamAddress(call, info),
    port: ({ call, info }) => int(portOf(upstreamAddress(call, info))),
    local_address: never,
    transport_failure_reason: ({ call }) => filled(call.failure),
    request_attempt_count: ({ call }) => int(call.attempts),
    uri_san_local_certificate: ({ call, info, workload, trustDomain }) =>
      info.side === 'client' ? callerUri(call, info, workload, trustDomain) : undefined,
    uri_san_peer_certificate: ({ call, info, workload, trustDomain }) =>
      info.side === 'client' ? calledUri(call, info, workload, trustDomain) : undefined,
  },
  xds: {
    cluster_name: ({ info }) => filled(info.cluster),
    route_name: ({ info }) => filled(info.route),
    // Istio's names of a sidecar's two sides (listener.traffic_direction: 1 INBOUND, 2 OUTBOUND).
    listener_direction: ({ info }) => int(info.side === 'server' ? 1 : 2),
    node,
  },
  node,
  upstream_peer: workloadAttributes(upstreamPeer),
  downstream_peer: workloadAttributes(downstreamPeer),
};
