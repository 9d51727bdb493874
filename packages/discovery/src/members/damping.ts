import type { Clock, Endpoint, Timer } from '@inmesh/core';

/** How long an endpoint that vanished without a word takes calls while nobody else can. */
export const KEEP_MS = 30_000;

/**
 * Endpoints do not vanish from one moment to the next: one that was not seen draining is kept as draining for a while. If the list
 * was wrong (a registry that lost its memory, a mistake in a file), calls still find somebody; if it was right, nobody
 * is called as long as anybody else is there.
 */
export class Damping {
  readonly #clock: Clock;
  readonly #keepMs: number;
  readonly #onExpiry: () => void;
  #listed: readonly Endpoint[] = [];
  #kept = new Map<string, { readonly endpoint: Endpoint; readonly until: number }>();
  #timer: Timer | undefined;

  constructor(clock: Clock, keepMs: number, onExpiry: () => void) {
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#onExpiry = onExpiry;
  }

  /** Nobody is listed, and nobody is kept. */
  get empty(): boolean {
    return this.#listed.length === 0 && this.#kept.size === 0;
  }

  /** A complete list, as the registry has it. */
  list(endpoints: readonly Endpoint[]): void {
    const now = new Set(endpoints.map(({ address }) => address));
    const until = this.#clock.now() + this.#keepMs;
    for (const endpoint of this.#listed)
      if (!now.has(endpoint.address) && endpoint.health === 'healthy')
        this.#kept.set(endpoint.address, { endpoint: { ...endpoint, health: 'draining' }, until });
    for (const address of now) this.#kept.delete(address);
    this.#listed = endpoints;
    this.#arm();
  }

  /** The list calls go by. */
  get endpoints(): readonly Endpoint[] {
    if (this.#kept.size === 0) return this.#listed;
    return [...this.#listed, ...[...this.#kept.values()].map(({ endpoint }) => endpoint)];
  }

  close(): void {
    this.#timer?.cancel();
  }

  #arm(): void {
    this.#timer?.cancel();
    if (this.#kept.size === 0) return;
    const next = Math.min(...[...this.#kept.values()].map(({ until }) => until));
    this.#timer = this.#clock.after(next - this.#clock.now(), () => {
      for (const [address, { until }] of this.#kept) if (until <= this.#clock.now()) this.#kept.delete(address);
      this.#arm();
      this.#onExpiry();
    });
  }
}
