import { describe, expect, test } from 'vitest';
import type { ClusterPolicy } from '@inmesh/policy';
import type { Exchange } from '../exchange.ts';
import type { EndpointState } from '../endpoint/state.ts';
import type { Runtime } from '../handler.ts';
import {
  fakeClock,
  type TestEndpoint,
  testClusterPolicy,
  testExchange,
  testLocality,
  testRuntime,
  testState,
  testWorkload,
} from '../testing/index.ts';
import { buildPicker, type ClusterPicker } from './picker.ts';

const workload = testWorkload({ locality: testLocality('eu/a/1') });
const byLocality = { kind: 'failover', byLocality: true, failover: [], failoverPriority: [] } as const;
const exchange = testExchange();

/** `ejected` is told to the state, everything else to its endpoint. */
function cluster(...endpoints: readonly (TestEndpoint & { readonly ejected?: boolean })[]): EndpointState[] {
  return endpoints.map(({ ejected = false, ...fields }, index) => Object.assign(testState(`10.0.0.${index + 1}:80`, fields), { ejected }));
}

function build(states: readonly EndpointState[], policy: Partial<ClusterPolicy> = {}, runtime: Runtime = testRuntime()): ClusterPicker {
  let made = buildPicker(testClusterPolicy({ loadBalancer: { kind: 'random' }, ...policy }), workload, states, runtime);
  while ('step' in made) made = made.step(10) ?? made;
  return made;
}

/** Percent of calls by endpoint, 0 left out; keys are positions in `states`. */
function shares(
  picker: ClusterPicker,
  states: readonly EndpointState[],
  ask: Partial<Exchange> = {},
  calls = 20_000,
): Record<number, number> {
  const counts = new Map<EndpointState | undefined, number>();
  for (let call = 0; call < calls; call += 1) {
    const state = picker.pick({ ...exchange, ...ask });
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  return Object.fromEntries(
    [...counts].map(([state, count]) => [state === undefined ? -1 : states.indexOf(state), Math.round((100 * count) / calls)]),
  );
}

function expectShares(actual: Record<number, number>, expected: Record<number, number>): void {
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [index, share] of Object.entries(expected))
    expect(Math.abs(actual[Number(index)]! - share), `endpoint ${index}`).toBeLessThanOrEqual(2);
}

const NOBODY = { '-1': 100 };

describe('who takes calls', () => {
  test('the healthy ones that are not ejected', () => {
    const states = cluster({}, { health: 'unhealthy' }, { ejected: true }, { health: 'draining' }, {});
    expectShares(shares(build(states), states), { 0: 50, 4: 50 });
  });

  test('those that drain, once nobody else is left', () => {
    const states = cluster({ ejected: true }, { health: 'draining' }, { health: 'draining', ejected: true });
    expectShares(shares(build(states), states), { 1: 100 });
  });

  test('nobody, if nobody can: the call is refused', () => {
    for (const states of [cluster(), cluster({ ejected: true }, { health: 'unhealthy' })]) {
      expect(shares(build(states), states, {}, 10)).toEqual(NOBODY);
      expect(shares(build(states, { locality: byLocality }), states, {}, 10)).toEqual(NOBODY);
      expect(shares(build(states, { locality: { kind: 'distribute', to: [{ pattern: '*', percent: 100 }] } }), states, {}, 10)).toEqual(
        NOBODY,
      );
    }
  });

  test('everybody in panic', () => {
    const states = cluster({}, { ejected: true }, { health: 'unhealthy' }, { ejected: true });
    expectShares(shares(build(states, { panicPercent: 50 }), states), { 0: 25, 1: 25, 2: 25, 3: 25 });
    expectShares(shares(build(states, { panicPercent: 25 }), states), { 0: 100 });
  });

  test('endpoints that drain are no reason to panic', () => {
    const states = cluster({}, { health: 'draining' }, { health: 'draining' }, { health: 'draining' });
    expectShares(shares(build(states, { panicPercent: 50 }), states), { 0: 100 });
  });
});

