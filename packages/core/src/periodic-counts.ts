import type { Deadlines, Expiring } from './deadlines.ts';

/** Two numbers of one call that lasts (messages of a stream, bytes of a connection), told while it does: it may be open for days. */
export class PeriodicCounts implements Expiring {
  readonly #deadlines: Deadlines;
  /** How often; 0: only at the end (Telemetry, `metrics.reportingInterval`). */
  readonly #everyMs: number;
  readonly #report: (up: number, down: number) => void;
  #up = 0;
  #down = 0;
  /** Taken while there is something to tell. */
  #slot = -1;

  constructor(deadlines: Deadlines, everyMs: number, report: (up: number, down: number) => void) {
    this.#deadlines = deadlines;
    this.#everyMs = everyMs;
    this.#report = report;
  }

  /** `up`: from client to server. */
  add(up: number, down: number): void {
    this.#up += up;
    this.#down += down;
    if (this.#slot < 0 && this.#everyMs > 0) this.#slot = this.#deadlines.addIn(this, this.#everyMs);
  }

  expired(): void {
    this.#slot = -1;
    const [up, down] = [this.#up, this.#down];
    this.#up = this.#down = 0;
    this.#report(up, down);
  }

  /** Tells the last of it. */
  close(): void {
    if (this.#slot >= 0) this.#deadlines.remove(this.#slot);
    if (this.#up > 0 || this.#down > 0) this.expired();
  }
}
