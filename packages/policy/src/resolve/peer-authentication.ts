import type { ResourceOf } from '../kinds/index.ts';
import type { InboundMtls, MtlsMode } from '../inbound.ts';
import type { EndpointSpec, Workload } from '../model.ts';
import { byAge, labelOf } from './order.ts';
import { selects } from './visibility.ts';

type PeerAuthentication = ResourceOf<'PeerAuthentication'>;
type Labels = Workload['labels'];

/** What the PeerAuthentications of a document demand of the callers of any workload, ours or one we call. */
export interface PeerAuthentications {
  of(namespace: string, labels: Labels): InboundMtls;
}

/**
 * Composes PeerAuthentications as Istio's ComposePeerAuthentication does: a workload's own beats that of its namespace,
 * which beats that of the mesh, and UNSET inherits. Of several on one level the oldest holds, all by itself. One with a
 * selector in the root namespace selects nobody.
 */
export function peerAuthenticationsOf(policies: readonly PeerAuthentication[], rootNamespace: string): PeerAuthentications {
  const byNamespace = Map.groupBy(
    policies.toSorted((a, b) => byAge(a.metadata, b.metadata)),
    ({ metadata }) => metadata.namespace,
  );
  const forAll = (namespace: string): PeerAuthentication | undefined => byNamespace.get(namespace)?.find((one) => !selecting(one));
  const mesh = forAll(rootNamespace);
  const shared = new Map<string, InboundMtls>();
  return {
    of: (namespace, labels) => {
      const own =
        namespace === rootNamespace
          ? undefined
          : byNamespace.get(namespace)?.find((one) => selecting(one) && selects(labelsOf(one), labels));
      // Most workloads have none of their own; thousands of endpoints need not compose the same again.
      const key = `${namespace}/${own?.metadata.name ?? ''}`;
      let composed = shared.get(key);
      if (composed === undefined) shared.set(key, (composed = compose([own, forAll(namespace), mesh])));
      return composed;
    },
  };
}

const labelsOf = ({ spec }: PeerAuthentication): Labels => spec.selector?.matchLabels ?? {};
const selecting = (policy: PeerAuthentication): boolean => Object.keys(labelsOf(policy)).length > 0;

/** `levels`: the workload's, the namespace's, the mesh's. Ports are the workload's own matter. */
function compose(
  levels: readonly [PeerAuthentication | undefined, PeerAuthentication | undefined, PeerAuthentication | undefined],
): InboundMtls {
  const [own] = levels;
  const decides = levels.findIndex((policy) => policy !== undefined && modeOf(policy) !== undefined);
  const deciding = levels[decides];
  const mode = (deciding === undefined ? undefined : modeOf(deciding)) ?? 'PERMISSIVE';
  const used = [own, deciding].filter((policy) => policy !== undefined);
  const ports = Object.entries(own?.spec.portLevelMtls ?? {}).map(([port, mtls]) => [port, mtls.mode === 'UNSET' ? mode : mtls.mode]);
  return { mode, ports: Object.fromEntries(ports) as Record<string, MtlsMode>, resources: [...new Set(used.map(labelOf))] };
}

function modeOf({ spec }: PeerAuthentication): MtlsMode | undefined {
  const mode = spec.mtls?.mode ?? 'UNSET';
  return mode === 'UNSET' ? undefined : mode;
}

/** What an endpoint that can do mutual TLS takes once its PeerAuthentication is known: all of it, none, or not on some ports. */
export function withPeerAuthentication(endpoint: EndpointSpec, policies: PeerAuthentications): EndpointSpec {
  if (!endpoint.mtls) return endpoint;
  const { mode, ports } = policies.of(endpoint.namespace, endpoint.labels);
  const modeAt = (port: number): MtlsMode => ports[port] ?? mode;
  const dialled = new Set(Object.values(endpoint.ports));
  const known = [...new Set([...dialled, ...Object.keys(ports).map(Number)])].sort((a, b) => a - b);
  const plaintextPorts = known.filter((port) => modeAt(port) === 'DISABLE');
  if (mode === 'DISABLE' && [...dialled].every((port) => modeAt(port) === 'DISABLE')) return { ...endpoint, mtls: false };
  return plaintextPorts.length === 0 ? endpoint : { ...endpoint, plaintextPorts };
}
