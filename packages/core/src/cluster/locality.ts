import type { Locality, LocalityPolicy, Workload } from '@inmesh/policy';
import type { Endpoint } from '../endpoint/endpoint.ts';

type Failover = Extract<LocalityPolicy, { kind: 'failover' }>;
type Distribute = Extract<LocalityPolicy, { kind: 'distribute' }>;

/** Endpoints of one locality with the weight the locality has among its likes. */
export interface LocalityGroup {
  readonly weight: number;
  /** Indices into the list that was given. */
  readonly members: readonly number[];
}

const NETWORK = 'topology.istio.io/network';

/**
 * Priority of each endpoint for this workload, 0 first and without gaps (Istio's loadbalancer.go: failoverPriority,
 * then region, zone and subzone).
 */
export function rankByFailover(policy: Failover, workload: Workload, endpoints: readonly Endpoint[]): Uint32Array {
  const labels = policy.failoverPriority.map((label) => labelRule(label, workload));
  const ranks = new Uint32Array(endpoints.length);
  let last: Locality | undefined;
  let place = 0;
  let highest = 0;
  // Loops, for this runs over every endpoint at every change of one.
  for (let index = 0; index < endpoints.length; index += 1) {
    const endpoint = endpoints[index]!;
    const byLabels = labels.length === 0 ? 0 : rankByLabels(labels, endpoint);
    if (policy.byLocality && endpoint.locality !== last) {
      last = endpoint.locality;
      place = rankByPlace(policy.failover, workload.locality, last);
    }
    // Five ranks by place, 0–4, within each rank by labels.
    const rank = policy.byLocality ? byLabels * 5 + place : byLabels;
    ranks[index] = rank;
    if (rank > highest) highest = rank;
  }
  closeGaps(ranks, highest);
  return withinPriorities(endpoints, ranks);
}

/** Priority of each endpoint where place does not count: those its registry gives, 0 first and without gaps. */
export function rankByPriority(endpoints: readonly Endpoint[]): Uint32Array {
  return withinPriorities(endpoints, new Uint32Array(endpoints.length));
}

/** Ranks without gaps, in the priorities of the registries: those of a later priority come after all of an earlier one. */
function withinPriorities(endpoints: readonly Endpoint[], ranks: Uint32Array): Uint32Array {
  const priorities = new Set<number>();
  for (const { priority = 0 } of endpoints) priorities.add(priority);
  // The rule: registries give none.
  if (priorities.size < 2) return ranks;
  const order = new Map([...priorities].sort((a, b) => a - b).map((priority, index) => [priority, index]));
  let span = 0;
  for (const rank of ranks) if (rank >= span) span = rank + 1;
  for (const [index, { priority = 0 }] of endpoints.entries()) ranks[index]! += order.get(priority)! * span;
  return closeGaps(ranks, order.size * span);
}

/** Ranks that occur, numbered from 0 in their order. */
function closeGaps(ranks: Uint32Array, highest: number): Uint32Array {
  const numbers = new Uint32Array(highest + 1);
  for (let index = 0; index < ranks.length; index += 1) numbers[ranks[index]!] = 1;
  let next = 0;
  for (let rank = 0; rank <= highest; rank += 1) {
    if (numbers[rank] === 0) continue;
    numbers[rank] = next;
    next += 1;
  }
  for (let index = 0; index < ranks.length; index += 1) ranks[index] = numbers[ranks[index]!]!;
  return ranks;
}

/** 0 same subzone, 1 same zone, 2 same region, 3 elsewhere, 4 elsewhere and not where failover goes to. */
function rankByPlace(failover: Failover['failover'], here: Locality, there: Locality): number {
  if (here.region === there.region) {
    if (here.zone !== there.zone) return 2;
    return here.subzone === there.subzone ? 0 : 1;
  }
  const rule = failover.find(({ from }) => from === here.region);
  return rule === undefined || rule.to === there.region ? 3 : 4;
}

