import {
  AWAITED,
  type Cancellable,
  type Endpoint,
  DEADLINE_HEADER,
  type Exchange,
  type Expiring,
  grpcStatusOf,
  HOP_HEADER,
  MeshError,
  type Phase,
  type Placement,
  type Reply,
} from '@inmesh/core';
import type { Duplex } from 'node:stream';
import { ReplayBody } from './body.ts';
import type { Application, Handable, RawHeaders } from './application.ts';
import { isCallers, meshError } from './failure.ts';
import {
  answerSize,
  edited,
  editResponse,
  type FlatHeaders,
  type HeaderRecord,
  linesSize,
  NO_HEADERS,
  rawOf,
  START_LINE,
} from './headers.ts';
import { isHttp2, type PoolTable, type PoolWire } from './pool.ts';
import { Sending } from './sending.ts';
import type { Dispatcher } from 'undici';
import { Upload } from './upload.ts';

type Controller = Dispatcher.DispatchController;

/** Held bytes beyond which the upstream is paused until somebody decides about the reply. */
const HELD_BYTES = 64 * 1024;
/** An unwanted body that ends within this many bytes is read away, so that its connection can be used again. */
const DRAIN_BYTES = 64 * 1024;
/** … and within this time. */
const DRAIN_MS = 500;

/**
 * One attempt on the wire: undici's handler below, the mesh's Reply above.
 *
 * undici delivers headers, body and end of one packet in one synchronous pass, and a retry decides one microtask later.
 * So the events of a reply are held until it is delivered or discarded; after delivery they go straight through.
 */
export class HttpAttempt implements Dispatcher.DispatchHandler, Reply<Handable>, Handable, Cancellable, Expiring {
  status = 0;
  grpcStatus = -1;
  readonly endpoint: Endpoint;
  readonly #application: Application;
  readonly #exchange: Exchange;
  readonly #placement: Placement;
  readonly #pools: PoolTable;
  #resolve!: (reply: Reply<Handable>) => void;
  #reject!: (error: unknown) => void;
  #controller: Controller | undefined = undefined;
  #headers: HeaderRecord = NO_HEADERS;
  /** The route changed the headers on their way: undici's raw form of them no longer holds. */
  #edited = false;
  #statusText: string | undefined = undefined;
  #socket: Duplex | undefined = undefined;
  /** Nobody has taken these yet: an ordinary answer has one chunk and its trailers. Fields, for what a call puts into lists is slower to die. */
  #chunk: Buffer | undefined = undefined;
  #chunks: Buffer[] | undefined = undefined;
  /** What comes after the chunks, if that is known: the end, or why there is none. */
  #ending: HeaderRecord | MeshError | undefined = undefined;
  #heldBytes = 0;
  #drained = 0;
  #mode: 'waiting' | 'held' | 'live' | 'dropped' | 'over' = 'waiting';
  /** Headers arrived: from here on a failure is `answered`. */
  #answered = false;
  /** Why it must end, if that was decided before undici gave us a controller to end it with. */
  #doom: MeshError | undefined = undefined;
  #slot = -1;
  #upload: Upload | undefined = undefined;

  constructor(application: Application, exchange: Exchange, placement: Placement, pools: PoolTable) {
    this.#application = application;
    this.#exchange = exchange;
    this.#placement = placement;
    this.#pools = pools;
    this.endpoint = placement.endpoint;
  }

