import type { Life } from '@inmesh/core';
import type { StreamWatch } from './weight.ts';

/** Counts the messages of a call as they pass its stream. As Envoy's grpc_stats filter, a message counts when its first byte has passed. */
export class MessageWatch implements StreamWatch {
  readonly #life: Life;
  readonly #requests = new FrameCounter();
  readonly #responses = new FrameCounter();

  constructor(life: Life) {
    this.#life = life;
  }

  received(chunk: Uint8Array): void {
    const begun = this.#requests.add(chunk);
    if (begun > 0) this.#life.countMessages(begun, 0);
  }

  sent(chunk: Uint8Array): void {
    const begun = this.#responses.add(chunk);
    if (begun > 0) this.#life.countMessages(0, begun);
  }
}

/** What stands before each message: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;

/** Told the bytes of one direction in their order, says how many messages began in them. */
export class FrameCounter {
  /** Bytes of the prefix seen so far. */
  #prefix = 0;
  /** Bytes of the message that are still to come; while the prefix is read, its length so far. */
  #length = 0;

  add(bytes: Uint8Array): number {
    let begun = 0;
    let at = 0;
    while (at < bytes.length) {
      if (this.#prefix === PREFIX_BYTES) {
        const skipped = Math.min(this.#length, bytes.length - at);
        at += skipped;
        this.#length -= skipped;
      } else {
        if (this.#prefix === 0) begun += 1;
        // Not by shifting: lengths go up to 2^32 − 1.
        else this.#length = this.#length * 256 + bytes[at]!;
        this.#prefix += 1;
        at += 1;
      }
      if (this.#prefix === PREFIX_BYTES && this.#length === 0) this.#prefix = 0;
    }
    return begun;
  }
}
