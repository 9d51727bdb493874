import type { Life } from '@inmesh/core';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { linesSize, START_LINE } from '../headers.ts';

const MARK = Symbol('inmesh.mark');

interface Marked extends Socket {
  [MARK]?: { read: number; written: number };
}

/**
 * What a call of HTTP/1 weighed, by what passed its connection since the call before: exact for whole connections, and for each call
 * unless its caller sends the next before the answer. Framing of chunks counts as body.
 */
export function weigh({ socket, rawHeaders }: IncomingMessage, response: ServerResponse, life: Life): void {
  const marked = socket as Marked;
  const mark = (marked[MARK] ??= { read: 0, written: 0 });
  const { bytesRead, bytesWritten } = marked;
  const up = bytesRead - mark.read;
  const down = bytesWritten - mark.written;
  mark.read = bytesRead;
  mark.written = bytesWritten;
  // Not a socket at all: an injected request.
  if (!(up >= 0 && down >= 0)) return;
  life.requestHead = hasBody(rawHeaders) ? Math.min(life.requestHead, up) : up;
  life.requestBytes = up - life.requestHead;
  // Node keeps the head it has written; without one nothing was.
  const { _header: written } = response as { _header?: string | null };
  life.responseHead = Math.min(written?.length ?? 0, down);
  life.responseBytes = down - life.responseHead;
}

type Chunks = Parameters<NonNullable<Writable['_writev']>>[0];

/** By its lines: to ask for the parsed headers would make Node parse them, which a program may never need. */
function hasBody(rawHeaders: readonly string[]): boolean {
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const { length } = rawHeaders[at]!;
    // content-length, transfer-encoding
    if ((length === 14 || length === 17) && /^(?:content-length|transfer-encoding)$/i.test(rawHeaders[at]!)) return true;
  }
  return false;
}

/** Bytes of the head of a request, as it came: what the mesh puts there for the program was not sent. */
export const headSize = ({ method = '', url = '', rawHeaders }: IncomingMessage): number =>
  method.length + url.length + START_LINE + linesSize(rawHeaders);

/** Who looks at the bytes of a stream as they pass. */
export interface StreamWatch {
  received(chunk: Uint8Array): void;
  sent(chunk: Uint8Array): void;
}

/** Weighs a stream of HTTP/2, and shows its bytes to `watch`, whichever library serves it. */
export function weighStream(stream: ServerHttp2Stream, life: Life, watch?: StreamWatch): void {
  const push = stream.push.bind(stream);
  const write = stream._write.bind(stream);
  const writev = stream._writev!.bind(stream);
  const received = (chunk: Uint8Array): void => {
    life.requestBytes += chunk.length;
    watch?.received(chunk);
  };
  const sent = (chunk: Uint8Array): void => {
    life.responseBytes += chunk.length;
    watch?.sent(chunk);
  };
  // Node announces a stream after it has read on: what came in one packet with the headers is there already.
  const early = stream.readableLength > 0 ? (stream.read() as Uint8Array | null) : null;
  if (early !== null) {
    received(early);
    stream.unshift(early);
  }
  // Not by listening: that would make the stream flow before the program is there. `push` is where Node puts what arrived.
  stream.push = (chunk: unknown, encoding) => {
    if (chunk instanceof Uint8Array) received(chunk);
    return push(chunk, encoding);
  };
  // Below `write` and `end`, where all that is sent comes by, as bytes.
  stream._write = (chunk: Uint8Array, encoding, callback) => {
    sent(chunk);
    write(chunk, encoding, callback);
  };
  stream._writev = (chunks: Chunks, callback) => {
    for (const { chunk } of chunks) sent(chunk as Uint8Array);
    writev(chunks, callback);
  };
}
