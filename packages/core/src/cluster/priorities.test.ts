import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { avoidPriorities, type PriorityCount, planPriorities } from './priorities.ts';

/** Priorities of a hundred endpoints, of which so many are available. */
const percent = (...available: readonly number[]): PriorityCount[] => available.map((count) => ({ available: count, total: 100 }));

const loads = (counts: readonly PriorityCount[], panicPercent = 0): readonly number[] => planPriorities(counts, panicPercent).loads;

test.each([
  // Envoy, "Priority levels": the second takes what the first cannot.
  [
    [100, 100],
    [100, 0],
  ],
  [
    [72, 100],
    [100, 0],
  ],
  [
    [71, 100],
    [99, 1],
  ],
  [
    [50, 100],
    [70, 30],
  ],
  [
    [25, 100],
    [35, 65],
  ],
  [
    [0, 100],
    [0, 100],
  ],
  [
    [25, 25, 100],
    [35, 35, 30],
  ],
  // Together below 100: normalised, the remainder of rounding goes to the first.
  [
    [25, 25, 20],
    [37, 35, 28],
  ],
  [
    [0, 0, 10],
    [0, 0, 100],
  ],
])('%j healthy carry %j', (available, expected) => {
  expect(loads(percent(...available))).toEqual(expected);
});

const counts = fc.array(
  fc.tuple(fc.nat(50), fc.nat(50)).map(([one, two]) => ({ available: Math.min(one, two), total: Math.max(one, two) })),
  { minLength: 1, maxLength: 6 },
);

test('loads are whole and sum to 100, whatever is up', () => {
  fc.assert(
    fc.property(counts, fc.nat(100), (list, panicPercent) => {
      const plan = planPriorities(list, panicPercent);
      expect(plan.loads.reduce((sum, load) => sum + load, 0)).toBe(100);
      for (const load of plan.loads) expect(Number.isInteger(load) && load >= 0).toBe(true);
    }),
  );
});

test('outside panic nobody unavailable gets a share while another is available', () => {
  fc.assert(
    fc.property(counts, (list) => {
      const plan = planPriorities(list, 0);
      expect(plan.panics.some(Boolean)).toBe(false);
      if (list.some(({ available }) => available > 0))
        for (const [index, { available }] of list.entries()) if (available === 0) expect(plan.loads[index]).toBe(0);
    }),
  );
});

describe('panic', () => {
  test('is out of the question while all together can carry everything', () => {
    expect(planPriorities(percent(10, 90), 50).panics).toEqual([false, false]);
  });

  test('is declared for each priority below the threshold', () => {
    expect(planPriorities(percent(10, 60), 50).panics).toEqual([true, false]);
    expect(planPriorities(percent(50), 50).panics).toEqual([false]);
    expect(planPriorities(percent(49), 50).panics).toEqual([true]);
  });

  test('everywhere at once, shares go by size', () => {
    const plan = planPriorities(
      [
        { available: 0, total: 0 },
        { available: 1, total: 10 },
        { available: 0, total: 20 },
      ],
      50,
    );
    expect(plan).toMatchObject({ panics: [true, true, true], loads: [0, 34, 66] });
  });

  test('switched off, a cluster where all are ill sends everything to the first, which refuses', () => {
    expect(planPriorities(percent(0, 0), 0)).toMatchObject({ panics: [false, false], loads: [100, 0] });
  });
});

describe('a retry that shall leave priorities', () => {
  test('finds others in their order', () => {
    expect(avoidPriorities(planPriorities(percent(100, 100, 100), 0), [0])).toEqual([0, 100, 0]);
    expect(avoidPriorities(planPriorities(percent(100, 50, 100), 0), [0])).toEqual([0, 70, 30]);
  });

  test('stays when nobody else can take it', () => {
    expect(avoidPriorities(planPriorities(percent(100, 0), 0), [0])).toEqual([100, 0]);
    expect(avoidPriorities(planPriorities(percent(100, 100), 0), [0, 1])).toEqual([100, 0]);
  });
});
