import { Identities, type Place } from './identities.ts';
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

interface Sides {
  readonly from: Place;
  readonly to: Place;
  readonly source: Traffic;
  readonly destination: Traffic;
}

const carries = ({ requests, connections, sentBytes, receivedBytes }: Traffic): boolean =>
  requests > 0 || connections > 0 || sentBytes > 0 || receivedBytes > 0;
/** For comparing what two reporters saw of the same calls. */
const volume = ({ requests, connections }: Traffic): number => requests + connections;

/** The service graph of rates by Istio's standard labels, wherever they come from. Both reporters of an edge are one edge. */
export function graphOf(rates: readonly Sample[]): Graph {
  const identities = new Identities(rates);
  const all = new Map<string, Sides>();
  for (const sample of rates) {
    const { labels } = sample;
    const from = identities.caller(labels);
    const to = identities.callee(labels);
    const id = `${from.id} → ${to.id}`;
    let sides = all.get(id);
    if (sides === undefined) all.set(id, (sides = { from, to, source: new Traffic(), destination: new Traffic() }));
    sides[labels['reporter'] === 'source' ? 'source' : 'destination'].add(sample);
  }
  const edges = [...all].map(([id, sides]) => edgeOf(id, sides, all)).filter((edge) => edge !== undefined);
  const places = new Map(edges.flatMap(({ from, to }) => [from, to]).map((one) => [one.id, one]));
  return { places: [...places.values()].sort((a, b) => (a.id < b.id ? -1 : 1)), edges: edges.sort((a, b) => (a.id < b.id ? -1 : 1)) };
}

/** Nobody's calls are those of callers that prove nothing: callers that tell of them themselves are not counted again. */
const CLOCK_SLACK = 0.25;

function edgeOf(id: string, { from, to, source, destination }: Sides, all: ReadonlyMap<string, Sides>): Edge | undefined {
  let traffic = carries(source) || !carries(destination) ? source : destination;
  let secured = destination.secured > 0 ? destination : source;
  const anonymous = from.kind === 'unknown' ? undefined : all.get(`unknown||unknown| → ${to.id}`);
  if (from.kind === 'unknown') {
    const told = [...all.values()].filter((one) => one.to.id === to.id);
    const toldBySources = told.reduce((sum, one) => sum + (volume(one.destination) === 0 ? volume(one.source) : 0), 0);
    const left = volume(destination) - toldBySources;
    if (toldBySources > 0 && left <= CLOCK_SLACK * volume(destination)) return undefined;
    if (toldBySources > 0) traffic = destination.scaled(left / volume(destination));
  } else if (secured.secured === 0 && anonymous !== undefined) {
    secured = anonymous.destination;
  }
  if (traffic.requests === 0 && traffic.protocols.size === 0) return undefined;
  const errorShare = traffic.requests > 0 ? traffic.errors / traffic.requests : 0;
  return {
    id,
    from,
    to,
    traffic,
    errorShare,
    health: healthOf(traffic),
    p50: quantile(traffic.buckets, 0.5),
    p99: quantile(traffic.buckets, 0.99),
    mtls: secured.secured > 0 ? secured.mutual / secured.secured : null,
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