interface LabelRule {
  readonly label: string;
  /** What the endpoint must have: the workload's own value, or the one the rule names. */
  readonly wanted: string;
}

function labelRule(text: string, workload: Workload): LabelRule {
  const equals = text.indexOf('=');
  if (equals >= 0) return { label: text.slice(0, equals), wanted: text.slice(equals + 1) };
  if (text === 'topology.istio.io/cluster' && workload.cluster !== '') return { label: text, wanted: workload.cluster };
  return { label: text, wanted: labelOf(workload, text) };
}

/** N − j at the first of N labels that differs, 0 if none does; a first label that compares networks adds N and goes on. */
function rankByLabels(rules: readonly LabelRule[], endpoint: Endpoint): number {
  let rank = 0;
  for (let index = 0; index < rules.length; index += 1) {
    const { label, wanted } = rules[index]!;
    if (labelOf(endpoint, label) === wanted) continue;
    rank += rules.length - index;
    if (index > 0 || label !== NETWORK) break;
  }
  return rank;
}

/** A label, or the fact that Istio adds as a label (its AugmentLabels). */
function labelOf(of: Pick<Endpoint, 'labels' | 'locality' | 'network' | 'node'>, label: string): string {
  return fact(of, label) || (of.labels[label] ?? '');
}

function fact({ locality, network, node }: Pick<Endpoint, 'locality' | 'network' | 'node'>, label: string): string {
  switch (label) {
    case 'topology.kubernetes.io/region':
      return locality.region;
    case 'topology.kubernetes.io/zone':
      return locality.zone;
    case 'topology.istio.io/subzone':
      return locality.subzone;
    case NETWORK:
      return network;
    case 'kubernetes.io/hostname':
      return node;
    default:
      return '';
  }
}

/**
 * Weights of localities as `distribute` wants them: ceil(own weight × percent / weight of all that the pattern took).
 * Endpoints matched by no pattern are in no group: they get nothing, and nobody fails over to them. Where patterns
 * overlap the most specific takes a locality (in Istio it is left to chance).
 */
export function distribute({ to }: Distribute, endpoints: readonly Endpoint[]): readonly LocalityGroup[] {
  const places = new Map<string, { readonly locality: Locality; readonly members: number[]; weight: number }>();
  for (const [index, { locality, weight }] of endpoints.entries()) {
    const key = `${locality.region}/${locality.zone}/${locality.subzone}`;
    let place = places.get(key);
    if (place === undefined) places.set(key, (place = { locality, members: [], weight: 0 }));
    place.members.push(index);
    place.weight += weight;
  }

  const patterns = to.map(({ pattern, percent }) => ({ percent, total: 0, ...parsePattern(pattern) }));
  patterns.sort((left, right) => right.exactness - left.exactness);
  const taken = [...places.values()].flatMap((place) => {
    const pattern = patterns.find(({ parts }) => matches(parts, place.locality));
    if (pattern === undefined || pattern.percent <= 0) return [];
    pattern.total += place.weight;
    return [{ place, pattern }];
  });
  return taken.map(({ place, pattern }) => ({
    members: place.members,
    weight: Math.ceil((place.weight * pattern.percent) / pattern.total),
  }));
}

/** `region/zone/subzone`; `*` or a missing part matches anything. A named region counts for more than a named zone. */
function parsePattern(pattern: string): { readonly parts: readonly string[]; readonly exactness: number } {
  const parts = pattern.split('/').map((part) => (part === '*' ? '' : part));
  return { parts, exactness: (parts[0] ? 4 : 0) + (parts[1] ? 2 : 0) + (parts[2] ? 1 : 0) };
}

function matches([region = '', zone = '', subzone = '']: readonly string[], locality: Locality): boolean {
  return (
    (region === '' || region === locality.region) &&
    (zone === '' || zone === locality.zone) &&
    (subzone === '' || subzone === locality.subzone)
  );
}
