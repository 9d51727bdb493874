import type { Life } from '@inmesh/core';
import type { ServerHttp2Stream } from 'node:http2';
import type { Writable } from 'node:stream';

/**
 * Counts the messages of a call as they pass its stream, whichever library serves it. As Envoy's grpc_stats filter, a message counts
 * when its first byte has passed.
 */
export function countMessages(stream: ServerHttp2Stream, life: Life): void {
  const requests = frameCounter();
  const responses = frameCounter();
  // Not by listening: that would make the stream flow before the program is there. `push` is where Node puts what arrived.
  const push = stream.push.bind(stream);
  stream.push = (chunk: unknown, encoding) => {
    const begun = chunk instanceof Uint8Array ? requests(chunk) : 0;
    if (begun > 0) life.countMessages(begun, 0);
    return push(chunk, encoding);
  };
  // Below `write` and `end`, where all that is sent comes by, as bytes.
  const write = stream._write.bind(stream);
  const writev = stream._writev!.bind(stream);
  const sent = (bytes: Uint8Array): void => {
    const begun = responses(bytes);
    if (begun > 0) life.countMessages(0, begun);
  };
  stream._write = (chunk: Uint8Array, encoding, callback) => {
    sent(chunk);
    write(chunk, encoding, callback);
  };
  stream._writev = (chunks: Parameters<NonNullable<Writable['_writev']>>[0], callback) => {
    for (const { chunk } of chunks) sent(chunk as Uint8Array);
    writev(chunks, callback);
  };
}

/** What stands before each message: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;

/** Told the bytes of one direction in their order, says how many messages began in them. */
export function frameCounter(): (bytes: Uint8Array) => number {
  /** Bytes of the prefix seen so far. */
  let prefix = 0;
  /** Bytes of the message that are still to come; while the prefix is read, its length so far. */
  let length = 0;
  return (bytes) => {
    let begun = 0;
    let at = 0;
    while (at < bytes.length) {
      if (prefix === PREFIX_BYTES) {
        const skipped = Math.min(length, bytes.length - at);
        at += skipped;
        length -= skipped;
      } else {
        if (prefix === 0) begun += 1;
        // Not by shifting: lengths go up to 2^32 − 1.
        else length = length * 256 + bytes[at]!;
        prefix += 1;
        at += 1;
      }
      if (prefix === PREFIX_BYTES && length === 0) prefix = 0;
    }
    return begun;
  };
}
