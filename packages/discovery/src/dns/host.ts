import type { Clock, Closeable, Timer } from '@inmesh/core';
import type { Answer, Lookup } from './lookup.ts';

/** What is known of a name. After a failure the answers before it stay. */
export interface HostState {
  /** Undefined before the first answer. */
  readonly addresses: readonly string[] | undefined;
  /** Why the latest look-up failed; undefined if it did not. */
  readonly failure: string | undefined;
}

export interface HostOptions {
  readonly lookup: Lookup;
  readonly clock: Clock;
  readonly random: () => number;
  /** Between look-ups of answers that name no TTL; asked each time. */
  readonly refreshMs: () => number;
  /** A look-up that takes longer has failed. */
  readonly timeoutMs: number;
}

/** An answer with a TTL of 0 is not asked for again and again. */
const SHORTEST_MS = 1000;
/** First wait after a failure; it doubles up to the refresh rate. */
const BACKOFF_MS = 1000;
/** A TTL is waited out and up to this share more: the servers between should have forgotten it too, and a fleet should not ask at once. */
const JITTER = 0.1;

/** One name, looked up for as long as anyone listens: services, ports and subsets that share it ask once. */
export class HostWatch {
  readonly #host: string;
  readonly #options: HostOptions;
  readonly #listeners = new Set<() => void>();
  #state: HostState = { addresses: undefined, failure: undefined };
  #timer: Timer | undefined;
  #failures = 0;
  #running = false;

  constructor(host: string, options: HostOptions) {
    this.#host = host;
    this.#options = options;
  }

  get state(): HostState {
    return this.#state;
  }

  get idle(): boolean {
    return this.#listeners.size === 0;
  }

  /** `onChange` is called after each look-up that changed the state. The first listener starts it, the last one stops it. */
  listen(onChange: () => void): Closeable {
    const listener = (): void => onChange();
    this.#listeners.add(listener);
    if (!this.#running) {
      this.#running = true;
      this.#ask();
    }
    return {
      close: () => {
        this.#listeners.delete(listener);
        if (this.#listeners.size > 0) return;
        this.#running = false;
        this.#timer?.cancel();
      },
    };
  }

  #ask(): void {
    const { lookup, clock, timeoutMs } = this.#options;
    let over = false;
    const once = (settle: () => number): void => {
      if (over) return;
      over = true;
      timeout.cancel();
      if (!this.#running) return;
      const wait = settle();
      // A listener may just have left.
      if (this.#running) this.#timer = clock.after(wait, () => this.#ask());
    };
    const timeout = clock.after(timeoutMs, () => once(() => this.#failed(`no answer within ${timeoutMs} ms`)));
    this.#timer = timeout;
    // Inside the promise: a look-up that throws has failed, too.
    new Promise<readonly Answer[]>((resolve) => resolve(lookup(this.#host))).then(
      (answers) => once(() => (answers.length === 0 ? this.#failed('no addresses') : this.#answered(answers))),
      (error: unknown) => once(() => this.#failed(error instanceof Error ? error.message : String(error))),
    );
  }

  /** Returns the time until the next look-up, as does `#failed`. */
  #answered(answers: readonly Answer[]): number {
    const { refreshMs, random } = this.#options;
    this.#failures = 0;
    const ttl = Math.min(...answers.map(({ ttlMs }) => ttlMs ?? Infinity));
    const wait = Math.max(SHORTEST_MS, ttl === Infinity ? refreshMs() : ttl);
    this.#become({ addresses: answers.map(({ address }) => address), failure: undefined });
    return wait * (1 + JITTER * random());
  }

  #failed(reason: string): number {
    const { refreshMs, random } = this.#options;
    const longest = Math.max(SHORTEST_MS, Math.min(refreshMs(), BACKOFF_MS * 2 ** this.#failures));
    this.#failures += 1;
    this.#become({ addresses: this.#state.addresses, failure: `${this.#host}: ${reason}` });
    // Half of it is certain, so that a broken server is not hammered; half is chance.
    return longest * (0.5 + 0.5 * random());
  }

  #become(state: HostState): void {
    const before = this.#state;
    this.#state = state;
    if (before.failure === state.failure && before.addresses?.join() === state.addresses?.join()) return;
    for (const listener of this.#listeners) listener();
  }
}
