export { createMesh, type IdentityStatus, type AdminAddress, type CreateMeshOptions, type Mesh, type MeshStatus } from './create-mesh.ts';
export type { DnsOptions } from './dns.ts';
export type { MetricsOptions } from './metrics.ts';
export type { Fact, Facts } from './environment.ts';
export { MeshError, type Code, type Explanation, type ExplainRequest, type MeshEvent, type Observer, type Resolver } from '@inmesh/core';
export type {
  Attached,
  Connectrpc,
  ConnectrpcOptions,
  FetchPeer,
  InboundMesh,
  Listening,
  MeshResponse,
  RequestOptions,
} from '@inmesh/http';
export type { Problem, Workload } from '@inmesh/policy';
export { fileSource, httpSource, memorySource, type PolicySource } from '@inmesh/policy/source';
export { auditFile, type AuditFileOptions, type MetricProducer, type ObjectiveStatus } from '@inmesh/telemetry';
