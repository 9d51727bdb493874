import type { Call, HeaderReader } from './call.ts';
import type { Deadlines, Expiring } from './deadlines.ts';
import type { Endpoint } from './endpoint/endpoint.ts';
import { ERRORS, type Flag, flagBit, MeshError } from './errors.ts';
import { type EndedCall, type RouteObserver, silentRoute } from './observer.ts';
import { PeriodicCounts } from './periodic-counts.ts';
import type { Trace } from './ports/trace.ts';

/** Whoever works for a call at the moment (a waiting queue, a backoff, an attempt) and must stop when the call does. */
export interface Cancellable {
  cancelled(error: MeshError): void;
}

/**
 * The life of one call, shared by all its attempts: when it must be over, who must stop if it is cancelled, and what is
 * reported when it ends. The edge makes it and calls `end` exactly once, when the last byte is through.
 */
export class Life implements Expiring, EndedCall {
  readonly startedAt: number;
  call: Call | undefined = undefined;
  /** Monotonic moment; Infinity = none. Set by `limit`. */
  deadline = Infinity;
  /** Response flags of the call so far, a bit set of errors.ts. */
  flags = 0;
  /** Endpoint of the latest attempt. */
  endpoint: Endpoint | undefined = undefined;
  observer: RouteObserver = silentRoute;
  /** How often what passes a call that lasts is told (Telemetry, `metrics.reportingInterval`); 0: only at its end. */
  reportMs = 5000;
  status = 0;
  grpcStatus = -1;
  ms = 0;
  requestBytes = 0;
  responseBytes = 0;
  requestHead = 0;
  responseHead = 0;
  mutual = false;
  http2 = false;
  attempts = 0;
  /** Of answers the mesh gives itself; '' for the other side's. */
  #details = '';
  failure = '';
  trace: Trace | undefined = undefined;
  #attemptedAt = 0;
  #answeredAt = -1;
  #answer: HeaderReader | undefined = undefined;
  readonly #deadlines: Deadlines;
  #slot = -1;
  #why: MeshError | undefined = undefined;
  #worker: Cancellable | undefined = undefined;
  #more: Cancellable[] | undefined = undefined;
  #controller: AbortController | undefined = undefined;
  #counts: PeriodicCounts | undefined = undefined;
  #ended = false;
  #onEnd: (() => void) | undefined = undefined;
  #adopted: Life | undefined = undefined;

  constructor(startedAt: number, deadlines: Deadlines) {
    this.startedAt = startedAt;
    this.#deadlines = deadlines;
  }

  get deadlines(): Deadlines {
    return this.#deadlines;
  }

