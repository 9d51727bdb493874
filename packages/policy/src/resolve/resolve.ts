import type { Document } from '../document.ts';
import type { Model, Workload } from '../model.ts';
import { backendTlsOf } from './backend-tls.ts';
import { clustersOf } from './clusters.ts';
import { rulesOf } from './destination-rule.ts';
import { gatewayRoutesOf } from './gateway-api.ts';
import { hedgingsOf } from './hedging.ts';
import { inboundOf } from './inbound.ts';
import { meshOf, settingsOf } from './mesh-config.ts';
import { objectivesOf } from './objectives.ts';
import { compareText } from './order.ts';
import { peerAuthenticationsOf, rulesForCallers } from './peer-authentication.ts';
import { registryOf } from './registry.ts';
import { declaredServices, visibleServices } from './services.ts';
import { scopeOf, sidecarFor } from './sidecar.ts';
import { telemetryOf } from './telemetry.ts';
import { virtualHostsOf } from './virtual-hosts.ts';
import { type Setting, virtualServicesOf } from './virtual-service.ts';

/**
 * What a document means for one workload: the dialects of Istio and the Gateway API made into one model, with every
 * default filled in and every static condition decided. Total: any parsed document has a meaning.
 */
export function resolve(document: Document, workload: Workload): Model {
  const registry = registryOf(document);
  const mesh = meshOf(registry);
  const { config } = mesh;

  const peers = peerAuthenticationsOf(registry.of('PeerAuthentication'), config.rootNamespace);
  const visible = visibleServices(declaredServices(registry, config.domain), workload, config.defaultServiceExportTo);
  const scope = scopeOf(sidecarFor(registry.of('Sidecar'), workload, config.rootNamespace), visible, workload);
  const rules = rulesOf(registry.of('DestinationRule'), workload, config);
  const clusters = clustersOf({
    workload,
    scope,
    rules,
    backendTls: backendTlsOf(registry),
    hedgings: hedgingsOf(registry.of('HedgePolicy'), workload, config),
    mesh: config,
  });

  const setting: Setting = { workload, mesh: config, defaultRetries: mesh.retries, scope, destinations: clusters };
  const virtualServices = virtualServicesOf(registry, setting);
  const gatewayRoutes = gatewayRoutesOf(registry, setting);
  const hosts = virtualHostsOf({ workload, mesh: config, defaultRetries: mesh.retries, scope, virtualServices, gatewayRoutes, clusters });

  const services = new Set([
    ...scope.addressable.map(({ known }) => known.service),
    ...[...clusters.reached].map(({ service }) => service),
  ]);
  const inbound = inboundOf(registry, workload, config, peers);
  const hosted = new Set([...services, ...inbound.services].map(({ host }) => host));
  return {
    workload,
    settings: settingsOf(mesh, scope.outboundTrafficPolicy),
    services: [...services].sort((a, b) => compareText(a.host, b.host)),
    hosts,
    clusters: clusters.all(),
    peers: rulesForCallers(peers),
    inbound,
    telemetry: telemetryOf(registry.of('Telemetry'), workload, config),
    objectives: objectivesOf(registry.of('ServiceLevelObjective'), hosted, config.domain),
  };
}
