import type { ClusterPolicy, LoadBalancer, LocalityPolicy, Workload } from '@inmesh/policy';
import { REPICKS, triedBefore } from '../balancers/balancer.ts';
import { building } from '../balancers/building.ts';
import { Edf } from '../balancers/edf.ts';
import { balance, type BalancerName } from '../balancers/index.ts';
import type { Exchange } from '../exchange.ts';
import type { EndpointState } from '../endpoint/state.ts';
import type { Runtime } from '../handler.ts';
import type { Building, Picker } from '../kind.ts';
import { distribute, rankByFailover, rankByPriority } from './locality.ts';
import { avoidPriorities, type PriorityCount, type PriorityPlan, planPriorities } from './priorities.ts';

/** A cluster's picker, and how it shares calls: for status and explain. */
export interface ClusterPicker extends Picker {
  readonly plan: PriorityPlan;
}

/** A cluster's picker in the making. */
export interface ClusterBuilding extends Building {
  step(ms: number): ClusterPicker | undefined;
}

/** Slice of work on one table within a longer step. */
const SLICE_MS = 2;

/**
 * Builds the picker of a cluster from what is known of its endpoints: ranks them by place, decides who can take calls
 * in each priority, and sets the cluster's balancer on those. Called anew whenever endpoints or their health change.
 * `states` are the members of the subset; their `priority` is set. A ClusterBuilding for big consistent-hash tables only.
 */
export function buildPicker(
  policy: ClusterPolicy,
  workload: Workload,
  states: readonly EndpointState[],
  runtime: Runtime,
): ClusterPicker | ClusterBuilding {
  const groups = groupByPriority(policy.locality, workload, states);
  const rosters = groups.map(({ members }) => rosterOf(members));
  // Endpoints that drain serve on only while nobody is healthy, in whatever priority.
  const drained = rosters.every(({ healthy }) => healthy.length === 0);
  const plan = planPriorities(
    rosters.map((roster) => countOf(roster, drained)),
    policy.panicPercent,
  );
  const sets = groups.map((group, priority) => {
    const { healthy, draining } = rosters[priority]!;
    const panic = plan.panics[priority]!;
    const usable = panic ? group.members : drained ? draining : healthy;
    return { usable, leaf: usable.length === 0 ? undefined : leafOf(policy, group, { usable, panic, drained }, scoped(runtime, priority)) };
  });

  const consistent = isConsistent(policy.loadBalancer);
  const assemble = (): ClusterPicker =>
    clusterPicker(
      sets.map(({ usable, leaf }) => ({ usable, leaf: leaf as Picker | undefined })),
      plan,
      consistent,
      runtime.random,
    );
  if (sets.every(({ leaf }) => leaf === undefined || 'pick' in leaf)) return assemble();
  function* work(): Generator<void, ClusterPicker> {
    for (const set of sets) {
      while (set.leaf !== undefined && 'step' in set.leaf) {
        set.leaf = set.leaf.step(SLICE_MS) ?? set.leaf;
        yield;
      }
    }
    return assemble();
  }
  return building(runtime.clock, work());
}

/** Endpoints of one priority, and of its localities where the policy distributes among those. */
interface Group {
  readonly members: readonly EndpointState[];
  readonly localities: readonly { readonly weight: number; readonly members: readonly EndpointState[] }[] | undefined;
}

function groupByPriority(policy: LocalityPolicy, workload: Workload, states: readonly EndpointState[]): readonly Group[] {
  const groups: EndpointState[][] = [];
  if (policy.kind !== 'failover' && states.every(({ endpoint: { priority = 0 } }) => priority === 0)) {
    for (const state of states) state.priority = 0;
    groups.push([...states]);
  } else {
    const endpoints = states.map(({ endpoint }) => endpoint);
    const ranks = policy.kind === 'failover' ? rankByFailover(policy, workload, endpoints) : rankByPriority(endpoints);
    for (const [index, state] of states.entries()) {
      const rank = ranks[index]!;
      state.priority = rank;
      (groups[rank] ??= []).push(state);
    }
  }
  return groups.map((members) => (policy.kind === 'distribute' ? distributed(policy, members) : { members, localities: undefined }));
}

function distributed(policy: Extract<LocalityPolicy, { kind: 'distribute' }>, states: readonly EndpointState[]): Group {
  const endpoints = states.map(({ endpoint }) => endpoint);
  const localities = distribute(policy, endpoints).map(({ weight, members }) => ({
    weight,
    members: members.map((index) => states[index]!),
  }));
  return { members: localities.flatMap(({ members }) => members), localities };
}

/** Who of a group may take calls. */
interface Roster {
  readonly healthy: readonly EndpointState[];
  readonly draining: readonly EndpointState[];
  readonly total: number;
  /** All that drain, ejected or not. */
  readonly leaving: number;
}

function rosterOf(members: readonly EndpointState[]): Roster {
  const healthy: EndpointState[] = [];
  const draining: EndpointState[] = [];
  let leaving = 0;
  for (const state of members) {
    const { health } = state.endpoint;
    if (health === 'draining') leaving += 1;
    if (state.ejected || health === 'unhealthy') continue;
    (health === 'healthy' ? healthy : draining).push(state);
  }
  return { healthy, draining, total: members.length, leaving };
}

