/** When the virtual time is wound back, so that deadlines keep their precision for ever. */
const REBASE = 2 ** 20;

/**
 * Earliest deadline first: picks indices in proportion to their weights, as evenly spread as can be (Envoy's
 * edf_scheduler.h). Each has a deadline in virtual time, 1/weight after it was last picked; the earliest is next.
 * O(n) to make, O(log n) a pick, nothing allocated by a pick.
 *
 * Everyone starts at a random point of its stride: many clients, or one that rebuilds often, would otherwise all begin
 * with the heaviest.
 */
export class Edf {
  readonly #deadlines: Float64Array;
  /** Binary heap of indices. */
  readonly #heap: Uint32Array;

  /** Weights are > 0, and there is at least one. */
  constructor(weights: Float64Array, random: () => number) {
    const { length } = weights;
    this.#deadlines = new Float64Array(length);
    this.#heap = new Uint32Array(length);
    for (let index = 0; index < length; index += 1) {
      this.#deadlines[index] = random() / weights[index]!;
      this.#heap[index] = index;
    }
    for (let at = (length >> 1) - 1; at >= 0; at -= 1) this.#sink(at);
  }

  /** The index that is next. It stays so until `advance`. */
  get next(): number {
    return this.#heap[0]!;
  }

  /** The next one has been picked; with the weight it has now it queues up again. */
  advance(weight: number): void {
    const now = this.#deadlines[this.#heap[0]!]!;
    this.#deadlines[this.#heap[0]!] = now + 1 / weight;
    this.#sink(0);
    if (now > REBASE) this.#rebase(now);
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const deadlines = this.#deadlines;
    const { length } = heap;
    const item = heap[from]!;
    const deadline = deadlines[item]!;
    let at = from;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= length) break;
      if (child + 1 < length && deadlines[heap[child + 1]!]! < deadlines[heap[child]!]!) child += 1;
      if (deadlines[heap[child]!]! >= deadline) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = item;
  }

  #rebase(now: number): void {
    for (let index = 0; index < this.#deadlines.length; index += 1) this.#deadlines[index]! -= now;
  }
}