describe('priorities', () => {
  test('the nearest take everything while they can, and every endpoint knows its priority', () => {
    const states = cluster({ locality: 'us' }, { locality: 'eu/a/1' }, { locality: 'eu/a/1' }, { locality: 'eu/b' });
    expectShares(shares(build(states, { locality: byLocality }), states), { 1: 50, 2: 50 });
    expect(states.map(({ priority }) => priority)).toEqual([2, 0, 0, 1]);
  });

  test('what they cannot take spills over', () => {
    const states = cluster({ locality: 'eu/a/1' }, { locality: 'eu/a/1', ejected: true }, { locality: 'us' });
    expectShares(shares(build(states, { locality: byLocality }), states), { 0: 70, 2: 30 });
  });

  test('draining ones wait behind the healthy ones of the next priority', () => {
    const states = cluster({ locality: 'eu/a/1', health: 'draining' }, { locality: 'us' });
    expectShares(shares(build(states, { locality: byLocality }), states), { 1: 100 });
  });

  test('without locality all are equal', () => {
    const states = cluster({ locality: 'us' }, { locality: 'eu/a/1' });
    states[0]!.priority = 7;
    expectShares(shares(build(states), states), { 0: 50, 1: 50 });
    expect(states.map(({ priority }) => priority)).toEqual([0, 0]);
  });

  test('a key stays in its priority', () => {
    const states = cluster({ locality: 'eu/a/1' }, { locality: 'eu/a/1', ejected: true }, { locality: 'us' });
    const picker = build(states, { locality: byLocality, loadBalancer: { kind: 'maglev', tableSize: 251 } });
    for (let key = 0n; key < 100n; key += 1n) {
      expect(picker.pick({ ...exchange, hashKey: key })).toBe(key < 70n ? states[0] : states[2]);
    }
  });
});

describe('distribute', () => {
  const locality = {
    kind: 'distribute',
    to: [
      { pattern: 'eu/*', percent: 80 },
      { pattern: 'us/*', percent: 20 },
    ],
  } as const;
  const places = [{ locality: 'eu/a' }, { locality: 'us/a' }, { locality: 'us/a', weight: 3 }, { locality: 'asia/a' }] as const;

  test.each([{ kind: 'roundRobin' }, { kind: 'leastRequest' }] as const)(
    '$kind: localities get their percent, endpoints in them theirs by weight',
    (loadBalancer) => {
      const states = cluster(...places);
      expectShares(shares(build(states, { locality, loadBalancer }), states), { 0: 80, 1: 5, 2: 15 });
    },
  );

  test('consistent hashing: one table, slots by locality and weight', () => {
    const states = cluster(...places);
    expectShares(shares(build(states, { locality, loadBalancer: { kind: 'maglev', tableSize: 65_537 } }), states), { 0: 80, 1: 5, 2: 15 });
  });

  test('a locality keeps its share until it lacks more than a third, then gives it off', () => {
    const ten = (locality_: string, ejected: number): (TestEndpoint & { ejected: boolean })[] =>
      Array.from({ length: 10 }, (_, index) => ({ locality: locality_, ejected: index < ejected }));
    const share = (ejected: number): number => {
      const states = cluster(...ten('eu/a', ejected), ...ten('us/a', 0));
      const counts = shares(build(states, { locality }), states);
      return states.slice(0, 10).reduce((sum, _, index) => sum + (counts[index] ?? 0), 0);
    };
    expect(Math.abs(share(2) - 80)).toBeLessThan(4);
    // 80 × 0.7 against 20.
    expect(Math.abs(share(5) - 74)).toBeLessThan(4);
    expect(share(10)).toBe(0);
  });

  test('in panic all that were distributed to are called, wherever they are', () => {
    const states = cluster(
      { locality: 'eu/a', ejected: true },
      { locality: 'us/a', ejected: true },
      { locality: 'us/a' },
      { locality: 'asia/a' },
    );
    expectShares(shares(build(states, { locality, panicPercent: 50 }), states), { 0: 33, 1: 33, 2: 33 });
  });
});

