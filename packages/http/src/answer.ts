import type { Exchange, LocalAnswer, Reply } from '@inmesh/core';
import type { Application, Handable, RawHeaders } from './application.ts';
import { answerSize, editResponse, type HeaderRecord, linesSize, rawOf, START_LINE } from './headers.ts';

/** An answer the mesh gives itself, delivered as if it came from the wire. */
export class LocalReply implements Reply<Handable>, Handable {
  readonly status: number;
  readonly grpcStatus: number;
  readonly endpoint = undefined;
  readonly #application: Application;
  readonly #exchange: Exchange;
  readonly #body: Buffer;
  #headers: HeaderRecord;
  #over = false;

  constructor(application: Application, exchange: Exchange, local: LocalAnswer) {
    this.#application = application;
    this.#exchange = exchange;
    this.status = local.status;
    this.#body =
      typeof local.body === 'string'
        ? Buffer.from(local.body)
        : Buffer.from(local.body.buffer, local.body.byteOffset, local.body.byteLength);
    this.#headers = {};
    for (const [name, value] of local.headers) {
      const before = this.#headers[name];
      this.#headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
    }
    // To a caller of HTTP an answer is gRPC's only if it says so itself (an injected grpcStatus does).
    this.grpcStatus = Number(this.header('grpc-status') ?? -1);
    // A status without a body ("trailers-only") has no length to tell.
    if (bodyless(this.status) || this.grpcStatus >= 0) return;
    this.#headers['content-length'] = String(this.#body.length);
    if (this.#body.length > 0) this.#headers['content-type'] ??= 'text/plain; charset=utf-8';
  }

  get value(): Handable {
    return this;
  }

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value.join(',') : value;
  }

  /** All at once, paused or not, as undici does with what it has read already: nobody needs to wait for us. */
  deliver(): void {
    const { handler, request } = this.#application;
    const { life } = this.#exchange;
    this.#headers = editResponse(this.#headers, this.#exchange.edits.response);
    life.answered(this, answerSize(this.#headers));
    life.responseBytes = this.#body.length;
    // Where no attempt was made nobody has weighed the request.
    if (life.requestHead === 0) life.requestHead = request.method.length + request.path.length + START_LINE + linesSize(request.headers);
    handler.onResponseStart?.(this.#application, this.status, this.#headers, '');
    if (!this.#over && this.#body.length > 0 && request.method !== 'HEAD' && !bodyless(this.status))
      handler.onResponseData?.(this.#application, this.#body);
    if (!this.#over) this.#application.finish(this.status, this.grpcStatus, {});
  }

  rawHeaders(): RawHeaders {
    return rawOf(this.#headers);
  }

  rawTrailers(): RawHeaders {
    return [];
  }

  pause(): void {}

  resume(): void {}

  abort(): void {
    this.#over = true;
  }

  discard(): void {}
}

/** RFC 9110 §15: these never carry a body. */
function bodyless(status: number): boolean {
  return status === 204 || status === 304 || status < 200;
}
