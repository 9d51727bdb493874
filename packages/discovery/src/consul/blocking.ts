import { backoffMs, type Clock, type Closeable, type Timer } from '@inmesh/core';
import type { Answer, Since } from './client.ts';
import { ConsulError } from './client.ts';
import type { Seats } from './seats.ts';

/** A question whose answer is followed. */
export interface Question<T> {
  /** Without `since` it is answered at once; with it, when there is news or the wait is over. Rejects when there is no answer. */
  readonly ask: (since?: Since) => Promise<Answer>;
  /** What the body says. Throws if it is not what was asked for. */
  readonly read: (body: unknown) => T;
  readonly onAnswer: (value: T, trust: Trust) => void;
  /** A sentence. What was answered before holds. */
  readonly onFailure: (reason: string) => void;
}

/**
 * How far an answer is to be believed where it says less than the one before: until `doubtUntil` (of the clock) what is missing may just
 * not be back yet. 0: no doubt.
 */
export interface Trust {
  readonly doubtUntil: number;
}

export interface FollowTools {
  readonly clock: Clock;
  readonly random: () => number;
  readonly seats: Seats;
  readonly waitMs: number;
}

/** "Clients should rate limit the loop": two answers at once, then four a second. */
const BURST = 2;
const REFILL_MS = 250;
/** Between questions of one that has no seat to wait in, or whose answers have no position. */
const POLL_MS = 5000;
/** Full-jitter exponential backoff: uniform between 0 and `BASE · 2^failures`, at most `LONGEST`. */
const BASE_MS = 500;
const LONGEST_MS = 30_000;
/** After a failure or a step back of the index, who is not there has this long to return: a restarted agent or server learns its services again one by one. */
const DOUBT_MS = 10_000;

/**
 * Follows an answer by blocking queries, by Consul's own rules: the index starts over where it goes backwards and is never below 1, a return is no proof of
 * a change, the loop is rate limited. A failure tells its reason, forgets the position and backs off.
 */
export function follow<T>(question: Question<T>, tools: FollowTools): Closeable {
  const loop = new Loop(question, tools);
  void loop.run();
  return loop;
}

class Loop<T> implements Closeable {
  readonly #question: Question<T>;
  readonly #tools: FollowTools;
  #closed = false;
  #timer: Timer | undefined;
  #wake: (() => void) | undefined;
  #index: number | undefined;
  #hash: string | undefined;
  #failures = 0;
  #doubtUntil = 0;
  #tokens = BURST;
  #filledAt: number;

  constructor(question: Question<T>, tools: FollowTools) {
    this.#question = question;
    this.#tools = tools;
    this.#filledAt = tools.clock.now();
  }

  async run(): Promise<void> {
    while (!this.#closed) {
      await this.#turn();
      if (this.#closed) return;
      const wait = await this.#once();
      if (wait > 0) await this.#sleep(wait);
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    // The loop ends by itself: nobody may go on waiting for a timer that was cancelled.
    this.#wake?.();
  }

  /** One question and what becomes of its answer; returns how long to wait before the next. */
  async #once(): Promise<number> {
    const { seats, random, waitMs } = this.#tools;
    const placed = this.#index !== undefined || this.#hash !== undefined;
    // The first answer is had at once; only who waits for news takes a seat.
    const seated = placed && seats.take();
    try {
      const since = seated ? { index: this.#index, hash: this.#hash, waitMs: waitMs * (0.9 + 0.2 * random()) } : undefined;
      const answer = await this.#question.ask(since);
      if (this.#closed) return 0;
      if (!answer.leader) throw new ConsulError('it knows no leader, so what it answers may be old');
      const value = this.#question.read(answer.body);
      this.#move(answer);
      this.#failures = 0;
      this.#question.onAnswer(value, { doubtUntil: this.#doubtUntil });
      const polls = answer.index === undefined && answer.hash === undefined;
      return polls || (placed && !seated) ? POLL_MS * (0.8 + 0.4 * random()) : 0;
    } catch (error) {
      if (this.#closed) return 0;
      return this.#fail(error as Error);
    } finally {
      if (seated) seats.leave();
    }
  }

  #move({ index, hash }: Answer): void {
    const { clock } = this.#tools;
    const next = index === undefined ? undefined : Math.max(1, index);
    // "Reset the index if it goes backwards": servers were restored or replaced, and this one may not know everything yet.
    const back = next !== undefined && this.#index !== undefined && next < this.#index;
    if (back || this.#failures > 0) this.#doubtUntil = clock.now() + DOUBT_MS;
    else if (this.#doubtUntil <= clock.now()) this.#doubtUntil = 0;
    this.#index = back ? undefined : next;
    this.#hash = hash;
  }

  #fail(error: Error): number {
    this.#index = undefined;
    this.#hash = undefined;
    this.#failures += 1;
    this.#question.onFailure(error.message);
    return backoffMs({ baseMs: BASE_MS, maxMs: LONGEST_MS }, this.#failures, this.#tools.random);
  }

  /** Waits for a token of the bucket. */
  async #turn(): Promise<void> {
    const now = this.#tools.clock.now();
    this.#tokens = Math.min(BURST, this.#tokens + (now - this.#filledAt) / REFILL_MS);
    this.#filledAt = now;
    this.#tokens -= 1;
    if (this.#tokens < 0) await this.#sleep(-this.#tokens * REFILL_MS);
  }

  #sleep(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = this.#tools.clock.after(ms, resolve);
    });
  }
}
