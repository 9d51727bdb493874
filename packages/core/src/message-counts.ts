import type { Deadlines, Expiring } from './deadlines.ts';

/** How often messages of a call that lasts are told: Istio's default (Telemetry, `metrics.reportingInterval`). */
const REPORT_MS = 5000;

/** Counts the messages of one call, and tells them while it lasts: a stream may be open for days. */
export class MessageCounts implements Expiring {
  readonly #deadlines: Deadlines;
  readonly #report: (requests: number, responses: number) => void;
  #requests = 0;
  #responses = 0;
  /** Taken while there is something to tell. */
  #slot = -1;

  constructor(deadlines: Deadlines, report: (requests: number, responses: number) => void) {
    this.#deadlines = deadlines;
    this.#report = report;
  }

  add(requests: number, responses: number): void {
    this.#requests += requests;
    this.#responses += responses;
    if (this.#slot < 0) this.#slot = this.#deadlines.addIn(this, REPORT_MS);
  }

  expired(): void {
    this.#slot = -1;
    const [requests, responses] = [this.#requests, this.#responses];
    this.#requests = this.#responses = 0;
    this.#report(requests, responses);
  }

  /** Tells the last of it. */
  close(): void {
    if (this.#slot < 0) return;
    this.#deadlines.remove(this.#slot);
    this.expired();
  }
}
