import {
  type Exchange,
  FirstExchange,
  GrpcStatus,
  type Life,
  type LocalAnswer,
  type Mesh,
  MeshError,
  type Placement,
  type Reply,
  type Routed,
  type Transport,
} from '@inmesh/core';
import { LocalReply } from './answer.ts';
import type { Application, Handable, RawHeaders } from './application.ts';
import { HttpAttempt } from './attempt.ts';
import { ReplayBody } from './body.ts';
import { isCallers } from './failure.ts';
import { asGrpc } from './grpc.ts';
import type { HeaderRecord } from './headers.ts';
import type { PoolTable } from './pool.ts';
import { HttpRequest } from './request.ts';
import type { Dispatcher } from 'undici';

/** What deliveries of one dispatcher share. */
export interface Wiring {
  readonly mesh: Mesh;
  readonly pools: PoolTable;
}

/**
 * The application's side of one call: the transport the mesh drives, and the controller the application holds. It stays
 * the same through all attempts, so that abort, pause and resume reach whichever attempt is at work.
 */
export class Delivery implements Transport<Handable>, Application {
  request: HttpRequest;
  handler: Dispatcher.DispatchHandler;
  #life: Life | undefined;
  readonly #wiring: Wiring;
  #chosen: Handable | undefined = undefined;
  /** What the application was told; 0 until then. */
  #status = 0;
  #over = false;
  paused = false;
  aborted = false;
  reason: Error | null = null;
  #rawHeaders: RawHeaders = null;
  #rawTrailers: RawHeaders = null;

  constructor(request: HttpRequest, handler: Dispatcher.DispatchHandler, life: Life, wiring: Wiring) {
    this.request = request;
    this.handler = handler;
    this.#life = life;
    this.#wiring = wiring;
  }

  // Kept once made, and settable: undici's own interceptors change them in place or put others there.
  get rawHeaders(): RawHeaders {
    return (this.#rawHeaders ??= this.#chosen?.rawHeaders() ?? null);
  }

  set rawHeaders(headers: RawHeaders) {
    this.#rawHeaders = headers;
  }

  get rawTrailers(): RawHeaders {
    return (this.#rawTrailers ??= this.#chosen?.rawTrailers() ?? null);
  }

  set rawTrailers(trailers: RawHeaders) {
    this.#rawTrailers = trailers;
  }

  /** Runs the call. Everything that comes of it, good or bad, reaches the handler. */
  async run(routed: Routed): Promise<void> {
    const exchange = new FirstExchange(this.request, this.#life!);
    try {
      this.handler.onRequestStart?.(this, undefined);
      if (this.aborted) return;
      const reply = await routed.handler(exchange, this);
      this.#hand(reply);
    } catch (error) {
      if (!MeshError.is(error) || this.#chosen !== undefined) return this.#broken(error as Error);
      if (this.#over || this.aborted) return;
      try {
        this.#hand(this.#wiring.mesh.refuse(error, exchange, this));
      } catch (refusal) {
        this.#broken(refusal as Error);
      }
    }
  }

  attempt(exchange: Exchange, placement: Placement): Promise<Reply<Handable>> {
    return new HttpAttempt(this, exchange, placement, this.#wiring.pools).start();
  }

  answer(exchange: Exchange, local: LocalAnswer): Reply<Handable> {
    return new LocalReply(this, exchange, this.request.protocol === 'grpc' ? asGrpc(local) : local);
  }

  shadow(exchange: Exchange): { exchange: Exchange; transport: Transport<unknown> } | undefined {
    const { replayable, protocol, method } = this.request;
    if (!replayable || protocol === 'websocket' || method === 'CONNECT') return undefined;
    const life = this.#wiring.mesh.shadowLife(exchange.life);
    const request = this.request.copy();
    const copy = new Delivery(request, SILENT, life, this.#wiring);
    return {
      exchange: new FirstExchange(request, life, exchange.edits, exchange.hashKey),
      transport: new Shadow(copy),
    };
  }

  #hand({ value, status }: Reply<Handable>): void {
    if (this.#over || this.aborted) return value.abort(this.reason ?? new Error('the call is over'));
    this.#chosen = value;
    this.#status = status;
    value.deliver();
  }

  /** The handler threw, or was given what it cannot have: nothing more of the reply is for it. */
  #broken(error: Error): void {
    this.#chosen?.abort(error);
    this.fail(error);
  }

  complete(status: number, grpcStatus: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#life?.end(status, grpcStatus, this.#wiring.mesh.now());
    if (this.request.body instanceof ReplayBody) void this.request.body.cancel();
  }

  finish(status: number, grpcStatus: number, trailers: HeaderRecord): void {
    const { handler } = this;
    this.complete(status, grpcStatus);
    try {
      handler.onResponseEnd?.(this, trailers);
    } catch (error) {
      // As undici does: its own retry interceptor throws here what it wants to be told as an error.
      handler.onResponseError?.(this, error as Error);
    }
    this.#release();
  }

  fail(error: Error): void {
    if (this.#over) return;
    const own = MeshError.is(error) ? error : undefined;
    if (own !== undefined) this.#life?.refused(own);
    if (own === undefined && !isCallers(error)) this.#life?.left();
    this.complete(this.#status, this.request.protocol === 'grpc' ? (own?.grpcStatus ?? GrpcStatus.CANCELLED) : -1);
    this.handler.onResponseError?.(this, error);
    this.#release();
  }

  /**
   * Handlers hold their controller, as response streams do, and V8 may have made a dead one of them in old space: then all
   * it leads to survives every scavenge until the next full collection. So what the call was made of is let go at its end.
   */
  #release(): void {
    this.request = OVER;
    this.handler = SILENT;
    this.#life = undefined;
    this.#chosen = undefined;
    this.#rawHeaders = null;
    this.#rawTrailers = null;
  }

  /** Called by the application: it gives up. */
  abort(reason?: Error): void {
    if (this.aborted || this.#over) return;
    this.aborted = true;
    this.reason = reason ?? new Error('the request was aborted');
    this.#life?.left();
    const error = new MeshError('CANCELLED', 'the caller went away', { cause: this.reason });
    this.#chosen?.abort(this.reason);
    this.#life?.cancel(error);
    this.fail(this.reason);
  }

  pause(): void {
    this.paused = true;
    this.#chosen?.pause();
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    try {
      this.#chosen?.resume();
    } catch (error) {
      this.#broken(error as Error);
    }
  }
}

const SILENT: Dispatcher.DispatchHandler = {};
/** In place of a request that is over. */
const OVER = new HttpRequest({ scheme: 'http', host: '', port: 0, authority: '' }, 'GET', '/', ['host', ''], null, {});

/** A mirrored copy: its answer is read and dropped. */
class Shadow implements Transport<Handable> {
  readonly #delivery: Delivery;

  constructor(delivery: Delivery) {
    this.#delivery = delivery;
  }

  async attempt(exchange: Exchange, placement: Placement): Promise<Reply<Handable>> {
    const reply = await this.#delivery.attempt(exchange, placement);
    reply.value.deliver();
    return reply;
  }

  answer(exchange: Exchange, local: LocalAnswer): Reply<Handable> {
    return this.#delivery.answer(exchange, local);
  }
}
