import type { Exchange } from '@inmesh/core';
import type { HeaderOp } from '@inmesh/policy';
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Http2ServerRequest, ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { applyTo, editRequest, editResponse } from './response.ts';
import type { Outlet, Serving } from './serving.ts';
import { tellOf } from './told.ts';

type Headers = readonly (readonly [name: string, value: string])[];

const targetOf = (path: string, query: string): string => (query === '' ? path : `${path}?${query}`);

/** The path and query that routers shall see: what rules saw, less a token that was taken out. */
function rewritten({ call, edits }: Exchange): string {
  return targetOf(call.path, edits.query ?? call.query);
}

/** An ordinary request of HTTP/1.1. */
export class RequestOutlet implements Outlet {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #pass: () => void;

  constructor(request: IncomingMessage, response: ServerResponse, pass: () => void) {
    this.#request = request;
    this.#response = response;
    this.#pass = pass;
  }

  /** The serving hears when the last byte is through, or the caller has gone. */
  watch(serving: Serving): void {
    this.#response.on('close', () => {
      const { headersSent, statusCode, writableFinished } = this.#response;
      serving.end(headersSent ? statusCode : 0, !writableFinished);
    });
  }

  get closed(): boolean {
    return this.#response.headersSent || this.#response.destroyed;
  }

  proceed(exchange: Exchange): void {
    const { edits } = exchange;
    this.#request.url = rewritten(exchange);
    if (edits.request.length > 0) editRequest(this.#request, edits.request);
    if (edits.response.length > 0) editResponse(this.#response, edits.response);
    tellOf(this.#request, exchange);
    this.#pass();
  }

  answer(status: number, headers: Headers, body: string | Uint8Array, ops: readonly HeaderOp[]): void {
    const response = this.#response;
    response.statusCode = status;
    for (const [name, value] of headers) response.appendHeader(name, value);
    if (body.length > 0 && !response.hasHeader('content-type')) response.setHeader('content-type', 'text/plain; charset=utf-8');
    response.setHeader('content-length', Buffer.byteLength(body));
    // A body nobody reads would be taken for the next request.
    if (!this.#request.complete) response.setHeader('connection', 'close');
    applyTo(response, ops);
    response.end(body);
  }

  destroy(): void {
    this.#response.destroy();
  }
}

/** A request that takes the connection over: an upgrade, or CONNECT. There is no response object; what is said is written by hand. */
export class SocketOutlet implements Outlet {
  readonly #request: IncomingMessage;
  readonly #socket: Duplex;
  readonly #pass: () => void;
  #answered = false;

  constructor(request: IncomingMessage, socket: Duplex, pass: () => void) {
    this.#request = request;
    this.#socket = socket;
    this.#pass = pass;
  }

  watch(serving: Serving): void {
    this.#socket.on('close', () => serving.end(0, false));
    // From here on nobody but us listens, and a caller who leaves must not end the process.
    this.#socket.on('error', () => this.#socket.destroy());
  }

  get closed(): boolean {
    return this.#answered || this.#socket.destroyed;
  }

  proceed(exchange: Exchange): void {
    if (exchange.call.method !== 'CONNECT') this.#request.url = rewritten(exchange);
    if (exchange.edits.request.length > 0) editRequest(this.#request, exchange.edits.request);
    tellOf(this.#request, exchange);
    // A connection without end has no deadline.
    exchange.life.unlimit();
    this.#answered = true;
    this.#pass();
  }

  answer(status: number, headers: Headers, body: string | Uint8Array): void {
    this.#answered = true;
    const lines = headers.filter(([name]) => name !== 'connection').map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`;
    this.#socket.write(head);
    this.#socket.end(body);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Header names that HTTP/2 has no place for (RFC 9113 §8.2.2). */
const OF_CONNECTIONS: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade']);

/** A request of HTTP/2: a stream. */
export class StreamOutlet implements Outlet {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: Record<string, string | string[] | undefined>;
  readonly #pass: () => void;

  constructor(stream: ServerHttp2Stream, headers: object, pass: () => void) {
    this.#stream = stream;
    this.#headers = headers as Record<string, string | string[] | undefined>;
    this.#pass = pass;
  }

  watch(serving: Serving): void {
    const stream = this.#stream;
    stream.on('close', () => serving.end(stream.headersSent ? Number(stream.sentHeaders[':status']) : 0, stream.rstCode !== 0));
  }

  get closed(): boolean {
    return this.#stream.headersSent || this.#stream.destroyed;
  }

  proceed(exchange: Exchange): void {
    const headers = this.#headers;
    const { edits, call } = exchange;
    if (call.method !== 'CONNECT') headers[':path'] = rewritten(exchange);
    for (const op of edits.request) {
      if (op.op === 'remove') delete headers[op.name];
      else headers[op.name] = op.value;
    }
    if (edits.response.length > 0) this.#editResponse(edits.response);
    tellOf(this.#stream as unknown as Http2ServerRequest, exchange);
    this.#pass();
  }

  #editResponse(ops: readonly HeaderOp[]): void {
    const stream = this.#stream;
    const respond = stream.respond.bind(stream);
    stream.respond = (headers, options) => {
      const edited = { ...(headers as Record<string, string>) };
      for (const op of ops) {
        if (op.op === 'remove') delete edited[op.name];
        else edited[op.name] = op.value;
      }
      respond(edited, options);
    };
  }

  answer(status: number, headers: Headers, body: string | Uint8Array): void {
    const sent: Record<string, string | number> = { ':status': status, 'content-length': Buffer.byteLength(body) };
    for (const [name, value] of headers) if (!OF_CONNECTIONS.has(name)) sent[name] = value;
    if (body.length > 0) sent['content-type'] ??= 'text/plain; charset=utf-8';
    this.#stream.respond(sent);
    this.#stream.end(body);
  }

  destroy(): void {
    this.#stream.close();
  }
}
