import type { Clock, Timer } from '@inmesh/core';

/** Where lines end up. Rejections say why they did not. */
export interface Writer {
  write(text: string): Promise<void>;
  /** The process ends now: what is given is written at once, or not at all. */
  last(text: string): void;
  /** Nothing comes for a while: what is held open is let go. The next write opens it again. */
  rest(): Promise<void>;
}

/** Lines were lost, and why. */
export type Lost = (lines: number, reason: string) => void;

/** Oldest a line gets before it is written. Envoy's file_flush_interval is 10 s; here a line costs no lock, and people tail logs. */
export const FLUSH_MS = 1000;
/** Characters that are written without waiting (Envoy's min_flush_size is 64 KB). */
const FLUSH_SIZE = 65_536;
/** Characters that may wait for a slow disk. */
const MOST_WAITING = 4 * 1024 * 1024;

/** Lines on their way to one place: written in few goes, in their order. A place that is slow or broken costs lines, never a call. */
export class Batch {
  readonly #writer: Writer;
  readonly #clock: Clock;
  readonly #lost: Lost;
  #text = '';
  #lines = 0;
  /** Characters handed to the writer and not yet written. */
  #writing = 0;
  #underWay: Promise<void> | undefined = undefined;
  #timer: Timer | undefined = undefined;
  #overflowed = 0;

  constructor(writer: Writer, clock: Clock, lost: Lost) {
    this.#writer = writer;
    this.#clock = clock;
    this.#lost = lost;
  }

  add(line: string): void {
    if (this.#text.length + this.#writing + line.length > MOST_WAITING) {
      this.#overflowed += 1;
      return;
    }
    this.#text += line;
    this.#lines += 1;
    if (this.#text.length >= FLUSH_SIZE) void this.flush();
    else this.#timer ??= this.#clock.after(FLUSH_MS, () => void this.flush());
  }

  /** Resolves when all lines there are were written, or lost. Never rejects. */
  flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    // One write at a time: two would race for the order of lines.
    return (this.#underWay ??= this.#write().finally(() => {
      this.#underWay = undefined;
    }));
  }

  async #write(): Promise<void> {
    while (this.#text !== '') {
      const text = this.#text;
      const lines = this.#lines;
      this.#text = '';
      this.#lines = 0;
      this.#writing = text.length;
      try {
        await this.#writer.write(text);
      } catch (error) {
        this.#lost(lines, (error as Error).message);
      }
      this.#writing = 0;
      if (this.#overflowed > 0) {
        const overflowed = this.#overflowed;
        this.#overflowed = 0;
        this.#lost(overflowed, 'more came than could be written');
      }
    }
  }

  /** Writes what there is and lets go of what is open; lines that still come are written all the same. */
  async rest(): Promise<void> {
    await this.flush();
    await this.#writer.rest();
  }

  /** For the end of the process. */
  last(): void {
    this.#timer?.cancel();
    if (this.#text !== '') this.#writer.last(this.#text);
    this.#text = '';
  }
}
