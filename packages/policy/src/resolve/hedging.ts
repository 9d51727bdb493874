import type { MeshConfigSpec } from '../kinds/mesh-config.ts';
import type { ResourceOf } from '../kinds/index.ts';
import type { Hedging, Service, StringMatch, Workload } from '../model.ts';
import { fullName, HostIndex } from './hosts.ts';
import { byAge, labelOf } from './order.ts';

type HedgePolicy = ResourceOf<'HedgePolicy'>;

/** How calls to a service are hedged: of several policies for a path the first holds. Empty: not at all. */
export type Hedgings = (service: Pick<Service, 'host' | 'namespace'>) => readonly Hedging[];

const NONE: readonly Hedging[] = [];

/**
 * The HedgePolicies of a service, looked for as a DestinationRule is: in the workload's own namespace, then the service's, then
 * the root's; in each those for the most specific host, the oldest first. The first namespace that has any decides alone.
 */
export function hedgingsOf(policies: readonly HedgePolicy[], workload: Workload, mesh: MeshConfigSpec): Hedgings {
  if (policies.length === 0) return () => NONE;
  const byNamespace = new Map<string, HostIndex<readonly Hedging[]>>();
  for (const policy of policies.toSorted((a, b) => byAge(a.metadata, b.metadata))) {
    const { namespace } = policy.metadata;
    let index = byNamespace.get(namespace);
    if (index === undefined) byNamespace.set(namespace, (index = new HostIndex()));
    index.add(fullName(policy.spec.host, namespace, mesh.domain), [hedgingOf(policy)], (present, added) => [...present, ...added]);
  }
  return ({ host, namespace }) => {
    for (const place of [workload.namespace, namespace, mesh.rootNamespace]) {
      const found = byNamespace.get(place)?.mostSpecific(host);
      if (found !== undefined) return found;
    }
    return NONE;
  };
}

function hedgingOf(policy: HedgePolicy): Hedging {
  const { idempotent, delay, maxAttempts } = policy.spec;
  return { resource: labelOf(policy), paths: idempotent.map(pathOf), delayMs: delay, maxAttempts };
}

const pathOf = (path: string): StringMatch =>
  path.endsWith('*') ? { kind: 'prefix', value: path.slice(0, -1) } : { kind: 'exact', value: path };
