import type { ResourceOf } from '../kinds/index.ts';
import type { InboundMtls, MtlsMode, PeerRule } from '../inbound.ts';
import type { Workload } from '../model.ts';
import { byAge, labelOf } from './order.ts';
import { selects } from './visibility.ts';

type PeerAuthentication = ResourceOf<'PeerAuthentication'>;
type Labels = Workload['labels'];

/** What the PeerAuthentications of a document demand of the callers of any workload, ours or one we call. */
export interface PeerAuthentications {
  /** In order: the first that is for a workload holds. */
  readonly rules: readonly PeerRule[];
  of(namespace: string, labels: Labels): InboundMtls;
}

const ANYTHING: InboundMtls = { mode: 'PERMISSIVE', ports: {}, resources: [] };

/**
 * Composes PeerAuthentications as Istio's ComposePeerAuthentication does: a workload's own beats that of its namespace,
 * which beats that of the mesh, and UNSET inherits. Of several on one level the oldest holds, all by itself. One with a
 * selector in the root namespace selects nobody.
 */
export function peerAuthenticationsOf(policies: readonly PeerAuthentication[], rootNamespace: string): PeerAuthentications {
  const isRoot = ({ metadata }: PeerAuthentication): boolean => metadata.namespace === rootNamespace;
  const level = (policy: PeerAuthentication): number => (selecting(policy) ? 0 : isRoot(policy) ? 2 : 1);
  const ordered = policies
    .filter((policy) => !(isRoot(policy) && selecting(policy)))
    .toSorted((a, b) => level(a) - level(b) || byAge(a.metadata, b.metadata));
  const forAll = (namespace: string): PeerAuthentication | undefined =>
    ordered.find((policy) => !selecting(policy) && policy.metadata.namespace === namespace);
  const mesh = forAll(rootNamespace);
  const rules = ordered.map((policy): PeerRule => {
    const { namespace } = policy.metadata;
    const own = selecting(policy) ? policy : undefined;
    return {
      namespace: isRoot(policy) ? null : namespace,
      labels: labelsOf(policy),
      mtls: compose([own, forAll(namespace), mesh]),
    };
  });
  return {
    rules,
    of: (namespace, labels) =>
      rules.find((rule) => (rule.namespace === null || rule.namespace === namespace) && selects(rule.labels, labels))?.mtls ?? ANYTHING,
  };
}

/** The rules callers need to know where they have to come without mutual TLS: none where no rule turns it off. */
export function rulesForCallers({ rules }: PeerAuthentications): readonly PeerRule[] {
  const turnsOff = ({ mtls }: PeerRule): boolean => [mtls.mode, ...Object.values(mtls.ports)].includes('DISABLE');
  const where = new Set(rules.filter(turnsOff).map(({ namespace }) => namespace));
  // What the whole mesh is told, the rules of any namespace may take back.
  return where.has(null) ? rules : rules.filter(({ namespace }) => where.has(namespace));
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
