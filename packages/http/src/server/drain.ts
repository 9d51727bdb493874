import type { Clock } from '@inmesh/core';
import type { Links } from './links.ts';
import type { AnyServer } from './wiring.ts';

export interface DrainOptions {
  /** Time for callers to learn that this server leaves (readiness is off): it still takes what comes. Default 0 ms. */
  readonly delayMs?: number;
  /** Time calls in flight have after that; what takes longer is cut. Default 10 s. */
  readonly graceMs?: number;
}

/** A connection that became idle after its answer had begun could not be told: it has this long to ask again, and be told. */
const IDLE_MS = 1000;

/**
 * Lets a server leave without losing a call: each answer says `Connection: close`, then nothing new is taken (HTTP/2: GOAWAY),
 * what is in flight finishes, and whatever outlasts its grace is cut, upgraded connections too.
 */
export class Drain {
  readonly #server: AnyServer;
  readonly #links: Links;
  readonly #clock: Clock;
  readonly #cutPending: () => void;
  #leaving: Promise<void> | undefined = undefined;

  constructor(server: AnyServer, links: Links, clock: Clock, cutPending: () => void) {
    this.#server = server;
    this.#links = links;
    this.#clock = clock;
    this.#cutPending = cutPending;
  }

  drain({ delayMs = 0, graceMs = 10_000 }: DrainOptions = {}): Promise<void> {
    return (this.#leaving ??= this.#drain(delayMs, graceMs));
  }

  async #drain(delayMs: number, graceMs: number): Promise<void> {
    const server = this.#server;
    this.#links.announceEnd();
    if (delayMs > 0) await new Promise<void>((resolve) => this.#clock.after(delayMs, resolve, true));
    await new Promise<void>((resolve) => {
      let over = false;
      const timer = this.#clock.after(
        graceMs,
        () => {
          over = true;
          this.#cut();
          resolve();
        },
        true,
      );
      server.close(() => {
        over = true;
        timer.cancel();
        resolve();
      });
      this.#links.closeSessions();
      const sweep = (): void => {
        if (over) return;
        // Whoever has not finished saying who he is by now is not about to call.
        this.#cutPending();
        if ('closeIdleConnections' in server) server.closeIdleConnections();
        this.#clock.after(IDLE_MS, sweep);
      };
      this.#clock.after(IDLE_MS, sweep);
    });
    this.#links.close();
  }

  #cut(): void {
    this.#cutPending();
    this.#links.cut();
    // Those that were there before the mesh, and have not asked for anything since.
    if ('closeAllConnections' in this.#server) this.#server.closeAllConnections();
  }
}
