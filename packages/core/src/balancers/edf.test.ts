import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seededRandom } from '../testing/index.ts';
import { Edf } from './edf.ts';

function picks(weights: readonly number[], rounds: number, seed = 1): number[] {
  const edf = new Edf(Float64Array.from(weights), seededRandom(seed));
  return Array.from({ length: rounds }, () => {
    const index = edf.next;
    edf.advance(weights[index]!);
    return index;
  });
}

test('within one round of all weights everyone has had its share, give or take one', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }), fc.integer(), (weights, seed) => {
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const counts = weights.map(() => 0);
      for (const index of picks(weights, total, seed)) counts[index]! += 1;
      for (const [index, weight] of weights.entries()) expect(Math.abs(counts[index]! - weight)).toBeLessThanOrEqual(1);
    }),
  );
});

test('spreads a heavy one instead of serving it in a row', () => {
  const order = picks([2, 1, 1], 40);
  for (let at = 2; at < order.length; at += 1) expect(order.slice(at - 2, at + 1)).not.toEqual([0, 0, 0]);
});

test('begins anywhere: chance decides, in proportion to weight', () => {
  const firsts = Array.from({ length: 4000 }, (_, seed) => picks([3, 1], 1, seed * 7919)[0]!);
  expect(firsts.filter((index) => index === 0).length / 4000).toBeCloseTo(0.83, 1);
});

test('stays exact while virtual time is wound back', () => {
  const weights = [1e-6, 3.7e-6, 5.3e-6];
  const counts = [0, 0, 0];
  for (const index of picks(weights, 30_000)) counts[index]! += 1;
  for (const [index, count] of counts.entries()) expect(Math.abs(count - weights[index]! * 3e9)).toBeLessThanOrEqual(1);
});
