import { expect, test } from 'vitest';
import { seededRandom } from './random.ts';

test('repeats for a seed and differs between seeds', () => {
  const draw = (seed: number): number[] => {
    const random = seededRandom(seed);
    return [random(), random(), random()];
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});

test('is uniform in [0, 1)', () => {
  const random = seededRandom(1);
  const bins = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 100_000; i += 1) {
    const drawn = random();
    bins[Math.floor(drawn * 10)]! += 1;
  }
  expect(bins).toHaveLength(10);
  for (const count of bins) expect(Math.abs(count - 10_000)).toBeLessThan(400);
});
