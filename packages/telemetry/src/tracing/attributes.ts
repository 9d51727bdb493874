import { type Call, type EndedCall, type Endpoint, grpcStatusName, type InboundInfo, printFlags, type RouteInfo } from '@inmesh/core';
import { canonicalRevision, canonicalService, type Workload } from '@inmesh/policy';
import { type Attributes, type Span, SpanStatusCode } from '@opentelemetry/api';

// OpenTelemetry's semantic conventions 1.45 (HTTP and RPC, stable). Beside them stand Envoy's tags (source/common/tracing/
// common_values.h) that those have no name for, and Istio's.

/** RFC 9110 and RFC 5789; whatever else may be made up by anybody. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY']);

/** Name of a span: few of them, so neither path nor host. */
export function spanName({ protocol, method, path }: Call): string {
  if (protocol === 'grpc') return path.slice(1);
  return METHODS.has(method) ? method : 'HTTP';
}

function methodAttributes({ protocol, method, path }: Call): Attributes {
  if (protocol === 'grpc') return { 'rpc.system.name': 'grpc', 'rpc.method': path.slice(1) };
  if (METHODS.has(method)) return { 'http.request.method': method };
  return { 'http.request.method': '_OTHER', 'http.request.method_original': method };
}

/** Values that open doors (semantic conventions, url.full). */
const SECRET = /(^|&)(AWSAccessKeyId|Signature|sig|X-Goog-Signature)=[^&]*/g;

const queryOf = ({ query }: Call): string => query.replace(SECRET, '$1$2=REDACTED');

/** What a sampler may ask about a call to be made. */
export function clientAttributes(call: Call): Attributes {
  const attributes = methodAttributes(call);
  attributes['server.address'] = call.host;
  attributes['server.port'] = call.port;
  if (call.protocol !== 'grpc') {
    const query = queryOf(call);
    attributes['url.full'] = `${call.scheme}://${call.authority}${call.path}${query === '' ? '' : `?${query}`}`;
  }
  return attributes;
}

/** … about one that came in. */
export function serverAttributes(call: Call): Attributes {
  const attributes = methodAttributes(call);
  attributes['server.address'] = call.host;
  attributes['server.port'] = call.port;
  attributes['client.address'] = call.peer?.clientAddress;
  if (call.protocol !== 'grpc') {
    const query = queryOf(call);
    attributes['url.scheme'] = call.scheme;
    attributes['url.path'] = call.path;
    if (query !== '') attributes['url.query'] = query;
  }
  return attributes;
}

/** Of this process: on every span. `istioTags`: Telemetry's `enableIstioTags`. */
export interface Self {
  readonly workload: Workload;
  /** Default: that of Istio's own. */
  readonly meshId?: string;
  /** As Istio's proxies have it, `sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN`; Envoy's node_id. */
  readonly nodeId?: string;
}

export function selfAttributes({ workload, meshId = 'cluster.local', nodeId }: Self, istioTags: boolean): Attributes {
  const { name, namespace, labels, cluster } = workload;
  return {
    component: 'proxy',
    node_id: nodeId ?? `sidecar~127.0.0.1~${name}.${namespace}~${namespace}.svc.cluster.local`,
    ...(istioTags
      ? {
          'istio.canonical_service': canonicalService(labels, name).value,
          'istio.canonical_revision': canonicalRevision(labels).value,
          'istio.mesh_id': meshId,
          'istio.namespace': namespace,
          'istio.cluster_id': cluster === '' ? 'Kubernetes' : cluster,
        }
      : {}),
  };
}

/** What is known of a call when it has ended. */
export function endAttributes(ended: EndedCall, info: RouteInfo | InboundInfo): Attributes {
  const { call, status, grpcStatus, attempts, endpoint, requestBytes, responseBytes } = ended;
  const client = info.side === 'client';
  const grpc = call?.protocol === 'grpc';
  const attributes: Attributes = {
    upstream_cluster: info.cluster,
    'upstream_cluster.name': info.cluster,
    response_flags: printFlags(ended.flags),
    'http.request.body.size': requestBytes,
    'http.response.body.size': responseBytes,
  };
  if (!grpc && status > 0) attributes['http.response.status_code'] = status;
  if (grpc && grpcStatus >= 0) attributes['rpc.status_code'] = grpcStatusName(grpcStatus);
  const error = errorType(ended, client);
  if (error !== undefined) attributes['error.type'] = error;
  const id = ended.trace?.requestId ?? '';
  if (id !== '') attributes['guid:x-request-id'] = id;
  const agent = call?.header('user-agent');
  if (agent !== undefined) attributes['user_agent.original'] = agent;
  if (client) {
    if (attempts > 1) attributes['http.request.resend_count'] = attempts - 1;
    if (endpoint !== undefined) Object.assign(attributes, peerAttributes(endpoint));
  } else if (call?.peer !== undefined) {
    const { remoteAddress } = call.peer.connection;
    attributes['peer.address'] = remoteAddress;
    attributes['network.peer.address'] = remoteAddress;
  }
  return attributes;
}

function peerAttributes({ address, host, port }: Endpoint): Attributes {
  const attributes: Attributes = { 'peer.address': address, upstream_address: address, 'network.peer.address': host };
  // A Unix socket has none.
  if (port !== 0) attributes['network.peer.port'] = port;
  return attributes;
}

/** gRPC's codes that say that the server failed (semantic conventions, gRPC). */
const SERVER_FAILED: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15]);

/** undefined: by convention it is no error. Of a server, what the caller did wrong is none. */
function errorType({ call, status, grpcStatus, flags }: EndedCall, client: boolean): string | undefined {
  if (call?.protocol === 'grpc' && grpcStatus >= 0) {
    const failed = client ? grpcStatus !== 0 : SERVER_FAILED.has(grpcStatus);
    return failed ? grpcStatusName(grpcStatus) : undefined;
  }
  if (status === 0) return flags === 0 ? '_OTHER' : printFlags(flags);
  return status >= (client ? 400 : 500) ? String(status) : undefined;
}

/** Tells a span how its call ended, and that it has. */
export function describe(span: Span, ended: EndedCall, info: RouteInfo | InboundInfo): void {
  const attributes = endAttributes(ended, info);
  span.setAttributes(attributes);
  if (attributes['error.type'] === undefined) return;
  // A status says all there is to say; where there is none, the reason does.
  span.setStatus(
    ended.status === 0 ? { code: SpanStatusCode.ERROR, message: ended.failure || ended.details } : { code: SpanStatusCode.ERROR },
  );
}