describe('a retry', () => {
  const three = cluster({}, {}, {});
  const tried = [three[0]!.endpoint];

  test.each([
    { kind: 'roundRobin' },
    { kind: 'leastRequest' },
    { kind: 'random' },
    { kind: 'peakEwma', decayMs: 10_000, defaultRttMs: 30, penaltyMs: 5000 },
    { kind: 'ringHash', minimumRingSize: 64, maximumRingSize: 8_388_608 },
    { kind: 'maglev', tableSize: 251 },
  ] as const)('$kind: avoids endpoints tried before, also one that fails fast and so looks idle', (loadBalancer) => {
    const states = cluster({}, {}, {});
    Object.assign(states[1]!, { active: 9 });
    Object.assign(states[2]!, { active: 9 });
    const picker = build(states, { loadBalancer });
    for (let key = 0n; key < 2000n; key += 1n) {
      expect(picker.pick({ ...exchange, attempt: 1, tried, hashKey: (key * 0x1234_5678_9abc_def1n) & 0xffff_ffff_ffff_ffffn })).not.toBe(
        states[0],
      );
    }
  });

  test('takes a tried one if there is no other', () => {
    const states = cluster({});
    expect(build(states).pick({ ...exchange, attempt: 1, tried: [states[0]!.endpoint] })).toBe(states[0]);
  });

  test('goes where it likes if nothing is to be avoided', () => {
    expectShares(shares(build(three), three, { attempt: 1 }), { 0: 33, 1: 33, 2: 33 });
  });

  test('leaves priorities it shall avoid, as long as others have somebody healthy', () => {
    const states = cluster({ locality: 'eu/a/1' }, { locality: 'eu/b' }, { locality: 'us' });
    const picker = build(states, { locality: byLocality });
    expectShares(shares(picker, states, { attempt: 2, avoidPriorities: [0] }), { 1: 100 });
    expectShares(shares(picker, states, { attempt: 4, avoidPriorities: [0, 1] }), { 2: 100 });
    expectShares(shares(picker, states, { attempt: 6, avoidPriorities: [0, 1, 2] }), { 0: 100 });
  });
});

describe('building', () => {
  test('a cluster with big tables in several priorities is built in slices', () => {
    const clock = fakeClock();
    const ticking = {
      ...clock,
      now: () => {
        clock.advance(1);
        return clock.now();
      },
    };
    const states = cluster({ locality: 'eu/a/1' }, { locality: 'eu/a/1', ejected: true }, { locality: 'us' });
    const policy = testClusterPolicy({ locality: byLocality, loadBalancer: { kind: 'maglev', tableSize: 65_537 } });
    const runtime = testRuntime({ clock: ticking });
    const building = buildPicker(policy, workload, states, runtime);
    if (!('step' in building)) throw new Error('built at once');
    let steps = 1;
    let picker = building.step(5);
    for (; picker === undefined; steps += 1) picker = building.step(5);
    expect(steps).toBeGreaterThan(3);
    expectShares(shares(picker, states), { 0: 70, 2: 30 });
    // Nothing about the tables has changed: the next picker has them at once.
    expect('pick' in buildPicker(policy, workload, states, runtime)).toBe(true);
  });

  test('ten thousand endpoints take a few milliseconds', () => {
    const states = Array.from({ length: 10_000 }, (_, index) =>
      testState(`10.0.${index >> 8}.${index & 255}:80`, { weight: 1 + (index % 3), locality: ['eu/a/1', 'eu/b', 'us'][index % 3]! }),
    );
    const kinds = [
      { kind: 'roundRobin' },
      { kind: 'leastRequest' },
      { kind: 'random' },
      { kind: 'peakEwma', decayMs: 10_000, defaultRttMs: 30, penaltyMs: 5000 },
    ] as const;
    for (const loadBalancer of kinds) {
      const times = Array.from({ length: 8 }, () => {
        const before = performance.now();
        build(states, { loadBalancer });
        return performance.now() - before;
      });
      expect(Math.min(...times), loadBalancer.kind).toBeLessThan(5);
    }
  });
});

test('endpoints of a later priority take calls as those before them fail, whatever the policy says of places', () => {
  const states = cluster({ priority: 5 }, {}, {});
  expectShares(shares(build(states), states), { 1: 50, 2: 50 });
  states[1]!.ejected = true;
  // One of two healthy: 70 % stay (Envoy's overprovisioning factor of 1.4).
  expectShares(shares(build(states), states), { 0: 30, 2: 70 });
  const placed = cluster({ priority: 5, locality: 'eu/a/1' }, { locality: 'us/a/1' }, { locality: 'eu/a/1', ejected: true });
  expectShares(shares(build(placed, { locality: byLocality }), placed), { 1: 100 });
  const distributed = cluster({ priority: 5, locality: 'eu/a/1' }, { locality: 'us/a/1' }, { locality: 'eu/a/1' });
  const to = [{ pattern: 'eu/*', percent: 80 }, { pattern: 'us/*', percent: 20 }]; // prettier-ignore
  expectShares(shares(build(distributed, { locality: { kind: 'distribute', to } }), distributed), { 1: 20, 2: 80 });
});
