import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seededRandom } from '../testing/index.ts';
import { aliasTable } from './alias.ts';

test('draws in proportion to weight, whatever the weights', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 30 }), (weights) => {
      // Chance replaced by a fine grid: the areas of the columns are seen exactly.
      const grid = 30_000;
      let tick = 0;
      const draw = aliasTable(Float64Array.from(weights), () => (tick++ + 0.5) / grid);
      const counts = weights.map(() => 0);
      for (let index = 0; index < grid; index += 1) counts[draw()]! += 1;
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (const [index, weight] of weights.entries()) expect(Math.abs(counts[index]! / grid - weight / total)).toBeLessThan(0.002);
    }),
    { numRuns: 40 },
  );
});

test('is random', () => {
  const draw = aliasTable(Float64Array.of(1, 3), seededRandom(3));
  let heavy = 0;
  for (let index = 0; index < 10_000; index += 1) heavy += draw();
  expect(heavy / 10_000).toBeCloseTo(0.75, 1);
});
