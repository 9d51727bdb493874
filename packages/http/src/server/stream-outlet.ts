import type { Clock, Exchange, LocalAnswer } from '@inmesh/core';
import type { HeaderOp } from '@inmesh/policy';
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { linesSize } from '../headers.ts';
import { editRequest, type HeaderForms } from './edits.ts';
import { rewritten } from './request-outlet.ts';
import { MessageWatch } from './grpc-messages.ts';
import type { Outlet, Serving } from './serving.ts';
import { Told } from './told.ts';
import { weighStream } from './weight.ts';

/** Header names that HTTP/2 has no place for (RFC 9113 §8.2.2). */
const OF_CONNECTIONS: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade']);

/** Time for a library of gRPC, which keeps the same deadline, to say its trailers. */
const LAST_WORD_MS = 20;

/** A request of HTTP/2: a stream. */
export class StreamOutlet implements Outlet {
  readonly #stream: ServerHttp2Stream;
  readonly #request: HeaderForms;
  readonly #pass: () => void;
  readonly #clock: Clock;
  readonly instrumented: boolean;

  constructor(stream: ServerHttp2Stream, request: HeaderForms, pass: () => void, clock: Clock, instrumented: boolean) {
    this.#stream = stream;
    this.#request = request;
    this.#pass = pass;
    this.#clock = clock;
    this.instrumented = instrumented;
  }

  watch(serving: Serving): void {
    const stream = this.#stream;
    stream.on('close', () => {
      const { sentTrailers } = stream as { sentTrailers?: Record<string, unknown> };
      const status = stream.headersSent ? Number(stream.sentHeaders[':status']) : 0;
      const grpcStatus = sentTrailers?.['grpc-status'] ?? (stream.headersSent ? stream.sentHeaders['grpc-status'] : undefined) ?? -1;
      if (stream.headersSent) serving.life.responseHead = sizeOf(stream.sentHeaders);
      // A caller may also reset without an error: what was still open then is aborted.
      serving.end(status, Number(grpcStatus), stream.rstCode !== 0 || stream.aborted);
    });
    serving.life.http2 = true;
    serving.life.requestHead = linesSize(this.#request.rawHeaders);
    // Nobody else listens yet, and a caller who resets his stream must not end the process.
    stream.on('error', () => {});
  }

  header(name: string): string | undefined {
    const value = this.#stream.sentHeaders[name];
    return value === undefined ? undefined : String(value);
  }

  get closed(): boolean {
    return this.#stream.headersSent || this.#stream.destroyed;
  }

  edit(ops: readonly HeaderOp[]): void {
    editRequest(this.#request, ops);
  }

  proceed(exchange: Exchange): void {
    const { edits, call } = exchange;
    // CONNECT has no path unless it is of a protocol inside the stream.
    if (call.path !== '') this.#setPath(rewritten(exchange));
    if (call.protocol === 'websocket') exchange.life.unlimit();
    if (edits.request.length > 0) this.edit(edits.request);
    if (edits.response.length > 0) this.#editResponse(edits.response);
    this.#stream.mesh = new Told(exchange);
    exchange.life.trace?.bind(this.#stream);
    weighStream(this.#stream, exchange.life, call.protocol === 'grpc' ? new MessageWatch(exchange.life) : undefined);
    this.#pass();
  }

  /** In its place: pseudo headers stand before all others. */
  #setPath(path: string): void {
    const { headers, rawHeaders } = this.#request;
    if (headers[':path'] === path) return;
    headers[':path'] = path;
    rawHeaders[rawHeaders.indexOf(':path') + 1] = path;
  }

  #editResponse(ops: readonly HeaderOp[]): void {
    const stream = this.#stream;
    const edited = (headers: object | undefined): Record<string, string> => {
      const result = { ...headers } as Record<string, string>;
      for (const op of ops) {
        if (op.op === 'remove') delete result[op.name];
        else result[op.name] = op.value;
      }
      return result;
    };
    const respond = stream.respond.bind(stream);
    const respondWithFD = stream.respondWithFD.bind(stream);
    const respondWithFile = stream.respondWithFile.bind(stream);
    stream.respond = (headers, options) => respond(edited(headers), options);
    stream.respondWithFD = (fd, headers, options) => respondWithFD(fd, edited(headers), options);
    stream.respondWithFile = (path, headers, options) => respondWithFile(path, edited(headers), options);
  }

  answer({ status, headers, body }: LocalAnswer, ops: readonly HeaderOp[]): void {
    const sent: Record<string, string | number> = { ':status': status };
    for (const [name, value] of headers) if (!OF_CONNECTIONS.has(name)) sent[name] = value;
    for (const op of ops) {
      if (op.op === 'remove') delete sent[op.name];
      else sent[op.name] = op.value;
    }
    if (body.length > 0) {
      sent['content-length'] = Buffer.byteLength(body);
      sent['content-type'] ??= 'text/plain; charset=utf-8';
    }
    // To HEAD there is no body, and Node has ended the stream already.
    if (body.length === 0 || this.#request.headers[':method'] === 'HEAD') return this.#stream.respond(sent, { endStream: true });
    this.#stream.respond(sent);
    this.#stream.end(body);
  }

  last(): void {}

  /** A stream that is closed takes no answer of the program, so ours can stand in its place. */
  destroy(last?: LocalAnswer): void {
    const stream = this.#stream;
    if (last === undefined) stream.close(constants.NGHTTP2_CANCEL);
    else if (this.closed) this.#clock.after(LAST_WORD_MS, () => stream.close(constants.NGHTTP2_CANCEL));
    else {
      this.answer(last, []);
      stream.close();
    }
  }
}

function sizeOf(headers: OutgoingHttpHeaders): number {
  return linesSize(Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().flatMap((one) => [name, String(one)])));
}
