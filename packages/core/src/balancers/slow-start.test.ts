import { describe, expect, test } from 'vitest';
import type { ClusterPolicy } from '@inmesh/policy';
import type { Picker } from '../kind.ts';
import { fakeClock, seededRandom, testExchange, testRuntime, testState } from '../testing/index.ts';
import { balance } from './index.ts';
import { slowStartFactor } from './slow-start.ts';

const exchange = testExchange();

const minute: NonNullable<ClusterPolicy['slowStart']> = { windowMs: 60_000, minPercent: 10, aggression: 1 };

test('grows from the minimum to the whole weight', () => {
  const at = (ageMs: number): number => slowStartFactor(minute, ageMs);
  expect([at(0), at(3000), at(6000), at(30_000), at(60_000), at(1e9)]).toEqual([0.1, 0.1, 0.1, 0.5, 1, 1]);
});

test('aggression bends the curve', () => {
  expect(slowStartFactor({ ...minute, aggression: 2 }, 15_000)).toBeCloseTo(0.5);
  expect(slowStartFactor({ ...minute, aggression: 0.5 }, 30_000)).toBeCloseTo(0.25);
});

test('counts less than a millisecond as one', () => {
  expect(slowStartFactor({ windowMs: 1000, minPercent: 0, aggression: 1 }, 0)).toBe(0.001);
});

describe.each(['roundRobin', 'leastRequest'] as const)('%s', (kind) => {
  function setUp(slowStart: ClusterPolicy['slowStart']) {
    const clock = fakeClock({ now: 1_000_000 });
    const old = [testState('10.0.0.1:80'), testState('10.0.0.2:80'), testState('10.0.0.3:80')];
    const fresh = testState('10.0.0.4:80', {}, clock.now());
    const picker = balance(
      kind,
      { kind, slowStart, weightOf: () => 1 },
      [...old, fresh],
      testRuntime({ clock, random: seededRandom(5) }),
    ) as Picker;
    const share = (calls = 4000): number => {
      let count = 0;
      for (let call = 0; call < calls; call += 1) if (picker.pick(exchange) === fresh) count += 1;
      return count / calls;
    };
    return { clock, picker, old, share };
  }

  test('an endpoint that joins warms up, then is one of all', () => {
    const { clock, share } = setUp(minute);
    expect(share()).toBeCloseTo(0.1 / 3.1, 2);
    clock.advance(30_000);
    expect(share()).toBeCloseTo(0.5 / 3.5, 2);
    clock.advance(30_000);
    expect(share()).toBeCloseTo(0.25, 1);
  });

  test('one that hardly got anything at first does not miss its time', () => {
    const { clock, share } = setUp({ ...minute, minPercent: 0 });
    expect(share(100)).toBe(0);
    clock.advance(54_000);
    expect(share(1000)).toBeCloseTo(0.9 / 3.9, 1);
  });

  test('once everybody is warm it is the plain algorithm again', () => {
    const { clock, picker, old } = setUp(minute);
    clock.advance(60_000);
    picker.pick(exchange);
    old[0]!.active = 1000;
    const busy = Array.from({ length: 4000 }, () => picker.pick(exchange)).filter((state) => state === old[0]).length / 4000;
    // Weighing by calls in flight it would be next to nothing; two draws hit the busy one twice in a sixteenth of cases.
    expect(busy).toBeCloseTo(kind === 'leastRequest' ? 1 / 16 : 1 / 4, 1);
    expect(busy).toBeGreaterThan(0.03);
  });

  test('without a policy nobody warms up', () => {
    expect(setUp(null).share()).toBeCloseTo(0.25, 1);
  });
});
