import type { Clock, Timer } from './clock.ts';

/** Something that must end at a moment. */
export interface Expiring {
  expired(): void;
}

/** Slots to begin with; the array doubles when all are taken. */
const INITIAL = 1024;

/**
 * Deadlines of everything in flight, swept by one timer.
 *
 * A slot array with a free list, not a Set and not a timer per call: objects held by a long-lived collection survive
 * scavenges, and that costs more than all the rest of a call (docs/performance.md). Adding and removing is some
 * nanoseconds; the timer is set to the earliest deadline and moved earlier only if a new one undercuts it.
 */
export class Deadlines {
  readonly #clock: Clock;
  #items: (Expiring | undefined)[] = Array.from({ length: INITIAL });
  #at = new Float64Array(INITIAL);
  #free: number[] = Array.from({ length: INITIAL }, (_, index) => INITIAL - 1 - index);
  #timer: Timer | undefined;
  #armedFor = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `at` is monotonic. Returns the slot to give back. */
  add(item: Expiring, at: number): number {
    if (this.#free.length === 0) this.#grow();
    const slot = this.#free.pop()!;
    this.#items[slot] = item;
    this.#at[slot] = at;
    if (at < this.#armedFor) this.#arm(at);
    return slot;
  }

  /** As `add`, so many milliseconds from now. */
  addIn(item: Expiring, ms: number): number {
    return this.add(item, this.#clock.now() + ms);
  }

  remove(slot: number): void {
    if (this.#items[slot] === undefined) return;
    this.#items[slot] = undefined;
    this.#free.push(slot);
  }

  get size(): number {
    return this.#items.length - this.#free.length;
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#armedFor = Infinity;
  }

  #arm(at: number): void {
    this.#timer?.cancel();
    this.#armedFor = at;
    this.#timer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => this.#sweep());
  }

  #sweep(): void {
    this.#timer = undefined;
    this.#armedFor = Infinity;
    const now = this.#clock.now();
    // Should an item throw, the others are due at once again.
    let next = now;
    try {
      next = this.#expire(now);
    } finally {
      if (next < this.#armedFor) this.#arm(next);
    }
  }

  /** Returns when the next deadline is. */
  #expire(now: number): number {
    let next = Infinity;
    for (let slot = 0; slot < this.#items.length; slot += 1) {
      const item = this.#items[slot];
      if (item === undefined) continue;
      const at = this.#at[slot]!;
      // Timers fire up to a millisecond early; a deadline that close is due.
      if (at <= now + 1) {
        this.remove(slot);
        item.expired();
      } else if (at < next) next = at;
    }
    return next;
  }

  #grow(): void {
    const old = this.#items.length;
    const at = new Float64Array(old * 2);
    at.set(this.#at);
    this.#at = at;
    for (let slot = old * 2 - 1; slot >= old; slot -= 1) {
      this.#items[slot] = undefined;
      this.#free.push(slot);
    }
  }
}
