import { describe, expect, test } from 'vitest';
import type { EndpointState } from '../endpoint/state.ts';
import type { Runtime } from '../handler.ts';
import type { Picker } from '../kind.ts';
import { fakeClock, testExchange, testRuntime, testState } from '../testing/index.ts';
import { type BalancerConfig, REPICKS } from './balancer.ts';
import { maglev } from './maglev.ts';
import { ringHash } from './ring-hash.ts';

const exchange = testExchange();

const weightOf = ({ endpoint }: EndpointState): number => endpoint.weight;
const ring = (minimumRingSize: number): BalancerConfig<'ringHash'> => ({
  kind: 'ringHash',
  minimumRingSize,
  maximumRingSize: 8_388_608,
  slowStart: null,
  weightOf,
});
const table = (tableSize: number): BalancerConfig<'maglev'> => ({ kind: 'maglev', tableSize, slowStart: null, weightOf });
const list = Array.from({ length: 8 }, (_, index) => testState(`10.0.0.${index + 1}:80`));

/** A clock on which every look takes `ms`. */
function tickingClock(ms: number) {
  const clock = fakeClock();
  return {
    ...clock,
    now: () => {
      clock.advance(ms);
      return clock.now();
    },
  };
}

describe.each([
  [
    'ringHash',
    (runtime: Runtime, members: readonly EndpointState[]) => ringHash.picker(ring(4096), members, runtime),
    (runtime: Runtime) => ringHash.picker(ring(8192), list, runtime),
  ],
  [
    'maglev',
    (runtime: Runtime, members: readonly EndpointState[]) => maglev.picker(table(10_007), members, runtime),
    (runtime: Runtime) => maglev.picker(table(20_011), list, runtime),
  ],
])('%s', (_, make, makeOther) => {
  test('is built in slices that keep to their time, and says the same as when it is built at once', () => {
    const clock = tickingClock(1);
    const building = make(testRuntime({ clock }), list);
    if (!('step' in building)) throw new Error('built at once');
    let picker: Picker | undefined;
    let slices = 0;
    while (picker === undefined) {
      const before = clock.now();
      picker = building.step(2);
      expect(clock.now() - before).toBeLessThanOrEqual(5);
      slices += 1;
    }
    expect(slices).toBeGreaterThan(2);
    expect(building.step(2)).toBe(picker);
    const whole = make(testRuntime(), list) as Picker;
    for (let key = 0n; key < 2n ** 64n; key += 2n ** 57n) {
      expect(picker.pick({ ...exchange, hashKey: key })).toBe(whole.pick({ ...exchange, hashKey: key }));
    }
  });

  test('the same table serves as long as the same endpoints with the same weights take part', () => {
    const runtime = testRuntime();
    const first = make(runtime, list);
    expect(make(runtime, list)).toBe(first);
    const other = makeOther(runtime);
    expect(other).not.toBe(first);
    const before = list[0]!.endpoint;
    list[0]!.endpoint = { ...before, labels: { version: 'v2' } };
    expect(makeOther(runtime)).toBe(other);
    list[0]!.endpoint = { ...before, weight: 2 };
    expect(makeOther(runtime)).not.toBe(other);
    list[0]!.endpoint = before;
    const again = make(runtime, list);
    expect(make(runtime, [...list].reverse())).toBe(again);
    expect(make(runtime, [...list.slice(1), testState('10.0.0.9:80')])).not.toBe(again);
  });

  test('a key stays with its endpoint', () => {
    const picker = make(testRuntime(), list) as Picker;
    for (let key = 0n; key < 50n; key += 1n) {
      const hashKey = (key * 0x9e37_79b9_7f4a_7c15n) & 0xffff_ffff_ffff_ffffn;
      expect(new Set(Array.from({ length: 5 }, () => picker.pick({ ...exchange, hashKey }))).size).toBe(1);
    }
  });

  test('a retry goes on to alternatives until it finds one not tried before', () => {
    const picker = make(testRuntime(), list) as Picker;
    for (let key = 1n; key < 40n; key += 1n) {
      const hashKey = (key * 0x9e37_79b9_7f4a_7c15n) & 0xffff_ffff_ffff_ffffn;
      const at = (attempt: number): EndpointState => picker.pick({ ...exchange, hashKey, attempt })!;
      const tried = [at(1).endpoint];
      const alternatives = Array.from({ length: REPICKS + 1 }, (__, step) => at(1 + step));
      const expected = alternatives.find(({ endpoint }) => endpoint !== tried[0]) ?? alternatives.at(-1);
      expect(picker.pick({ ...exchange, hashKey, attempt: 1, tried })).toBe(expected);
    }
  });

  test('calls without a key go anywhere', () => {
    const picker = make(testRuntime(), list) as Picker;
    expect(new Set(Array.from({ length: 200 }, () => picker.pick(exchange))).size).toBe(8);
  });
});
