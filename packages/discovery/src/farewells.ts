import type { Clock, Endpoint, Timer } from '@inmesh/core';

/** How long an endpoint that vanished without a word is kept. */
const FAREWELL_MS = 30_000;

interface Leaving {
  readonly endpoint: Endpoint;
  readonly until: number;
}

/**
 * Keeps endpoints that were healthy and vanish from a list without having been seen draining: for a while they are draining, and get
 * calls while nobody is healthy. A registry that lost them by mistake takes no traffic down.
 */
export class Farewells {
  readonly #clock: Clock;
  readonly #onOver: () => void;
  readonly #ms: number;
  #last = new Map<string, Endpoint>();
  readonly #leaving = new Map<string, Leaving>();
  #timer: Timer | undefined;

  /** `onOver`: some have been kept long enough; ask for the list again. */
  constructor(clock: Clock, onOver: () => void, ms = FAREWELL_MS) {
    this.#clock = clock;
    this.#onOver = onOver;
    this.#ms = ms;
  }

  /** The complete list with those who are leaving. `known`: is this address spoken of at all, such as one that is not ready? */
  with(endpoints: readonly Endpoint[], known: (endpoint: Endpoint) => boolean = () => false): readonly Endpoint[] {
    const now = this.#clock.now();
    const listed = new Map(endpoints.map((endpoint) => [endpoint.address, endpoint]));
    for (const [address, endpoint] of this.#last)
      if (endpoint.health === 'healthy' && !listed.has(address)) this.#leaving.set(address, { endpoint, until: now + this.#ms });
    this.#last = listed;
    for (const [address, { endpoint, until }] of this.#leaving)
      if (until <= now || listed.has(address) || known(endpoint)) this.#leaving.delete(address);
    this.#timer?.cancel();
    if (this.#leaving.size === 0) return endpoints;
    const next = Math.min(...[...this.#leaving.values()].map(({ until }) => until));
    this.#timer = this.#clock.after(next - now, this.#onOver);
    return [...endpoints, ...[...this.#leaving.values()].map(({ endpoint }): Endpoint => ({ ...endpoint, health: 'draining' }))];
  }

  close(): void {
    this.#timer?.cancel();
  }
}
