export { type Call, type Edits, type HeaderReader, NO_EDITS } from './call.ts';
export { type Exchange, FirstExchange, type LocalAnswer, type Reply, type Transport } from './exchange.ts';
export { type Backoff, backoffMs } from './backoff.ts';
export type { AuditRecord, AuditSink } from './ports/audit.ts';
export type { CertificateSource, Identity, IdentityState, PeerVerifier, VerifiedPeer } from './ports/certificates.ts';
export type { TokenOutcome, TokenVerifier, TokenVerifiers } from './ports/tokens.ts';
export type { Claims, Connection, Peer, PeerMetadata, Principal } from './peer.ts';
export type { MetadataExchange } from './ports/metadata.ts';
export type { Trace } from './ports/trace.ts';
export type { Begin, Tracer } from './ports/tracer.ts';
export { type Clock, systemClock, type Timer } from './clock.ts';
export type { Expiring } from './deadlines.ts';
export type { Endpoint } from './endpoint/endpoint.ts';
export { addressOf, staticEndpoints } from './endpoint/static.ts';
export {
  type Code,
  ERRORS,
  type Flag,
  flagBit,
  FLAGS,
  GrpcStatus,
  grpcStatusName,
  type GrpcStatusName,
  MeshError,
  type Phase,
  printFlags,
} from './errors.ts';
export { type EndpointsOf, explain, explainPolicy } from './explain.ts';
export type {
  ExplainedCluster,
  ExplainedEndpoint,
  ExplainedFault,
  ExplainedRequest,
  ExplainedResponse,
  ExplainedRetries,
  Explanation,
  ExplainRequest,
} from './explanation.ts';
export type { Handler } from './handler.ts';
export type { Cancellable, Life } from './life.ts';
export {
  type EndedCall,
  type InboundInfo,
  joinObservers,
  type MeshEvent,
  type Observer,
  type RouteInfo,
  type RouteObserver,
  silentObserver,
  silentRoute,
} from './observer.ts';
export { AWAITED, type Placement, type Wire } from './placement.ts';
export type { HealthChecks, HealthWatch } from './ports/health.ts';
export type { Closeable, Resolution, Resolver, ServiceRef } from './ports/resolver.ts';
export { explainInbound } from './explain/inbound.ts';
export type { ExplainInboundRequest, ExplainInboundTools, InboundExplanation } from './explain/inbound-explanation.ts';
export type { Decision } from './inbound/authorization.ts';
export { grpcStatusOf } from './filters/answers.ts';
export { DEADLINE_HEADER } from './filters/deadline.ts';
export { re2 } from './match/re2.ts';
export { REQUEST_ID_HEADER } from './filters/trace.ts';
export { pause } from './filters/pause.ts';
export { editLines, HOP_HEADER, type HopProof, type InboundCall, isGrpc, readCall, type Received } from './inbound/received.ts';
export type { InboundView } from './inbound-table.ts';
export { normalizeTarget, type PathNormalization, type Target } from './inbound/normalize.ts';
export { grpcPortOf } from './route/grpc-port.ts';
export { Mesh, type MeshOptions, type MeshStatus } from './mesh.ts';
export type { Routed } from './routed.ts';
export type { ClusterView, EndpointView } from './cluster/cluster.ts';
export { CONNECT_BOUNDS, UpstreamStats, type UpstreamView } from './upstream-stats.ts';
export type { RbacView } from './inbound/rbac-stats.ts';
