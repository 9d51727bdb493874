/** How long to wait before a retry: exponential, fully jittered. Istio's `retries.backoff` sets the base; its maximum is ten times that. */
export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * Wait before the nth retry (from 1): uniform in [0, min(base·2^(n−1), max)), as Envoy's JitteredExponentialBackOffStrategy.
 * With 25 ms and 250 ms: below 25, 50, 100, 200, and from then on 250 ms.
 */
export function backoffMs({ baseMs, maxMs }: Backoff, retry: number, random: () => number): number {
  return random() * Math.min(baseMs * 2 ** (retry - 1), maxMs);
}
