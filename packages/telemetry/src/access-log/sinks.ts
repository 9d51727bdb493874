import type { Clock } from '@inmesh/core';
import { Batch, type Lost, type Writer } from './batch.ts';

/** The places logs are written to, one per path however many rules and policies name it. */
export class Sinks {
  readonly #byPath = new Map<string, Batch>();
  readonly #clock: Clock;
  readonly #writerOf: (path: string) => Writer;
  readonly #lost: (path: string) => Lost;
  /** By the policy that is being compiled, or the one in force. */
  #named = new Set<string>();
  readonly #atExit = (): void => {
    for (const batch of this.#byPath.values()) batch.last();
  };

  constructor(clock: Clock, writerOf: (path: string) => Writer, lost: (path: string) => Lost) {
    this.#clock = clock;
    this.#writerOf = writerOf;
    this.#lost = lost;
  }

  /** Named by the policy that is compiled. Opens nothing: the first line does. */
  get(path: string): Batch {
    this.#named.add(path);
    let batch = this.#byPath.get(path);
    if (batch === undefined) {
      // Whatever ends the process, a crash too: its last calls are those one wants to read of.
      if (this.#byPath.size === 0) process.on('exit', this.#atExit);
      this.#byPath.set(path, (batch = new Batch(this.#writerOf(path), this.#clock, this.#lost(path))));
    }
    return batch;
  }

  /** A policy is in force: what only those before named is let go. Their last calls may still write; then it is opened once more. */
  applied(): void {
    for (const [path, batch] of this.#byPath) if (!this.#named.has(path)) void batch.rest();
    this.#named = new Set();
  }

  async close(): Promise<void> {
    process.removeListener('exit', this.#atExit);
    await Promise.all([...this.#byPath.values()].map(async (batch) => batch.rest()));
    this.#byPath.clear();
  }
}
