import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs } from './backoff.ts';

const istio = { baseMs: 25, maxMs: 250 };
const almostOne = 1 - 2 ** -53;

describe('backoff', () => {
  it.each([
    [1, 25],
    [2, 50],
    [3, 100],
    [4, 200],
    [5, 250],
    [60, 250],
    [2000, 250],
  ])('before retry %i stays below %i ms', (retry, bound) => {
    expect(backoffMs(istio, retry, () => almostOne)).toBeLessThan(bound);
    expect(backoffMs(istio, retry, () => almostOne)).toBeGreaterThan(bound * 0.999);
    expect(backoffMs(istio, retry, () => 0)).toBe(0);
  });

  it('is uniform in its bound, whatever base and maximum', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 40 }),
        fc.double({ min: 0, max: almostOne, noNaN: true }),
        (baseMs, factor, retry, draw) => {
          const bound = Math.min(baseMs * 2 ** (retry - 1), baseMs * factor);
          expect(backoffMs({ baseMs, maxMs: baseMs * factor }, retry, () => draw)).toBeCloseTo(draw * bound, 6);
        },
      ),
    );
  });
});
