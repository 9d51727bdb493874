import type { Graph, Place } from './graph.ts';
import type { Process } from './world.ts';

/** What a process has found out about the endpoints of a place. */
export interface Badge {
  readonly kind: 'ejected' | 'panic' | 'overflow';
  readonly text: string;
}

interface Count {
  endpoints: number;
  ejected: number;
  panic: boolean;
}

/** By place: endpoints ejected and panic, as the processes tell (the worst view counts), and overflow, as the flags of calls tell. */
export function badgesOf({ places, edges }: Graph, processes: readonly Process[]): ReadonlyMap<string, readonly Badge[]> {
  const badges = new Map<string, Badge[]>();
  const hosts = (place: Place): ReadonlySet<string> =>
    new Set(edges.filter(({ to }) => to.id === place.id).flatMap(({ traffic }) => [...traffic.services]));
  for (const place of places) {
    const found: Badge[] = [];
    // Where calls end that reached nobody there are no endpoints, if others have reached some.
    const nobody =
      place.kind === 'unreached' && places.some((one) => one !== place && one.service === place.service && one.kind !== 'unreached');
    const { endpoints, ejected, panic } = worst(nobody ? new Set() : hosts(place), place.revision, processes);
    if (ejected > 0) found.push({ kind: 'ejected', text: `${ejected} of ${endpoints} ejected` });
    if (panic) found.push({ kind: 'panic', text: 'panic' });
    const overflows = edges.some(
      ({ to, traffic }) => to.id === place.id && [...traffic.outcomes].some(([outcome, value]) => value > 0 && /\bUO\b/.test(outcome)),
    );
    if (overflows) found.push({ kind: 'overflow', text: 'overflow' });
    if (found.length > 0) badges.set(place.id, found);
  }
  return badges;
}

function worst(services: ReadonlySet<string>, revision: string, processes: readonly Process[]): Count {
  let result: Count = { endpoints: 0, ejected: 0, panic: false };
  for (const { status, snapshot } of processes) {
    for (const { name, endpoints } of status?.snapshot.clusters ?? []) {
      const policy = snapshot?.clusters.find((one) => one.name === name);
      if (!services.has(policy?.service ?? name.split('|')[3] ?? '')) continue;
      const own = endpoints.filter(({ endpoint: { labels } }) => revision === '' || revision === 'latest' || [labels['version'], labels['service.istio.io/canonical-revision']].includes(revision)); // prettier-ignore
      const ejected = own.filter((one) => one.ejected).length;
      const usable = endpoints.filter((one) => !one.ejected && one.health === 'healthy').length;
      // Below the threshold all are used (Envoy's healthy_panic_threshold); of none there is nothing to use.
      const panic =
        endpoints.length > 0 && (policy?.panicPercent ?? 0) > 0 && (usable / endpoints.length) * 100 < (policy?.panicPercent ?? 0);
      if (ejected > result.ejected || (panic && !result.panic))
        result = { endpoints: own.length, ejected: Math.max(ejected, result.ejected), panic: panic || result.panic };
    }
  }
  return result;
}
