import type { Clock, Endpoint, Timer } from '@inmesh/core';

/**
 * Endpoints that vanished from a list without a word drain for a while: a DNS server that answers with a part of what it knows, or that
 * was given a bad zone, takes nobody out of the service whom the others cannot replace. `onOver`: some of them are gone for good now.
 */
export class Leaving {
  readonly #clock: Clock;
  readonly #drainMs: number;
  readonly #onOver: () => void;
  /** The list as it was. */
  #present = new Map<string, Endpoint>();
  readonly #left = new Map<string, { readonly endpoint: Endpoint; readonly until: number }>();
  #timer: Timer | undefined;

  constructor(clock: Clock, drainMs: number, onOver: () => void) {
    this.#clock = clock;
    this.#drainMs = drainMs;
    this.#onOver = onOver;
  }

  /** The list, and behind it those that drain. */
  follow(endpoints: readonly Endpoint[]): readonly Endpoint[] {
    const now = this.#clock.now();
    const next = new Map(endpoints.map((endpoint) => [endpoint.address, endpoint]));
    for (const [address, endpoint] of this.#present)
      // One that was not healthy before is no worse for going at once.
      if (!next.has(address) && endpoint.health === 'healthy')
        this.#left.set(address, { endpoint: { ...endpoint, health: 'draining' }, until: now + this.#drainMs });
    for (const [address, { until }] of this.#left) if (until <= now || next.has(address)) this.#left.delete(address);
    this.#present = next;
    this.#timer?.cancel();
    const first = Math.min(...[...this.#left.values()].map(({ until }) => until));
    this.#timer = first === Infinity ? undefined : this.#clock.after(first - now, this.#onOver);
    return [...endpoints, ...[...this.#left.values()].map(({ endpoint }) => endpoint)];
  }

  close(): void {
    this.#timer?.cancel();
  }
}
