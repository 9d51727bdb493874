import type * as v from 'valibot';
import type { Resource } from '../document.ts';
import { authorizationPolicy } from './authorization-policy.ts';
import { backendTlsPolicy } from './backend-tls-policy.ts';
import { destinationRule } from './destination-rule.ts';
import { gateway } from './gateway.ts';
import { grpcRoute } from './grpc-route.ts';
import { hedgePolicy } from './hedge-policy.ts';
import { httpRoute } from './http-route.ts';
import type { Kind } from './kind.ts';
import { configMap, endpointSlice, node, pod, service } from './kubernetes.ts';
import { tcpRoute, tlsRoute } from './l4-routes.ts';
import { meshConfig } from './mesh-config.ts';
import { peerAuthentication } from './peer-authentication.ts';
import { referenceGrant } from './reference-grant.ts';
import { requestAuthentication } from './request-authentication.ts';
import { serviceEntry } from './service-entry.ts';
import { serviceLevelObjective } from './service-level-objective.ts';
import { sidecar } from './sidecar.ts';
import { telemetry } from './telemetry.ts';
import { virtualService } from './virtual-service.ts';
import { workloadEntry } from './workload-entry.ts';
import { workloadGroup } from './workload-group.ts';

const all = [
  virtualService, destinationRule, serviceEntry, workloadEntry, sidecar, workloadGroup, gateway,
  httpRoute, grpcRoute, backendTlsPolicy, referenceGrant, tcpRoute, tlsRoute,
  peerAuthentication, requestAuthentication, authorizationPolicy,
  telemetry,
  meshConfig, hedgePolicy, serviceLevelObjective,
  service, endpointSlice, pod, node, configMap,
] as const; // prettier-ignore

/** Every kind a document may hold. */
export const kinds: readonly Kind[] = all;

type Known = (typeof all)[number];
export type KindName = Known['kind'];

/** The parsed spec of a kind. */
export type SpecOf<Name extends KindName> = v.InferOutput<Extract<Known, { readonly kind: Name }>['schema']>;

/** A resource of a kind, with its parsed spec. */
export type ResourceOf<Name extends KindName> = Resource<Name, SpecOf<Name>>;

/** For `document.resources.filter(isKind('VirtualService'))`. */
export const isKind =
  <Name extends KindName>(name: Name) =>
  (resource: Resource): resource is ResourceOf<Name> =>
    resource.kind === name;
