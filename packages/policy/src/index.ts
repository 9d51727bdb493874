export type * from './model.ts';
export { DEFAULT_TELEMETRY } from './telemetry.ts';
export type * from './inbound.ts';
export type * from './document.ts';
export type * from './problem.ts';
export { parse } from './parse/index.ts';
export { type Member, memberEndpoint, type Members, parseMember, parseMembers } from './members.ts';
export { parseProbe, type ProbeSpec } from './probe.ts';
export { CODES, type ProblemCode } from './parse/codes.ts';
export * from './kinds/index.ts';
export { REGISTERED_LABEL } from './kinds/service-entry.ts';
export { OPEN as OPEN_INBOUND } from './resolve/inbound.ts';
export { CONSUL_SERVICE_ANNOTATION } from './registered.ts';
export { canonicalRevision, canonicalService } from './resolve/canonical.ts';
export { placeByLabel, workloadOf } from './resolve/kubernetes.ts';
export {
  type EndpointSlice as KubernetesEndpointSlice,
  type KnownPod,
  type Machines,
  membersOf as kubernetesMembers,
  type Service as KubernetesService,
} from './resolve/kubernetes.ts';
export { constrain, type Enforced } from './constrain.ts';
export { declaredObjectives, type DeclaredObjective } from './resolve/objectives.ts';
export { resolve } from './resolve/resolve.ts';
export { defaultWorkload, parseLocality, workload } from './resolve/workload.ts';
export { jsonSchema, jsonSchemaOf } from './json-schema.ts';
export { reference, type FieldReference, type KindReference } from './reference.ts';
