import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EndpointState } from '../endpoint/state.ts';
import type { Building, Picker } from '../kind.ts';
import { fakeClock, seededRandom, testExchange, testRuntime, testState } from '../testing/index.ts';
import { balance, type BalancerName, balancers } from './index.ts';
import type { LoadBalancer } from '@inmesh/policy';

const exchange = testExchange();

const settings: { readonly [Name in BalancerName]: Extract<LoadBalancer, { kind: Name }> } = {
  leastRequest: { kind: 'leastRequest' },
  maglev: { kind: 'maglev', tableSize: 65_537 },
  peakEwma: { kind: 'peakEwma', decayMs: 10_000, defaultRttMs: 30, penaltyMs: 5000 },
  random: { kind: 'random' },
  ringHash: { kind: 'ringHash', minimumRingSize: 4096, maximumRingSize: 8_388_608 },
  roundRobin: { kind: 'roundRobin' },
};
const names = Object.keys(balancers) as BalancerName[];

function build(name: BalancerName, endpoints: readonly EndpointState[], seed = 1): Picker {
  const general = { slowStart: null, weightOf: ({ endpoint }: EndpointState) => endpoint.weight };
  let made: Picker | Building | undefined = balance(
    name,
    { ...settings[name], ...general },
    endpoints,
    testRuntime({ clock: fakeClock(), random: seededRandom(seed) }),
  );
  while ('step' in made) made = made.step(10) ?? made;
  return made;
}

function states(weights: readonly number[]): EndpointState[] {
  return weights.map((weight, index) => testState(`10.0.0.${index + 1}:80`, { weight }));
}

/** How many of `calls` each endpoint gets; half of them with a key of their own, half without. Nothing stays in flight. */
function tally(picker: Picker, calls: number): Map<EndpointState, number> {
  const { hash } = testRuntime();
  const counts = new Map<EndpointState, number>();
  for (let call = 0; call < calls; call += 1) {
    const state = picker.pick({ ...exchange, hashKey: call % 2 === 0 ? hash.hash64(`key-${call}`) : undefined })!;
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  return counts;
}

describe.each(names)('%s', (name) => {
  test('picks only from its list', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 }),
        fc.nat(),
        fc.nat(7),
        (weights, seed, attempt) => {
          const list = states(weights);
          const picker = build(name, list, seed);
          for (const hashKey of [undefined, 0n, 2n ** 64n - 1n, BigInt(seed)])
            expect(list).toContain(picker.pick({ ...exchange, hashKey, attempt }));
        },
      ),
      // Tables are real ones and take their time.
      { numRuns: 30 },
    );
  });

  test('serves everything from the only one there is', () => {
    const [only] = states([3]);
    expect(tally(build(name, [only!]), 50)).toEqual(new Map([[only, 50]]));
  });

  test('shares calls evenly among equals', () => {
    const list = states([1, 1, 1, 1, 1]);
    const counts = tally(build(name, list), 10_000);
    for (const state of list) expect(counts.get(state)! / 2000, state.endpoint.address).toBeCloseTo(1, 0.8);
  });

  test(name === 'random' ? 'shares calls evenly whatever the weights' : 'shares calls by weight', () => {
    const list = states([1, 2, 3, 4]);
    const counts = tally(build(name, list), 20_000);
    const expected = ({ endpoint }: EndpointState): number => (name === 'random' ? 5000 : endpoint.weight * 2000);
    for (const state of list) expect(counts.get(state)! / expected(state), state.endpoint.address).toBeCloseTo(1, 0.8);
  });

  test('a removed one is gone with the next picker', () => {
    const list = states([1, 1, 1, 1]);
    build(name, list);
    const counts = tally(build(name, list.slice(1)), 500);
    expect(counts.has(list[0]!)).toBe(false);
    expect(counts.size).toBe(3);
  });
});
