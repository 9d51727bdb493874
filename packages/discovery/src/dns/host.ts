import type { Clock, Closeable, Timer } from '@inmesh/core';
import { isNone, lookupError } from './errors.ts';
import type { Answer } from './answer.ts';
import type { Lookup } from './lookup.ts';

/** What is known of a name. After a failure the answers before it stay. */
export interface HostState {
  /** Undefined before the first answer; empty once it is sure that there are none any more. */
  readonly answers: readonly Answer[] | undefined;
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
  /** So long a name that had addresses must be said to have none before that is believed. */
  readonly confirmMs: number;
}

/** An answer with a TTL of 0 is not asked for again and again. */
const SHORTEST_MS = 1000;
/** So often, too: one server that starts without its zone is asked but once or twice in that time. */
const CONFIRMATIONS = 3;
/** First wait after a failure; it doubles up to the refresh rate. */
const BACKOFF_MS = 1000;
/** A TTL is waited out and up to this share more: the servers between should have forgotten it too, and a fleet should not ask at once. */
const JITTER = 0.1;

/** One name, looked up for as long as anyone listens: services, ports and subsets that share it ask once. */
export class HostWatch {
  readonly #host: string;
  readonly #options: HostOptions;
  readonly #listeners = new Set<() => void>();
  #state: HostState = { answers: undefined, failure: undefined };
  #timer: Timer | undefined;
  #asking: AbortController | undefined;
  #failures = 0;
  /** How often it was said, and since when, that there are no addresses. */
  #denials = 0;
  #deniedAt = 0;
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
        this.#asking?.abort();
      },
    };
  }

  #ask(): void {
    const { lookup, clock, timeoutMs } = this.#options;
    const asking = (this.#asking = new AbortController());
    let over = false;
    const once = (settle: () => number): void => {
      if (over) return;
      over = true;
      timeout.cancel();
      if (!this.#running || asking !== this.#asking) return;
      const wait = settle();
      // A listener may just have left.
      if (this.#running && asking === this.#asking) this.#timer = clock.after(wait, () => this.#ask());
    };
    const timeout = clock.after(timeoutMs, () => {
      asking.abort();
      once(() => this.#failed(`no answer within ${timeoutMs} ms`));
    });
    this.#timer = timeout;
    // Inside the promise: a look-up that throws has failed, too.
    new Promise<readonly Answer[]>((resolve) => resolve(lookup(this.#host, asking.signal))).then(
      (answers) => once(() => (answers.length === 0 ? this.#denied(lookupError('ENODATA', 'query', this.#host)) : this.#answered(answers))),
      (error: unknown) => once(() => (isNone(error) ? this.#denied(error) : this.#failed(messageOf(error)))),
    );
  }

  /** Returns the time until the next look-up, as do `#denied` and `#failed`. */
  #answered(answers: readonly Answer[]): number {
    const { refreshMs, random } = this.#options;
    this.#failures = 0;
    this.#denials = 0;
    const ttl = Math.min(...answers.map(({ ttlMs }) => ttlMs ?? Infinity));
    const wait = Math.max(SHORTEST_MS, ttl === Infinity ? refreshMs() : ttl);
    this.#become({ answers, failure: undefined });
    return wait * (1 + JITTER * random());
  }

  /**
   * A server that has just started, or was given the wrong zone, says it of names that are alive. But it is not doubted for ever:
   * addresses are given to others, who would then be called.
   */
  #denied(error: unknown): number {
    const { clock, confirmMs } = this.#options;
    if (this.#denials === 0) this.#deniedAt = clock.now();
    this.#denials += 1;
    const sure = this.#denials >= CONFIRMATIONS && clock.now() - this.#deniedAt >= confirmMs;
    if (sure && this.#state.answers !== undefined) this.#state = { answers: [], failure: undefined };
    return this.#retry(`has no addresses (${messageOf(error)})`);
  }

  /** Nobody could say. What was said before holds for as long as that is so. */
  #failed(reason: string): number {
    this.#denials = 0;
    return this.#retry(reason);
  }

  #retry(reason: string): number {
    const { refreshMs, random } = this.#options;
    const longest = Math.max(SHORTEST_MS, Math.min(refreshMs(), BACKOFF_MS * 2 ** this.#failures));
    this.#failures += 1;
    this.#become({ answers: this.#state.answers, failure: `${this.#host}: ${reason}` });
    // Half of it is certain, so that a broken server is not hammered; half is chance.
    return longest * (0.5 + 0.5 * random());
  }

  #become(state: HostState): void {
    const before = this.#state;
    this.#state = state;
    if (before.failure === state.failure && textOf(before) === textOf(state)) return;
    for (const listener of this.#listeners) listener();
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Two states of one text have the same answers; how long they may be used is no difference. */
const textOf = ({ answers }: HostState): string | undefined =>
  answers?.map(({ address, port, priority, weight }) => `${address} ${port} ${priority} ${weight}`).join();
