import { describe, expect, it } from 'vitest';
import { DEFAULT_RETRIES, parseRetryOn, retryPolicy } from './retries.ts';

describe('retries', () => {
  it('without a word two retries of what was certainly not processed', () => {
    expect(retryPolicy(undefined, DEFAULT_RETRIES, null, false)).toEqual({
      attempts: 2,
      retryOn: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'retriable-status-codes'],
      statusCodes: [],
      perTryTimeoutMs: null,
      backoff: { baseMs: 25, maxMs: 250 },
      ignorePreviousHosts: true,
      remoteLocalities: false,
    });
  });

  it('the default of the mesh takes its place, and may be none', () => {
    const mesh = { ...DEFAULT_RETRIES, attempts: 7 };
    expect(retryPolicy(undefined, mesh, null, false)?.attempts).toBe(7);
    expect(retryPolicy(undefined, null, null, false)).toBeNull();
    expect(retryPolicy({ attempts: 1 }, mesh, null, false)?.attempts).toBe(1);
  });

  it('attempts 0 is no policy at all', () => {
    expect(retryPolicy({ attempts: 0 }, DEFAULT_RETRIES, null, false)).toBeNull();
  });

  it('a block without retryOn keeps the default conditions', () => {
    expect(retryPolicy({ attempts: 5, backoff: 100 }, null, null, false)).toEqual({
      ...DEFAULT_RETRIES,
      attempts: 5,
      backoff: { baseMs: 100, maxMs: 1000 },
    });
  });

  it.each([
    ['5xx,reset', ['5xx', 'reset'], []],
    [' gateway-error , 503', ['gateway-error', 'retriable-status-codes'], [503]],
    ['503,retriable-status-codes,503,418', ['retriable-status-codes'], [503, 418]],
    ['refused-stream', ['refused-stream'], []],
  ] as const)('retryOn "%s"', (text, retryOn, statusCodes) => {
    expect(parseRetryOn(text)).toEqual({ retryOn, statusCodes });
  });

  it.each([
    [2000, null, 2000],
    [2000, 3000, 2000],
    [3000, 3000, null],
    [4000, 3000, null],
  ])('a try of %s ms in a call of %s ms is bounded by %s', (perTryTimeout, timeout, bound) => {
    expect(retryPolicy({ attempts: 1, perTryTimeout }, null, timeout, false)?.perTryTimeoutMs).toBe(bound);
  });

  it('the endpoint of a key is not avoided, unless asked for', () => {
    expect(retryPolicy(undefined, DEFAULT_RETRIES, null, true)?.ignorePreviousHosts).toBe(false);
    expect(retryPolicy({ attempts: 1 }, null, null, true)?.ignorePreviousHosts).toBe(false);
    expect(retryPolicy({ attempts: 1, retryIgnorePreviousHosts: true }, null, null, true)?.ignorePreviousHosts).toBe(true);
    expect(retryPolicy({ attempts: 1, retryIgnorePreviousHosts: false }, null, null, false)?.ignorePreviousHosts).toBe(false);
  });

  it('remote localities only if asked for', () => {
    expect(retryPolicy({ attempts: 1, retryRemoteLocalities: true }, null, null, false)?.remoteLocalities).toBe(true);
  });
});
