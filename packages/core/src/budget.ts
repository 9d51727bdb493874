import type { ClusterPolicy, Limits } from '@inmesh/policy';
import type { Clock } from './clock.ts';

/** Steps in which a sliding count moves on. */
const STEPS = 10;

/**
 * How many retries of a cluster may be under way at once. `connectionPool.http.maxRetries`, or a share of the traffic where
 * the policy has a `retryBudget` (Envoy RetryBudgetImpl): max(minConcurrency, percent of what is active and pending).
 */
export class RetryBudget {
  readonly #clock: Clock;
  #retries = 0;
  #seen: SlidingCount | undefined = undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Retries under way. */
  get retries(): number {
    return this.#retries;
  }

  /** Called for each attempt if the budget looks back over an interval. */
  request(intervalMs: number, now: number): void {
    if (this.#seen?.intervalMs !== intervalMs) this.#seen = new SlidingCount(intervalMs, now);
    this.#seen.add(now);
  }

  /** Takes a place if there is one; whoever got it gives it back with `end` when that retry is over. `load`: calls active and pending. */
  try(limits: Limits, budget: ClusterPolicy['retryBudget'], load: number): boolean {
    if (this.#retries >= this.allowed(limits, budget, load)) return false;
    this.#retries += 1;
    return true;
  }

  end(): void {
    this.#retries -= 1;
  }

  allowed(limits: Limits, budget: ClusterPolicy['retryBudget'], load: number): number {
    if (budget === null) return limits.retries ?? Infinity;
    // With an interval, calls that came and went within it count too, so that short calls can be retried at all.
    const seen = budget.intervalMs > 0 && this.#seen?.intervalMs === budget.intervalMs ? this.#seen.total(this.#clock.now()) : 0;
    return Math.max(budget.minConcurrency, Math.floor((budget.percent * Math.max(load, seen)) / 100));
  }
}

/** How often something happened within the last interval, to a tenth of it. */
class SlidingCount {
  readonly intervalMs: number;
  readonly #counts = new Float64Array(STEPS);
  #total = 0;
  /** Number of the newest step since time began. */
  #step: number;

  constructor(intervalMs: number, now: number) {
    this.intervalMs = intervalMs;
    this.#step = this.#stepAt(now);
  }

  add(now: number): void {
    this.#advance(now);
    this.#counts[this.#step % STEPS]! += 1;
    this.#total += 1;
  }

  total(now: number): number {
    this.#advance(now);
    return this.#total;
  }

  #stepAt(now: number): number {
    return Math.floor((now * STEPS) / this.intervalMs);
  }

  #advance(now: number): void {
    const step = this.#stepAt(now);
    if (step - this.#step >= STEPS) {
      this.#counts.fill(0);
      this.#total = 0;
      this.#step = step;
    }
    while (this.#step < step) {
      this.#step += 1;
      this.#total -= this.#counts[this.#step % STEPS]!;
      this.#counts[this.#step % STEPS] = 0;
    }
  }
}
