import type { Clock } from '@inmesh/core';
import { Server as HttpServer, type ServerResponse } from 'node:http';
import type { Http2Session } from 'node:http2';
import type { AnyServer } from './attach.ts';

export interface DrainOptions {
  /** Time for callers to learn that this server leaves (readiness is off): it still takes what comes. Default 0 ms. */
  readonly delayMs?: number;
  /** Time calls in flight have after that; what takes longer is cut. Default 10 s. */
  readonly graceMs?: number;
}

/**
 * Lets a server leave without losing a call: each answer says `Connection: close` (HTTP/2: GOAWAY), then nothing new is taken,
 * what is in flight finishes, and whatever outlasts its grace is cut.
 */
export class Drain {
  readonly #server: AnyServer;
  readonly #clock: Clock;
  readonly #sessions = new Set<Http2Session>();
  #leaving: Promise<void> | undefined = undefined;

  constructor(server: AnyServer, clock: Clock) {
    this.#server = server;
    this.#clock = clock;
    if (server instanceof HttpServer) {
      server.prependListener('request', (_, response) => this.#last(response));
    } else {
      server.on('session', (session: Http2Session) => {
        this.#sessions.add(session);
        session.once('close', () => this.#sessions.delete(session));
      });
    }
  }

  get draining(): boolean {
    return this.#leaving !== undefined;
  }

  drain({ delayMs = 0, graceMs = 10_000 }: DrainOptions = {}): Promise<void> {
    return (this.#leaving ??= this.#drain(delayMs, graceMs));
  }

  async #drain(delayMs: number, graceMs: number): Promise<void> {
    if (delayMs > 0) await new Promise<void>((resolve) => this.#clock.after(delayMs, resolve, true));
    const server = this.#server;
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    for (const session of this.#sessions) session.close();
    const timer = this.#clock.after(graceMs, () => this.#cut(), true);
    await closed;
    timer.cancel();
  }

  #last(response: ServerResponse): void {
    // Upgrades and answers of our own come without a response that could say so.
    if (this.draining && !response.headersSent) response.setHeader('connection', 'close');
  }

  #cut(): void {
    if (this.#server instanceof HttpServer) this.#server.closeAllConnections();
    for (const session of this.#sessions) session.destroy();
  }
}
