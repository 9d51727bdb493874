const SLOT_MS = 10_000;

/** Calls in slots of equal width, the oldest written over. */
class Ring {
  readonly #slots: number;
  /** Of the narrowest slots: how many make one of these. */
  readonly #width: number;
  readonly #total: Uint32Array;
  readonly #bad: Uint32Array;
  /** The newest slot, counted since the clock's zero. */
  #newest = 0;

  constructor(widthMs: number, spanMs: number) {
    this.#width = widthMs / SLOT_MS;
    this.#slots = Math.ceil(spanMs / widthMs);
    this.#total = new Uint32Array(this.#slots);
    this.#bad = new Uint32Array(this.#slots);
  }

  covers(ms: number): boolean {
    return ms <= this.#slots * this.#width * SLOT_MS;
  }

  add(slot: number, total: number, bad: number): void {
    const at = this.#advance(slot);
    this.#total[at]! += total;
    this.#bad[at]! += bad;
  }

  /** Calls of the last `ms`, up to a slot more or less. */
  sum(slot: number, ms: number): Sum {
    this.#advance(slot);
    const slots = Math.ceil(ms / (this.#width * SLOT_MS));
    let [total, bad] = [0, 0];
    for (let back = 0; back < slots; back += 1) {
      const at = (this.#newest - back + this.#slots) % this.#slots;
      total += this.#total[at]!;
      bad += this.#bad[at]!;
    }
    return { total, bad };
  }

  #advance(slot: number): number {
    const now = Math.floor(slot / this.#width);
    const passed = Math.min(now - this.#newest, this.#slots);
    for (let empty = 0; empty < passed; empty += 1) {
      const at = (now - empty) % this.#slots;
      this.#total[at] = 0;
      this.#bad[at] = 0;
    }
    this.#newest = now;
    return now % this.#slots;
  }
}

export interface Sum {
  readonly total: number;
  readonly bad: number;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Width of slots, and what they cover at most: a window is read from the narrowest that cover it, so none is off by a tenth. */
const RINGS = [
  [SLOT_MS, HOUR],
  [5 * MINUTE, 72 * HOUR],
  [HOUR, Infinity],
] as const;

/**
 * Good and bad calls over windows up to `windowMs`, in memory that does not grow with them: 16 KB for 30 days. A call is a few additions; what
 * a slot held is passed on when the next one begins. Times are the clock's, monotonic.
 */
export class Counts {
  readonly #rings: readonly Ring[];
  #slot: number;
  #total = 0;
  #bad = 0;
  /** Since the beginning. */
  total = 0;
  bad = 0;

  constructor(now: number, windowMs: number) {
    this.#slot = Math.floor(now / SLOT_MS);
    const before = [0, ...RINGS.map(([, span]) => span)];
    this.#rings = RINGS.filter((_, index) => before[index]! < windowMs).map(([width, span]) => new Ring(width, Math.min(span, windowMs)));
  }

  add(good: boolean, now: number): void {
    const slot = Math.floor(now / SLOT_MS);
    if (slot !== this.#slot) this.#roll(slot);
    this.#total += 1;
    this.total += 1;
    if (good) return;
    this.#bad += 1;
    this.bad += 1;
  }

  over(ms: number, now: number): Sum {
    this.#roll(Math.floor(now / SLOT_MS));
    const ring = this.#rings.find((one) => one.covers(ms)) ?? this.#rings.at(-1)!;
    return ring.sum(this.#slot, ms);
  }

  #roll(slot: number): void {
    if (this.#total > 0) for (const ring of this.#rings) ring.add(this.#slot, this.#total, this.#bad);
    this.#slot = slot;
    this.#total = 0;
    this.#bad = 0;
  }
}
