import type { Limits } from '@inmesh/policy';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RetryBudget } from './budget.ts';
import { fakeClock } from './testing/index.ts';

const limits = (retries: number | null): Limits => ({ connections: null, pending: null, requests: null, retries });
const twenty = { percent: 20, minConcurrency: 3, intervalMs: 0 };

test('without a budget maxRetries holds, and null is no limit', () => {
  const budget = new RetryBudget(fakeClock());
  expect(Array.from({ length: 3 }, () => budget.try(limits(2), null, 100))).toEqual([true, true, false]);
  budget.end();
  expect(budget.try(limits(2), null, 0)).toBe(true);
  expect(budget.try(limits(null), null, 0)).toBe(true);
  expect(budget.retries).toBe(3);
});

test('a budget replaces maxRetries: a share of what is under way, but a few always', () => {
  const budget = new RetryBudget(fakeClock());
  expect(budget.allowed(limits(1), twenty, 0)).toBe(3);
  expect(budget.allowed(limits(1), twenty, 19)).toBe(3);
  expect(budget.allowed(limits(1), twenty, 24)).toBe(4);
  expect(budget.allowed(limits(1), twenty, 100)).toBe(20);
});

test('with an interval, calls of that time count too, those that are long over not', () => {
  const clock = fakeClock();
  const budget = new RetryBudget(clock);
  const policy = { ...twenty, intervalMs: 10_000 };
  for (let call = 0; call < 100; call += 1) {
    budget.request(10_000, clock.now());
    clock.advance(50);
  }
  expect(budget.allowed(limits(null), policy, 1)).toBe(20);
  expect(budget.allowed(limits(null), policy, 200)).toBe(40);
  clock.advance(7500); // those before the third second are out of the window now
  expect(budget.allowed(limits(null), policy, 1)).toBe(8);
  clock.advance(10_000);
  expect(budget.allowed(limits(null), policy, 1)).toBe(3);
  clock.advance(1_000_000);
  budget.request(10_000, clock.now());
  expect(budget.allowed(limits(null), { ...policy, percent: 100, minConcurrency: 0 }, 0)).toBe(1);
});

test('never more at once than allowed when taken, and all given back is none', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 100 }))), (steps) => {
      const budget = new RetryBudget(fakeClock());
      for (const [take, load] of steps) {
        if (take) {
          const allowed = budget.allowed(limits(null), twenty, load);
          if (budget.try(limits(null), twenty, load)) expect(budget.retries).toBeLessThanOrEqual(allowed);
          else expect(budget.retries).toBeGreaterThanOrEqual(allowed);
        } else if (budget.retries > 0) budget.end();
      }
      while (budget.retries > 0) budget.end();
      expect(budget.retries).toBe(0);
    }),
  );
});
