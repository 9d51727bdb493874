import type { Clock, Exchange, LocalAnswer } from '@inmesh/core';
import type { HeaderOp } from '@inmesh/policy';
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { editRequest } from './edits.ts';
import { rewritten } from './request-outlet.ts';
import type { Outlet, Serving } from './serving.ts';
import { Told } from './told.ts';

/** Time a refused caller has to read why and close. */
const LINGER_MS = 1000;

/** A request that takes the connection over: an upgrade, or CONNECT. There is no response object; what is said is written by hand. */
export class SocketOutlet implements Outlet {
  readonly #request: IncomingMessage;
  readonly #socket: Duplex;
  readonly #pass: () => void;
  readonly #clock: Clock;
  /** OpenTelemetry's instrumentation of node:http knows ordinary requests only. */
  readonly instrumented = false;
  /** Of the answer; of a program's own nobody hears. */
  #status = 0;

  constructor(request: IncomingMessage, socket: Duplex, pass: () => void, clock: Clock) {
    this.#request = request;
    this.#socket = socket;
    this.#pass = pass;
    this.#clock = clock;
  }

  watch(serving: Serving): void {
    this.#socket.on('close', () => serving.end(this.#status, -1, false));
    // From here on nobody but us listens, and a caller who leaves must not end the process.
    this.#socket.on('error', () => this.#socket.destroy());
  }

  /** The program writes its answer by hand. */
  header(): undefined {}

  get closed(): boolean {
    return this.#status !== 0 || this.#socket.destroyed;
  }

  edit(ops: readonly HeaderOp[]): void {
    editRequest(this.#request, ops);
  }

  proceed(exchange: Exchange): void {
    if (exchange.call.method !== 'CONNECT') this.#request.url = rewritten(exchange);
    if (exchange.edits.request.length > 0) editRequest(this.#request, exchange.edits.request);
    this.#request.mesh = new Told(exchange);
    // A connection without end has no deadline.
    exchange.life.unlimit();
    this.#status = exchange.call.method === 'CONNECT' ? 200 : 101;
    this.#pass();
  }

  answer({ status, headers, body }: LocalAnswer): void {
    this.#status = status;
    const lines = headers.filter(([name]) => name !== 'connection').map(([name, value]) => `${name}: ${value}\r\n`);
    const socket = this.#socket;
    socket.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`,
    );
    socket.end(body);
    // What he goes on sending is thrown away: left unread it would reset the connection before he has read the answer.
    socket.resume();
    const timer = this.#clock.after(LINGER_MS, () => socket.destroy());
    socket.once('end', () => socket.destroy());
    socket.once('close', () => timer.cancel());
  }

  last(): void {}

  destroy(): void {
    this.#socket.destroy();
  }
}