  /** Lowers the deadline to `at`; a later moment changes nothing. */
  limit(at: number): void {
    if (at >= this.deadline || this.#ended) return;
    this.deadline = at;
    if (this.#slot >= 0) this.#deadlines.remove(this.#slot);
    this.#slot = this.#deadlines.add(this, at);
  }

  /** The deadline no longer holds: the call became a stream without end (an upgraded connection). */
  unlimit(): void {
    this.deadline = Infinity;
    if (this.#slot >= 0) this.#deadlines.remove(this.#slot);
    this.#slot = -1;
  }

  flag(flag: Flag): void {
    this.flags |= flagBit[flag];
  }

  /** The call ended, or will, with this error: its flag, its details, and what it says of the connection. */
  refused(error: MeshError): void {
    if (error.flag !== null) this.flags |= flagBit[error.flag];
    this.#details = error.details;
    if (error.code === 'CONNECT_FAILED' || error.code === 'RESET') this.failure = error.message;
  }

  /** The caller does not wait for the end. */
  left(): void {
    this.flags |= flagBit.DC;
    this.#details = ERRORS.CANCELLED.details;
  }

  /** The policy answers by itself. */
  answeredBy(details: string): void {
    this.#details = details;
  }

  /** An attempt goes out. */
  attempting(endpoint: Endpoint, now: number): void {
    this.endpoint = endpoint;
    this.trace?.attempting(endpoint);
    this.attempts += 1;
    this.#attemptedAt = now;
    this.#answeredAt = -1;
  }

  /** Headers of an answer are there; `bytes`: their length. `now` is left out for an answer of the mesh's own. */
  answered(answer: HeaderReader, bytes: number, now = -1): void {
    this.#answer = answer;
    this.#answeredAt = now;
    this.responseHead = bytes;
  }

  get upstreamMs(): number {
    return this.#answeredAt < 0 ? -1 : this.#answeredAt - this.#attemptedAt;
  }

  get details(): string {
    return this.#details !== '' || this.status === 0 ? this.#details : 'via_upstream';
  }

  responseHeader(name: string): string | undefined {
    return this.#answer?.header(name);
  }

  /** Set once the caller gave up or the deadline passed: what every waiter and attempt ends with. */
  get why(): MeshError | undefined {
    return this.#why;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** `worker.cancelled` is called if the call is cancelled from now on; at once if it already was. */
  work(worker: Cancellable): void {
    if (this.#why !== undefined) worker.cancelled(this.#why);
    else if (this.#worker === undefined) this.#worker = worker;
    else (this.#more ??= []).push(worker);
  }

  rest(worker: Cancellable): void {
    if (this.#worker === worker) this.#worker = this.#more?.pop();
    else if (this.#more !== undefined) {
      const at = this.#more.indexOf(worker);
      if (at >= 0) this.#more.splice(at, 1);
    }
  }

  /** Ends the call before its time. The first reason stays. */
  cancel(error: MeshError): void {
    if (this.#why !== undefined || this.#ended) return;
    this.#why = error;
    const workers = this.#more ?? [];
    if (this.#worker !== undefined) workers.unshift(this.#worker);
    this.#worker = undefined;
    this.#more = undefined;
    for (const worker of workers) worker.cancelled(error);
    this.#controller?.abort(error);
  }

  /** Called by the deadline sweep. */
  expired(): void {
    this.#slot = -1;
    const ms = Math.round(this.deadline - this.startedAt);
    this.cancel(new MeshError('DEADLINE_EXCEEDED', `upstream request timeout: no complete answer within ${ms} ms`));
  }

  /** For code that wants a signal. Made on first use: most calls never need one. */
  signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#why !== undefined) this.#controller.abort(this.#why);
    }
    return this.#controller.signal;
  }

  /** Of several attempts with lives of their own this one is the call's: what it counts and flags, up to the end, the call does. */
  adopt(life: Life): void {
    this.#adopted = life;
    this.endpoint = life.endpoint;
  }

  /** Messages of gRPC that passed, from the caller and to him. Only calls that count them pay for it. */
  countMessages(requests: number, responses: number): void {
    if (this.#ended) return;
    this.#counts ??= this.#count((up, down) => this.observer.messages?.(this, up, down));
    this.#counts.add(requests, responses);
  }

  /** A connection of TCP stands. */
  opened(): void {
    this.observer.opened?.(this);
  }

  /** Bytes that passed a connection of TCP, from the client and to it. */
  countBytes(received: number, sent: number): void {
    if (this.#ended) return;
    this.requestBytes += received;
    this.responseBytes += sent;
    this.#counts ??= this.#count((up, down) => this.observer.bytes?.(this, up, down));
    this.#counts.add(received, sent);
  }

  #count(report: (up: number, down: number) => void): PeriodicCounts {
    return new PeriodicCounts(this.#deadlines, this.reportMs, report);
  }

  /** Runs when the call ends; the snapshot that serves it counts its calls this way. One listener only. */
  onEnd(listener: () => void): void {
    this.#onEnd = listener;
  }

  /** The call is over, whatever came of it. Later calls change nothing. `now` is monotonic. */
  end(status: number, grpcStatus: number, now: number): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#slot >= 0) this.#deadlines.remove(this.#slot);
    if (this.#adopted !== undefined) this.#take(this.#adopted);
    this.#counts?.close();
    this.status = status;
    this.grpcStatus = grpcStatus;
    this.ms = now - this.startedAt;
    this.observer.ended(this);
    this.#onEnd?.();
  }

  #take(life: Life): void {
    this.flags |= life.flags;
    this.requestBytes += life.requestBytes;
    this.responseBytes += life.responseBytes;
    this.requestHead = life.requestHead;
    this.responseHead = life.responseHead;
    this.mutual = life.mutual;
    this.http2 = life.http2;
    this.failure = life.failure;
    this.#answer = life.#answer;
    this.#attemptedAt = life.#attemptedAt;
    this.#answeredAt = life.#answeredAt;
  }
}
