import { expect, test } from 'vitest';
import type { LoadBalancer } from '@inmesh/policy';
import type { Picker } from '../kind.ts';
import { fakeClock, seededRandom, testExchange, testRuntime, testState } from '../testing/index.ts';
import { balance, type BalancerName } from './index.ts';

const SECOND = 1000;
const TIMEOUT_MS = SECOND;

/**
 * Eleven backends, a thousand calls a second for a minute, an answer takes 10–30 ms; from second 15 to 45 one backend takes two
 * seconds, and callers give up after one. Returns the share of calls that succeeded. (Linkerd, "Beyond round robin".)
 */
function success(settings: Extract<LoadBalancer, { kind: BalancerName }>, seed: number): number {
  const clock = fakeClock();
  const random = seededRandom(seed);
  const backends = Array.from({ length: 11 }, (_, index) => testState(`10.0.0.${index + 1}:80`));
  const picker = balance(
    settings.kind,
    { ...settings, slowStart: null, weightOf: () => 1 },
    backends,
    testRuntime({ clock, random }),
  ) as Picker;
  const calls = 60 * SECOND;
  const exchange = testExchange({ clock });
  let succeeded = 0;
  for (let call = 0; call < calls; call += 1) {
    clock.after(call, () => {
      const state = picker.pick(exchange)!;
      const slow = state === backends[0] && clock.now() >= 15 * SECOND && clock.now() < 45 * SECOND;
      const takes = slow ? 2 * SECOND : 10 + 20 * random();
      const failed = takes > TIMEOUT_MS;
      state.active += 1;
      clock.after(Math.min(takes, TIMEOUT_MS), () => {
        state.active -= 1;
        state.latency?.record(Math.min(takes, TIMEOUT_MS), failed, clock.now());
        if (!failed) succeeded += 1;
      });
    });
  }
  clock.advance(65 * SECOND);
  return succeeded / calls;
}

const seeds = [1, 2, 3];

test('round robin keeps sending a slow backend its share', () => {
  for (const seed of seeds) expect(success({ kind: 'roundRobin' }, seed)).toBeCloseTo(0.954, 2);
});

test('least request sees that calls pile up on it', () => {
  for (const seed of seeds) {
    const share = success({ kind: 'leastRequest' }, seed);
    expect(share).toBeGreaterThan(0.99);
    expect(share).toBeLessThan(0.998);
  }
});

test('Peak EWMA leaves it alone after the first answers that do not come', () => {
  for (const seed of seeds)
    expect(success({ kind: 'peakEwma', decayMs: 10_000, defaultRttMs: 30, penaltyMs: 5000 }, seed)).toBeGreaterThan(0.999);
});
