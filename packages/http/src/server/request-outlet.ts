import type { Exchange, LocalAnswer } from '@inmesh/core';
import type { HeaderOp } from '@inmesh/policy';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { applyTo, editRequest, editResponse } from './edits.ts';
import type { Outlet, Serving } from './serving.ts';
import { Told } from './told.ts';
import { headSize, weigh } from './weight.ts';

/** The path and query that routers shall see: what rules saw, less a token that was taken out. */
export function rewritten({ call, edits }: Exchange, path = call.path): string {
  const query = edits.query ?? call.query;
  return query === '' ? path : `${path}?${query}`;
}

/** All lines of a name in the head of an answer, joined. */
function headerIn(head: string, name: string): string | undefined {
  const lines = head.split('\r\n').filter((line) => line[name.length] === ':' && line.slice(0, name.length).toLowerCase() === name);
  return lines.length === 0 ? undefined : lines.map((line) => line.slice(name.length + 1).trim()).join(',');
}

/** Bytes of the body of a refused request that are read and thrown away; of a longer one the connection is closed instead. */
const MOST_THROWN_AWAY = 65_536;

/** An ordinary request of HTTP/1.1. */
export class RequestOutlet implements Outlet {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #pass: () => void;
  readonly #routed: boolean;
  readonly instrumented: boolean;

  constructor(request: IncomingMessage, response: ServerResponse, pass: () => void, routed: boolean, instrumented: boolean) {
    this.#request = request;
    this.#response = response;
    this.#pass = pass;
    this.#routed = routed;
    this.instrumented = instrumented;
  }

  /** The serving hears when the last byte is through, or the caller has gone. */
  watch(serving: Serving): void {
    serving.life.requestHead = headSize(this.#request);
    this.#response.on('close', () => {
      const { headersSent, statusCode, writableFinished } = this.#response;
      weigh(this.#request, this.#response, serving.life);
      serving.end(headersSent ? statusCode : 0, -1, !writableFinished);
    });
  }

  header(name: string): string | undefined {
    // Node keeps the head it has written, and of headers that came all at once nothing else.
    const { _header: written } = this.#response as { _header?: string | null };
    return headerIn(written ?? '', name);
  }

  get closed(): boolean {
    return this.#response.headersSent || this.#response.destroyed;
  }

  edit(ops: readonly HeaderOp[]): void {
    editRequest(this.#request, ops);
  }

  proceed(exchange: Exchange): void {
    const { edits } = exchange;
    const request = this.#request as IncomingMessage & { originalUrl?: string };
    if (this.#routed) request.url = rewritten(exchange, request.url!.split('?', 1)[0]);
    else {
      request.url = rewritten(exchange);
      // Express keeps what came first; programs decide by it, too.
      if (request.originalUrl !== undefined) request.originalUrl = request.url;
    }
    if (edits.request.length > 0) editRequest(request, edits.request);
    if (edits.response.length > 0) editResponse(this.#response, edits.response);
    request.mesh = new Told(exchange);
    exchange.life.trace?.bind(request);
    this.#pass();
  }

  answer({ status, headers, body }: LocalAnswer, ops: readonly HeaderOp[]): void {
    const response = this.#response;
    response.statusCode = status;
    for (const [name, value] of headers) response.appendHeader(name, value);
    if (body.length > 0 && !response.hasHeader('content-type')) response.setHeader('content-type', 'text/plain; charset=utf-8');
    response.setHeader('content-length', Buffer.byteLength(body));
    // A body nobody reads would be taken for the next request.
    if (!this.#bodyIsSmall()) response.setHeader('connection', 'close');
    applyTo(response, ops);
    response.end(body);
  }

  #bodyIsSmall(): boolean {
    const { headers } = this.#request;
    return (
      headers['transfer-encoding'] === undefined &&
      headers.expect === undefined &&
      Number(headers['content-length'] ?? 0) <= MOST_THROWN_AWAY
    );
  }

  last(): void {
    if (!this.#response.headersSent) this.#response.setHeader('connection', 'close');
  }

  destroy(): void {
    this.#response.destroy();
  }
}
