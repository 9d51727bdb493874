import type { Clock, Timer } from '@inmesh/core';
import type { Probe } from '@inmesh/policy';

/** A period is lengthened or shortened by up to this share, so that a fleet that began at once does not ask at once for ever. */
const JITTER = 0.1;

export interface CheckOptions {
  readonly pace: Omit<Probe, 'ask'>;
  /** Resolves if it is well, rejects with why not, or when `signal` aborts: then nobody waits any more. */
  readonly ask: (signal: AbortSignal) => Promise<void>;
  /** What is believed until answers in a row say otherwise. */
  readonly healthy: boolean;
  /** From the first listener to the first question. */
  readonly firstMs: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly turns?: Turns;
}

/** One place that is asked, again and again, for as long as anyone listens. */
export class Check {
  readonly #options: CheckOptions;
  readonly #listeners = new Map<() => void, ((well: boolean) => void) | undefined>();
  #healthy: boolean;
  #failure = '';
  /** Answers in a row that speak against what is believed. */
  #against = 0;
  #timer: Timer | undefined;
  #question: AbortController | undefined;

  constructor(options: CheckOptions) {
    this.#options = options;
    this.#healthy = options.healthy;
  }

  get healthy(): boolean {
    return this.#healthy;
  }

  /** Why the latest question failed, '' if it did not. */
  get failure(): string {
    return this.#failure;
  }

  get idle(): boolean {
    return this.#listeners.size === 0;
  }

  /** `answered` hears of each answer, `onChange` of those that change what is believed. */
  join(onChange: () => void, answered?: (well: boolean) => void): void {
    this.#listeners.set(onChange, answered);
    if (this.#listeners.size === 1) this.#wait(this.#options.firstMs);
  }

  leave(onChange: () => void): void {
    this.#listeners.delete(onChange);
    if (this.#listeners.size > 0) return;
    this.#timer?.cancel();
    this.#question?.abort();
  }

  #wait(ms: number): void {
    const { clock, turns } = this.#options;
    this.#timer = clock.after(ms, () => {
      if (turns === undefined) void this.#ask();
      else turns.take(() => this.#ask());
    });
  }

  async #ask(): Promise<void> {
    // It may have waited for its turn.
    if (this.idle) return;
    const { clock, random, pace } = this.#options;
    const question = (this.#question = new AbortController());
    const timeout = clock.after(pace.timeoutMs, () => question.abort());
    this.#failure = await Promise.race([this.#answer(question.signal), aborted(question.signal)]);
    timeout.cancel();
    this.#question = undefined;
    if (this.idle) return;
    const well = this.#failure === '';
    for (const answered of this.#listeners.values()) answered?.(well);
    this.#hear(well);
    // A listener may have left.
    if (!this.idle) this.#wait(pace.periodMs * (1 - JITTER + 2 * JITTER * random()));
  }

  async #answer(signal: AbortSignal): Promise<string> {
    try {
      await this.#options.ask(signal);
      return '';
    } catch (error) {
      return (error as Error).message || 'failed';
    }
  }

  #hear(well: boolean): void {
    if (well === this.#healthy) {
      this.#against = 0;
      return;
    }
    this.#against += 1;
    const { failureThreshold, successThreshold } = this.#options.pace;
    if (this.#against < (well ? successThreshold : failureThreshold)) return;
    this.#against = 0;
    this.#healthy = well;
    for (const listener of this.#listeners.keys()) listener();
  }
}

/** An endpoint that takes no notice of the abort must not hold a turn for ever. */
const aborted = (signal: AbortSignal): Promise<string> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve('no answer in time'), { once: true }));

/** Who may ask now; the others stand in line. */
export class Turns {
  readonly #most: number;
  readonly #line: (() => Promise<void>)[] = [];
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  take(work: () => Promise<void>): void {
    if (this.#taken >= this.#most) {
      this.#line.push(work);
      return;
    }
    this.#taken += 1;
    void work().finally(() => {
      this.#taken -= 1;
      const next = this.#line.shift();
      if (next !== undefined) this.take(next);
    });
  }
}
