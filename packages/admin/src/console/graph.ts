import { Identities, type Place, principalOf } from './identities.ts';
import { quantile } from './quantile.ts';
import type { Sample } from './sample.ts';
import { Traffic } from './traffic.ts';

export type { Place } from './identities.ts';

/** Calls of one place to another. Rates are per second, times in milliseconds. */
export interface Edge {
  readonly id: string;
  readonly from: Place;
  readonly to: Place;
  readonly traffic: Traffic;
  /** 0–1 of the calls failed. */
  readonly errorShare: number;
  readonly health: Health;
  readonly p50: number | null;
  readonly p99: number | null;
  /** 0–1 of the calls came by mutual TLS; null: nobody says. */
  readonly mtls: number | null;
}

export type Health = 'idle' | 'healthy' | 'degraded' | 'failing';

export interface Graph {
  readonly places: readonly Place[];
  readonly edges: readonly Edge[];
}

/** Of calls of one place to another, what each end tells. */
interface Sides {
  readonly from: Place;
  readonly to: Place;
  readonly source: Traffic;
  readonly destination: Traffic;
  /** Who knows whether it was mutual TLS: a callee does, a caller rarely. */
  security: Traffic;
}

/** What a callee tells of a caller that is not named, only proved, or not even that. */
interface Unnamed {
  readonly principal: string;
  readonly to: Place;
  readonly traffic: Traffic;
}

const carries = ({ requests, connections, sentBytes, receivedBytes }: Traffic): boolean =>
  requests > 0 || connections > 0 || sentBytes > 0 || receivedBytes > 0;
/** For comparing what two reporters saw of the same calls. */
const volume = ({ requests, connections }: Traffic): number => requests + connections;
/** Both ends count the same calls, but are not read at the same moment. */
const SLACK = 0.25;

/** The service graph of rates by Istio's standard labels, wherever they come from. Both reporters of an edge are one edge. */
export function graphOf(rates: readonly Sample[]): Graph {
  const identities = new Identities(rates);
  const edges = new Map<string, Sides>();
  const unnamed = new Map<string, Unnamed>();
  const between = (from: Place, to: Place): Sides => {
    const id = `${from.id} → ${to.id}`;
    let sides = edges.get(id);
    if (sides === undefined) {
      const destination = new Traffic();
      edges.set(id, (sides = { from, to, source: new Traffic(), destination, security: destination }));
    }
    return sides;
  };
  for (const sample of rates) {
    const { labels } = sample;
    const from = identities.caller(labels);
    const to = identities.callee(labels);
    if (from !== undefined) {
      between(from, to)[labels['reporter'] === 'source' ? 'source' : 'destination'].add(sample);
      continue;
    }
    const principal = principalOf(labels);
    const key = `${principal} → ${to.id}`;
    const one = unnamed.get(key) ?? { principal, to, traffic: new Traffic() };
    unnamed.set(key, one);
    one.traffic.add(sample);
  }
  // Those who proved something first: what is left is told of those who did not.
  for (const one of [...unnamed.values()].sort((a, b) => (a.principal < b.principal ? 1 : -1))) place(one, identities, edges, between);
  const shown = [...edges].map(([id, sides]) => edgeOf(id, sides)).filter((edge) => edge !== undefined);
  const places = new Map(shown.flatMap(({ from, to }) => [from, to]).map((one) => [one.id, one]));
  const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1);
  return { places: [...places.values()].sort(byId), edges: shown.sort(byId) };
}

/** Finds the edges a callee speaks of; only calls that no caller tells of become an edge of their own. */
function place(
  { principal, to, traffic }: Unnamed,
  identities: Identities,
  edges: ReadonlyMap<string, Sides>,
  between: (from: Place, to: Place) => Sides,
): void {
  const provers = identities.provers(principal);
  const ids = new Set(provers.map(({ id }) => id));
  const told = [...edges.values()].filter(
    (sides) =>
      sides.to.id === to.id && carries(sides.source) && sides.security.secured === 0 && (principal === '' || ids.has(sides.from.id)),
  );
  for (const sides of told) sides.security = traffic;
  const left = volume(traffic) - told.reduce((sum, { source }) => sum + volume(source), 0);
  if (told.length > 0 && left <= SLACK * volume(traffic)) return;
  const sides = between(provers[0]!, to);
  // A caller that is read speaks for itself.
  if (!carries(sides.source)) sides.destination.join(told.length > 0 ? traffic.scaled(left / volume(traffic)) : traffic);
}

function edgeOf(id: string, { from, to, source, destination, security }: Sides): Edge | undefined {
  const traffic = carries(source) || !carries(destination) ? source : destination;
  const { mutual, secured } = security.secured > 0 ? security : source;
  if (!carries(traffic) && traffic.protocols.size === 0) return undefined;
  return {
    id,
    from,
    to,
    traffic,
    errorShare: traffic.requests > 0 ? traffic.errors / traffic.requests : 0,
    health: healthOf(traffic),
    p50: quantile(traffic.buckets, 0.5),
    p99: quantile(traffic.buckets, 0.99),
    // What reached nobody went neither in the clear nor otherwise.
    mtls: secured > 0 && to.kind !== 'unreached' ? mutual / secured : null,
  };
}

/** Kiali's thresholds: 5xx, gRPC errors and calls without an answer fail from 10 % on, 4xx degrade from 10 % and fail from 20 %. */
export function healthOf({ requests, errors, clientErrors, connections, sentBytes, receivedBytes }: Traffic): Health {
  if (requests === 0) return connections + sentBytes + receivedBytes > 0 ? 'healthy' : 'idle';
  const failed = errors / requests;
  const refused = clientErrors / requests;
  if (failed >= 0.1 || refused >= 0.2) return 'failing';
  // One in a thousand is worth a look; less is noise in a picture.
  return failed >= 0.001 || refused >= 0.1 ? 'degraded' : 'healthy';
}

/** All calls, each once: of every edge what the graph shows. */
export function totalOf(edges: readonly Edge[]): { readonly requests: number; readonly errorShare: number; readonly p99: number | null } {
  const buckets = new Map<number, number>();
  let requests = 0;
  let errors = 0;
  for (const { traffic } of edges) {
    requests += traffic.requests;
    errors += traffic.errors;
    for (const [bound, count] of traffic.buckets) buckets.set(bound, (buckets.get(bound) ?? 0) + count);
  }
  return { requests, errorShare: requests > 0 ? errors / requests : 0, p99: quantile(buckets, 0.99) };
}
