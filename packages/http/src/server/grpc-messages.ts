import type { Life } from '@inmesh/core';
import type { ServerHttp2Stream } from 'node:http2';
import type { Writable } from 'node:stream';

type Chunks = Parameters<NonNullable<Writable['_writev']>>[0];

/**
 * Counts the messages of a call as they pass its stream, whichever library serves it. As Envoy's grpc_stats filter, a message counts
 * when its first byte has passed.
 */
export function countMessages(stream: ServerHttp2Stream, life: Life): void {
  const requests = new FrameCounter();
  const responses = new FrameCounter();
  const push = stream.push.bind(stream);
  const write = stream._write.bind(stream);
  const writev = stream._writev!.bind(stream);
  // Not by listening: that would make the stream flow before the program is there. `push` is where Node puts what arrived.
  stream.push = (chunk: unknown, encoding) => {
    const begun = chunk instanceof Uint8Array ? requests.add(chunk) : 0;
    if (begun > 0) life.countMessages(begun, 0);
    return push(chunk, encoding);
  };
  // Below `write` and `end`, where all that is sent comes by, as bytes.
  stream._write = (chunk: Uint8Array, encoding, callback) => {
    const begun = responses.add(chunk);
    if (begun > 0) life.countMessages(0, begun);
    write(chunk, encoding, callback);
  };
  stream._writev = (chunks: Chunks, callback) => {
    const begun = chunks.reduce((sum, { chunk }) => sum + responses.add(chunk as Uint8Array), 0);
    if (begun > 0) life.countMessages(0, begun);
    writev(chunks, callback);
  };
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
