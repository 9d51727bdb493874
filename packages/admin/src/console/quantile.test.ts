import { expect, it } from 'vitest';
import { quantile } from './quantile.ts';

// 50 of 100 calls took at most 10 ms, 90 at most 100 ms, and of 10 it is only known that they took longer.
const buckets = new Map([[10, 50], [1, 0], [100, 90], [Infinity, 100], [5, 20]]); // prettier-ignore

it.each([
  [0.1, 3],
  [0.5, 10],
  [0.7, 55],
  [0.99, 100],
])('is linear within a bucket: %d', (share, value) => expect(quantile(buckets, share)).toBeCloseTo(value, 6));

it('is unknown where nothing was counted', () => {
  expect(quantile(new Map(), 0.5)).toBeNull();
  expect(quantile(new Map([[1, 0], [Infinity, 0]]), 0.5)).toBeNull(); // prettier-ignore
});
