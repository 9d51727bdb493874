import type { MtlsMode } from '../inbound.ts';
import { peerAuthenticationsOf } from '../resolve/peer-authentication.ts';
import type { Analyzer, World } from './analyzer.ts';
import { policiesOf } from './traffic-policies.ts';

/** DestinationRules that come in plaintext, or with TLS of another kind, where only mutual TLS is taken, and the other way round (INM0408). */
export const mtlsConflicts: Analyzer = (world, tell) => {
  if (world.all('PeerAuthentication').length === 0) return;
  const modes = modesByHost(world);
  for (const rule of world.all('DestinationRule')) {
    const host = world.host(rule.spec.host, rule.metadata.namespace);
    const demanded = modes.get(host);
    if (demanded === undefined) continue;
    for (const { policy, path } of policiesOf(rule.spec))
      for (const { tls, at } of [
        { tls: policy.tls, at: [...path, 'tls', 'mode'] },
        ...policy.portLevelSettings.map((settings, index) => ({
          tls: settings.tls,
          at: [...path, 'portLevelSettings', index, 'tls', 'mode'],
        })),
      ]) {
        if (tls === undefined) continue;
        const refused =
          demanded === 'STRICT' ? tls.mode === 'DISABLE' || tls.mode === 'SIMPLE' : demanded === 'DISABLE' && tls.mode === 'ISTIO_MUTUAL';
        if (refused)
          tell(
            rule,
            'warning',
            'INM0408',
            at,
            `mode ${tls.mode} cannot reach ${host}, whose PeerAuthentication is ${demanded}`,
            demanded === 'STRICT' ? 'write ISTIO_MUTUAL, or leave tls out' : 'leave tls out, or let its workloads take mutual TLS',
          );
      }
  }
};

/** Host → what all ports of its workloads demand, where that is the same for all. */
function modesByHost(world: World): ReadonlyMap<string, MtlsMode> {
  const peers = peerAuthenticationsOf(world.all('PeerAuthentication'), world.rootNamespace);
  const modeOf = (namespace: string, labels: Readonly<Record<string, string>>): MtlsMode => {
    const { mode, ports } = peers.of(namespace, labels);
    return Object.values(ports).every((one) => one === mode) ? mode : 'PERMISSIVE';
  };
  const services = world
    .all('Service')
    .map(({ metadata, spec }) => [world.host(metadata.name, metadata.namespace), modeOf(metadata.namespace, spec.selector)] as const);
  const entries = world
    .all('ServiceEntry')
    .filter(({ spec }) => spec.location === 'MESH_INTERNAL')
    .flatMap(({ metadata, spec }) =>
      spec.hosts.map((host) => [host.toLowerCase(), modeOf(metadata.namespace, spec.workloadSelector?.labels ?? {})] as const),
    );
  return new Map([...entries, ...services]);
}
