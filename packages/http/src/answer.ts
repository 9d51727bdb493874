import type { Exchange, LocalAnswer, Reply } from '@inmesh/core';
import type { Application, Handable, RawHeaders } from './application.ts';
import { editResponse, type HeaderRecord, rawOf } from './headers.ts';

/** An answer the mesh gives itself, delivered as if it came from the wire. */
export class LocalReply implements Reply<Handable>, Handable {
  readonly status: number;
  readonly grpcStatus: number;
  readonly endpoint = undefined;
  readonly #application: Application;
  readonly #exchange: Exchange;
  /** What is still to be handed over. */
  #body: Buffer;
  #headers: HeaderRecord;
  #state: 'new' | 'begun' | 'over' = 'new';

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
    if (bodyless(this.status)) return;
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

  deliver(): void {
    const { handler } = this.#application;
    this.#headers = editResponse(this.#headers, this.#exchange.edits.response);
    this.#state = 'begun';
    handler.onResponseStart?.(this.#application, this.status, this.#headers, '');
    this.resume();
  }

  resume(): void {
    if (this.#state !== 'begun' || this.#application.paused) return;
    const { handler, request } = this.#application;
    const body = this.#body;
    this.#body = NOTHING;
    if (body.length > 0 && request.method !== 'HEAD' && !bodyless(this.status)) {
      handler.onResponseData?.(this.#application, body);
      // It may have aborted, paused or resumed us meanwhile.
      return this.resume();
    }
    this.#state = 'over';
    this.#application.finish(this.status, this.grpcStatus, {});
  }

  rawHeaders(): RawHeaders {
    return rawOf(this.#headers);
  }

  rawTrailers(): RawHeaders {
    return [];
  }

  pause(): void {}

  abort(): void {
    this.#state = 'over';
  }

  discard(): void {
    this.#state = 'over';
  }
}

const NOTHING = Buffer.alloc(0);

/** RFC 9110 §15: these never carry a body. */
function bodyless(status: number): boolean {
  return status === 204 || status === 304 || status < 200;
}