/** Those that drain do not count as ill: a rolling update is no reason to spill or to panic. */
function countOf({ healthy, draining, total, leaving }: Roster, drained: boolean): PriorityCount {
  return drained ? { available: draining.length, total } : { available: healthy.length, total: total - leaving };
}

/** How the endpoints that take calls were chosen. */
interface Choice {
  readonly usable: readonly EndpointState[];
  readonly panic: boolean;
  readonly drained: boolean;
}

function leafOf(policy: ClusterPolicy, { localities }: Group, { usable, panic, drained }: Choice, runtime: Runtime): Picker | Building {
  const { slowStart } = policy;
  // Passthrough is answered by the cluster, which dials what the caller asked for; a picker of it just rotates.
  const settings: Extract<LoadBalancer, { kind: BalancerName }> =
    policy.loadBalancer.kind === 'passthrough' ? { kind: 'roundRobin' } : policy.loadBalancer;
  const plain = (endpoints: readonly EndpointState[]): Picker | Building =>
    balance(settings.kind, { ...settings, slowStart, weightOf: ownWeight }, endpoints, runtime);
  if (localities === undefined) return plain(usable);

  const takes = new Set(usable);
  const places = localities
    .map(({ weight, members }) => ({ weight, members, able: members.filter((state) => takes.has(state)) }))
    .filter(({ able }) => able.length > 0);
  if (isConsistent(settings)) {
    // One table for all: an endpoint's weight is its share of its locality's (Envoy's normalizeLocalityWeights).
    const weights = new Map<EndpointState, number>();
    for (const { weight, able } of places) {
      let total = 0;
      for (const state of able) total += state.endpoint.weight;
      for (const state of able) weights.set(state, (weight * state.endpoint.weight) / total);
    }
    return balance(settings.kind, { ...settings, slowStart, weightOf: (state) => weights.get(state)! }, usable, runtime);
  }
  // In panic everybody is called, wherever they are.
  if (panic || places.length === 1) return plain(usable);

  const leaves = places.map(({ able }) => plain(able) as Picker);
  // A locality keeps its whole weight until it lacks more than overprovisioning covers (Envoy's effectiveLocalityWeight).
  const weights = Float64Array.from(places, ({ weight, members }) => {
    const { available, total } = countOf(rosterOf(members), drained);
    return weight * Math.min(100, (140 * available) / total);
  });
  const order = new Edf(weights, runtime.random);
  return {
    pick: (exchange) => {
      const place = order.next;
      order.advance(weights[place]!);
      return leaves[place]!.pick(exchange);
    },
  };
}

interface PrioritySet {
  readonly usable: readonly EndpointState[];
  readonly leaf: Picker | undefined;
}

function clusterPicker(sets: readonly PrioritySet[], plan: PriorityPlan, consistent: boolean, random: () => number): ClusterPicker {
  // Nearly always one priority takes everything.
  const only = plan.loads.indexOf(100);
  const choose = (loads: readonly number[], { hashKey }: Exchange): PrioritySet | undefined => {
    let draw = consistent && hashKey !== undefined ? Number(hashKey % 100n) : Math.floor(random() * 100);
    for (let priority = 0; priority < loads.length; priority += 1) {
      draw -= loads[priority]!;
      if (draw < 0) return sets[priority];
    }
    return undefined;
  };
  const pickAgain = (exchange: Exchange): EndpointState | undefined => {
    const loads = exchange.avoidPriorities.length === 0 ? plan.loads : avoidPriorities(plan, exchange.avoidPriorities);
    let picked: EndpointState | undefined;
    for (let round = 0; round <= REPICKS; round += 1) {
      picked = choose(loads, exchange)?.leaf?.pick(exchange);
      if (picked === undefined || !triedBefore(exchange, picked)) return picked;
      // A table has looked for alternatives itself; asked again it says the same.
      if (consistent) break;
    }
    return anyUntried(exchange, loads) ?? picked;
  };
  // Chance may draw the same few over and over, most of all one that fails fast and so has fewest calls in flight.
  const anyUntried = (exchange: Exchange, loads: readonly number[]): EndpointState | undefined => {
    for (let priority = 0; priority < sets.length; priority += 1) {
      const { usable } = sets[priority]!;
      if (loads[priority] === 0 || usable.length === 0) continue;
      const start =
        consistent && exchange.hashKey !== undefined
          ? Number(exchange.hashKey % BigInt(usable.length))
          : Math.floor(random() * usable.length);
      for (let step = 0; step < usable.length; step += 1) {
        const state = usable[(start + step) % usable.length]!;
        if (!triedBefore(exchange, state)) return state;
      }
    }
    return undefined;
  };
  return {
    plan,
    pick: (exchange) => {
      if (exchange.tried.length > 0 || exchange.avoidPriorities.length > 0) return pickAgain(exchange);
      return (only >= 0 ? sets[only] : choose(plan.loads, exchange))?.leaf?.pick(exchange);
    },
  };
}

function isConsistent({ kind }: LoadBalancer): boolean {
  return kind === 'ringHash' || kind === 'maglev';
}

function ownWeight({ endpoint }: EndpointState): number {
  return endpoint.weight;
}

/** Priorities remember their tables apart. */
function scoped(runtime: Runtime, priority: number): Runtime {
  return { ...runtime, lease: (key, create, close) => runtime.lease(`picker/${priority}/${key}`, create, close) };
}
