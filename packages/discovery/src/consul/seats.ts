/**
 * Connections on which this process waits for news. An agent takes 200 from one address and resets the others, of all processes there: who finds
 * no seat asks now and then instead.
 */
export class Seats {
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  /** Whoever got one gives it back by `leave`. */
  take(): boolean {
    if (this.#free === 0) return false;
    this.#free -= 1;
    return true;
  }

  leave(): void {
    this.#free += 1;
  }
}
