import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Counts } from './counts.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describe('counts', () => {
  it('know good and bad calls of each window apart', () => {
    const counts = new Counts(0, 30 * DAY);
    for (let call = 0; call < 10; call += 1) counts.add(call > 0, 5000);
    counts.add(false, 40 * MINUTE);
    const now = 40 * MINUTE + 1;
    expect(counts.over(5 * MINUTE, now)).toEqual({ total: 1, bad: 1 });
    expect(counts.over(30 * MINUTE, now)).toEqual({ total: 1, bad: 1 });
    expect(counts.over(HOUR, now)).toEqual({ total: 11, bad: 2 });
    expect(counts.over(30 * DAY, now)).toEqual({ total: 11, bad: 2 });
  });

  it('forget a call once its window has passed, and not before', () => {
    for (const window of [5 * MINUTE, HOUR, 6 * HOUR, 3 * DAY, 30 * DAY]) {
      const counts = new Counts(0, 30 * DAY);
      counts.add(false, 0);
      expect([window, counts.over(window, window * 0.95).bad]).toEqual([window, 1]);
      expect([window, counts.over(window, window * 1.05).bad]).toEqual([window, 0]);
      expect(counts.bad).toBe(1);
    }
  });

  it('forget after a pause longer than all windows, too', () => {
    const counts = new Counts(0, DAY);
    counts.add(false, 0);
    counts.add(true, 400 * DAY);
    expect(counts.over(DAY, 400 * DAY)).toEqual({ total: 1, bad: 0 });
  });

  it('agree with a list of all calls, up to a slot, however the calls come', () => {
    const window = fc.constantFrom(5 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY);
    const pauses = fc.array(fc.tuple(fc.integer({ min: 0, max: 5 * HOUR }), fc.boolean()), { maxLength: 60 });
    fc.assert(
      fc.property(window, pauses, fc.integer({ min: 0, max: 10 * DAY }), (ms, calls, began) => {
        const counts = new Counts(began, 7 * DAY);
        let now = began;
        const seen = calls.map(([pause, good]) => {
          now += pause;
          counts.add(good, now);
          return { at: now, good };
        });
        const { total, bad } = counts.over(ms, now);
        const within = (span: number) => seen.filter(({ at }) => at > now - span);
        // The narrowest slots of a window are at most a tenth of it.
        expect(total).toBeGreaterThanOrEqual(within(ms * 0.9).length);
        expect(total).toBeLessThanOrEqual(within(ms).length);
        expect(bad).toBeLessThanOrEqual(within(ms).filter(({ good }) => !good).length);
        expect(bad).toBeGreaterThanOrEqual(within(ms * 0.9).filter(({ good }) => !good).length);
      }),
    );
  });
});
