import type { InboundModel } from '../inbound.ts';
import type { MeshConfigSpec } from '../kinds/mesh-config.ts';
import type { Workload } from '../model.ts';
import { authorizationFor } from './authorization-policy.ts';
import { corsFor } from './cors.ts';
import { membershipsOf } from './membership.ts';
import type { PeerAuthentications } from './peer-authentication.ts';
import type { Registry } from './registry.ts';
import { jwtRulesFor } from './request-authentication.ts';

/** What a document demands that says nothing of callers: everybody may call, in plaintext or by mutual TLS (Istio's defaults). */
export const OPEN: InboundModel = {
  mtls: { mode: 'PERMISSIVE', ports: {}, resources: [] },
  jwt: [],
  authorization: [],
  cors: [],
  services: [],
  trustedHops: 0,
};

/** What a document demands of those who call a workload. */
export const inboundOf = (registry: Registry, workload: Workload, mesh: MeshConfigSpec, peers: PeerAuthentications): InboundModel => ({
  mtls: peers.of(workload.namespace, workload.labels),
  jwt: jwtRulesFor(registry.of('RequestAuthentication'), workload, mesh.rootNamespace),
  authorization: authorizationFor(registry.of('AuthorizationPolicy'), workload, mesh),
  cors: corsFor(registry, workload, mesh),
  services: membershipsOf(registry, workload, mesh.domain).map(({ host, name, namespace, ports }) => ({ host, name, namespace, ports })),
  trustedHops: mesh.defaultConfig.gatewayTopology.numTrustedProxies,
});