  get value(): Handable {
    return this;
  }

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value.join(',') : value;
  }

  get #isGrpc(): boolean {
    return this.#exchange.call.protocol === 'grpc';
  }

  /** How a call of gRPC ended, as its caller sees it. Not the reply's: what comes after the headers is no reason to repeat it. */
  #grpcStatus(trailers: HeaderRecord): number {
    return this.grpcStatus < 0 ? Number(trailers['grpc-status'] ?? grpcStatusOf(this.status)) : this.grpcStatus;
  }

  start(): Promise<Reply<Handable>> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#send();
    });
  }

  #send(): void {
    const { call, edits, life, attemptTimeoutMs } = this.#exchange;
    const request = this.#application.request;
    life.work(this);
    if (this.#doom !== undefined) return this.#fail(this.#doom);
    if (attemptTimeoutMs > 0) this.#slot = life.deadlines.add(this, this.#pools.now() + attemptTimeoutMs);
    const path = edits.path ?? request.path;
    let wired: PoolWire;
    try {
      wired = this.#pools.get(this.#placement, request, edits.authority ?? request.authority);
    } catch (error) {
      return this.#fail(meshError(error, this.endpoint.address, false, 'unsent'));
    }
    const { body, wire } = request;
    const target = request.query === '' ? path : `${path}?${request.query}`;
    life.mutual = wired.identity !== undefined;
    life.http2 = isHttp2(this.#placement, request);
    const own = this.#own(wired);
    const headers = edited(request.headers, edits.request, edits.authority ?? request.authority, own);
    const sent = body instanceof ReplayBody ? this.#read(body) : body;
    // Of several attempts the last is the one the caller's request travelled in.
    life.requestHead = call.method.length + target.length + START_LINE + linesSize(headers);
    life.requestBytes = life.responseBytes = 0;
    const sending = new Sending(target, call.method, headers, sent, wired.servername, wire);
    const { trace } = life;
    // Rarely, and then a function of its own.
    if (trace?.silences === true) trace.send(() => wired.pool.dispatch(sending, this));
    else wired.pool.dispatch(sending, this);
  }

  #read(body: ReplayBody): AsyncIterable<Uint8Array> {
    if (!isHttp2(this.#placement, this.#application.request)) return body.read();
    this.#upload = new Upload(body.read());
    return this.#upload.body;
  }

  /** What the mesh says beside what the application says; undefined: nothing. */
  #own({ identity }: PoolWire): readonly string[] | undefined {
    const { deadline, trace } = this.#exchange.life;
    const internal = this.#placement.policy.location === 'internal';
    const traced = trace?.headers(internal);
    if (!internal) return traced;
    const { forwarded } = this.#application.request;
    let own: FlatHeaders | undefined = forwarded.length === 0 ? undefined : [...forwarded];
    if (deadline < Infinity) (own ??= []).push(DEADLINE_HEADER, String(Math.max(0, Math.round(deadline - this.#pools.now()))));
    // Mutual TLS proves it already.
    const token = identity === undefined ? this.#pools.hops?.sign(this.#placement.policy.service) : undefined;
    if (token !== undefined) (own ??= []).push(HOP_HEADER, token);
    const { metadata } = this.#pools;
    if (own === undefined) return metadata === undefined || traced === undefined ? (metadata ?? traced) : [...metadata, ...traced];
    if (metadata !== undefined) own.push(...metadata);
    if (traced !== undefined) own.push(...traced);
    return own;
  }

  // ---- undici's events -------------------------------------------------------------------------------------------

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    // Thrown, not aborted: the connection that came too late for this one is there for the next.
    if (this.#doom !== undefined) throw this.#doom;
  }

  onRequestUpgrade(controller: Controller, status: number, headers: HeaderRecord, socket: Duplex): void {
    this.#socket = socket;
    // From now on this is a stream without end: no timeout holds, and it counts as one active call until it closes.
    this.#exchange.life.unlimit();
    socket.once('close', () => this.#end(undefined));
    this.#answer(controller, status, headers, undefined);
  }

  onResponseStart(controller: Controller, status: number, headers: HeaderRecord, statusText?: string): void {
    if (status < 200) {
      // Informational responses commit to nothing.
      if (this.#mode === 'waiting') this.#application.handler.onResponseStart?.(this.#application, status, headers, statusText);
      return;
    }
    this.#answer(controller, status, headers, statusText);
  }

  #answer(controller: Controller, status: number, headers: HeaderRecord, statusText: string | undefined): void {
    if (this.#mode !== 'waiting') return;
    this.#controller = controller;
    this.status = status;
    this.#headers = headers;
    this.#statusText = statusText;
    const grpcStatus = headers['grpc-status'];
    if (grpcStatus !== undefined) this.grpcStatus = Number(grpcStatus);
    this.#answered = true;
    this.#mode = 'held';
    this.#unslot();
    this.#exchange.life.answered(this, answerSize(headers, statusText), this.#pools.now());
    this.#placement.responded(status, this.#isGrpc && status === 200 && this.grpcStatus < 0 ? AWAITED : this.grpcStatus);
    this.#resolve(this);
  }

  onBodySent(chunk: Uint8Array | string): void {
    this.#exchange.life.requestBytes += typeof chunk === 'string' ? Buffer.byteLength(chunk) : chunk.length;
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.#mode !== 'dropped') this.#exchange.life.responseBytes += chunk.length;
    const { paused } = this.#application;
    if (this.#mode === 'live' && this.#chunk === undefined && !paused) this.#application.handler.onResponseData?.(this.#application, chunk);
    else if (this.#mode === 'dropped') {
      this.#drained += chunk.length;
      if (this.#drained > DRAIN_BYTES) this.#abort(new Error('the rest of an unwanted answer'));
    } else {
      if (this.#chunk === undefined) this.#chunk = chunk;
      else (this.#chunks ??= []).push(chunk);
      this.#heldBytes += chunk.length;
      if (paused || this.#heldBytes > HELD_BYTES) controller.pause();
    }
  }

  onResponseEnd(_controller: Controller, trailers: HeaderRecord): void {
    const live = this.#mode === 'live' && this.#chunk === undefined;
    if (!live && this.#mode !== 'dropped') this.#ending = trailers;
    if (this.#isGrpc) this.#placement.responded(this.status, this.#grpcStatus(trailers));
    this.#upload?.cut();
    this.#end(undefined);
    if (live) this.#finish(trailers);
  }

  onResponseError(_controller: Controller, error: Error): void {
    this.#fail(error);
  }

  // ---- how it ends -----------------------------------------------------------------------------------------------

  #fail(error: unknown): void {
    if (this.#mode === 'over') return;
    const { body } = this.#application.request;
    const own = body instanceof ReplayBody && body.failure !== undefined;
    const phase: Phase = this.#answered ? 'answered' : this.#controller === undefined ? 'unsent' : 'unanswered';
    const started = this.#controller !== undefined;
    const known = this.#doom ?? (own || isCallers(error) ? undefined : meshError(error, this.endpoint.address, started, phase));
    const mode = this.#mode;
    // Nobody wants it any more: however it ends says nothing about the endpoint.
    if (mode === 'dropped') return this.#end(new MeshError('CANCELLED', 'the answer was not wanted', { cause: error }));
    const told = known ?? new MeshError('CANCELLED', 'the request itself could not be sent', { cause: error });
    // What failed upstream comes after what arrived; what the mesh decided holds now, also for an application that pauses.
    const held = mode === 'held' || (mode === 'live' && this.#chunk !== undefined && this.#doom === undefined);
    if (held) this.#ending = told;
    this.#end(told);
    if (held) return;
    this.#mode = 'over';
    if (mode === 'waiting') this.#reject(known ?? (own ? (body as ReplayBody).failure : error));
    else this.#application.fail((known ?? error) as Error);
  }

  /** The wire is free; whoever placed this attempt learns how it went. Once. */
  #end(error: MeshError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unslot();
    // What waits for an application that pauses still ends with the call.
    if (this.#ending === undefined) this.#exchange.life.rest(this);
    this.#placement.ended(error);
    if (this.#socket !== undefined) this.#application.complete(this.status, this.grpcStatus);
  }
  #ended = false;

  #unslot(): void {
    if (this.#slot < 0) return;
    this.#exchange.life.deadlines.remove(this.#slot);
    this.#slot = -1;
  }

  /** The attempt's own time is up: for its headers (per-try timeout), or for the rest of an unwanted body. */
  expired(): void {
    this.#slot = -1;
    if (this.#mode === 'dropped') return this.#abort(new Error('an unwanted answer that does not end'));
    const ms = this.#exchange.attemptTimeoutMs;
    this.#stop(new MeshError('ATTEMPT_TIMEOUT', `${this.endpoint.address} sent no answer within ${ms} ms, the time of one try`));
  }

  /** The whole call is over: deadline or caller. */
  cancelled(error: MeshError): void {
    this.#stop(error);
  }

  #stop(error: MeshError): void {
    if (this.#doom !== undefined || this.#mode === 'over') return;
    const started = this.#controller !== undefined;
    const phase: Phase = this.#answered ? 'answered' : started ? 'unanswered' : 'unsent';
    this.#doom = error.phase === phase ? error : new MeshError(error.code, error.message, { cause: error.cause, phase });
    // A request still queued in the pool has no controller yet: it leaves now, and is aborted when its turn comes.
    if (this.#controller === undefined || this.#ended) this.#fail(this.#doom);
    else this.#abort(this.#doom);
  }

  #abort(error: Error): void {
    this.#upload?.cut();
    this.#controller?.abort(error);
  }

  // ---- Handable: towards the application -------------------------------------------------------------------------

  deliver(): void {
    this.#mode = 'live';
    const { handler } = this.#application;
    const headers = editResponse(this.#headers, this.#exchange.edits.response);
    this.#edited = headers !== this.#headers;
    this.#headers = headers;
    if (this.#socket === undefined) handler.onResponseStart?.(this.#application, this.status, headers, this.#statusText);
    else handler.onRequestUpgrade?.(this.#application, this.status, headers, this.#socket);
    this.#flush();
  }

  /** Hands over what was held, as far as the application takes it. What it does meanwhile may bring us here again. */
  #flush(): void {
    const { handler } = this.#application;
    while (this.#mode === 'live' && !this.#application.paused) {
      const chunk = this.#chunk;
      if (chunk === undefined) return this.#flushed();
      this.#chunk = this.#chunks?.shift();
      handler.onResponseData?.(this.#application, chunk);
    }
  }

  /** All chunks are handed over. */
  #flushed(): void {
    const ending = this.#ending;
    if (ending === undefined) {
      this.#heldBytes = 0;
      this.#controller?.resume();
      return;
    }
    this.#exchange.life.rest(this);
    if (MeshError.is(ending)) this.#application.fail(ending);
    else this.#finish(ending);
  }

  #finish(trailers: HeaderRecord): void {
    this.#mode = 'over';
    this.#application.finish(this.status, this.#isGrpc ? this.#grpcStatus(trailers) : this.grpcStatus, trailers);
    this.#controller = undefined;
  }

  rawHeaders(): RawHeaders {
    return this.#edited ? rawOf(this.#headers) : ((this.#controller as { rawHeaders?: RawHeaders } | undefined)?.rawHeaders ?? null);
  }

  rawTrailers(): RawHeaders {
    return (this.#controller as { rawTrailers?: RawHeaders } | undefined)?.rawTrailers ?? null;
  }

  pause(): void {
    if (this.#mode === 'live') this.#controller?.pause();
  }

  resume(): void {
    if (this.#chunk !== undefined || this.#ending !== undefined) this.#flush();
    else if (this.#mode === 'live') this.#controller?.resume();
  }

  abort(error: Error): void {
    if (this.#mode === 'over') return;
    this.#mode = 'dropped';
    this.#end(new MeshError('CANCELLED', 'the caller went away', { cause: error }));
    this.#abort(error);
    this.#socket?.destroy();
  }

  discard(): void {
    if (this.#mode !== 'held') return;
    this.#mode = 'dropped';
    this.#chunk = undefined;
    this.#chunks = undefined;
    if (this.#ended) return this.#exchange.life.rest(this);
    if (Number(this.#headers['content-length'] ?? 0) > DRAIN_BYTES) return this.#abort(new Error('an answer that is not wanted'));
    this.#slot = this.#exchange.life.deadlines.add(this, this.#pools.now() + DRAIN_MS);
    this.#controller?.resume();
  }
}
