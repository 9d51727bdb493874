import { type Call, type Life, type Mesh, MeshError } from '@inmesh/core';
import type { Duplex } from 'node:stream';
import type { HeaderRecord } from './headers.ts';
import { isLegacy, type LegacyHandler } from './legacy-handler.ts';
import type { Dispatcher } from 'undici';

type Handler = Dispatcher.DispatchHandler;
type Controller = Dispatcher.DispatchController;

/** A call to a host outside the mesh: it goes its own way, and is counted as PassthroughCluster. */
export class Passage {
  readonly #life: Life;
  readonly #mesh: Mesh;
  readonly protocol: Call['protocol'];
  #status = 0;
  #grpcStatus = -1;

  constructor(life: Life, mesh: Mesh, protocol: Call['protocol']) {
    this.#life = life;
    this.#mesh = mesh;
    this.protocol = protocol;
  }

  headers(status: number): void {
    this.#status = status;
  }

  /** What headers or trailers of gRPC say of how it went. */
  said(headers: HeaderRecord): void {
    if (this.protocol === 'grpc' && headers['grpc-status'] !== undefined) this.#grpcStatus = Number(headers['grpc-status']);
  }

  data(bytes: number): void {
    this.#life.responseBytes += bytes;
  }

  failed(byCaller: boolean): void {
    if (byCaller) this.#life.left();
    else if (this.#status === 0) this.#life.refused(new MeshError('CONNECT_FAILED', 'no answer came'));
    else this.#life.refused(new MeshError('RESET', 'the answer broke off', { phase: 'answered' }));
    this.ended();
  }

  ended(): void {
    this.#life.end(this.#status, this.#grpcStatus, this.#mesh.now());
  }
}

/** The handler, behaving as it always did, with its passage noted. Speaks the protocol the handler speaks. */
export function watched(handler: object, passage: Passage): Handler {
  return isLegacy(handler) ? (new LegacyWatched(handler, passage) as object) : new Watched(handler, passage);
}

class Watched implements Handler {
  readonly #handler: Handler;
  readonly #passage: Passage;

  constructor(handler: Handler, passage: Passage) {
    this.#handler = handler;
    this.#passage = passage;
  }

  onRequestStart(controller: Controller, context: unknown): void {
    this.#handler.onRequestStart?.(controller, context);
  }

  onRequestUpgrade(controller: Controller, status: number, headers: HeaderRecord, socket: Duplex): void {
    this.#passage.headers(status);
    socket.once('close', () => this.#passage.ended());
    this.#handler.onRequestUpgrade?.(controller, status, headers, socket);
  }

  onResponseStarted(): void {
    this.#handler.onResponseStarted?.();
  }

  onResponseStart(controller: Controller, status: number, headers: HeaderRecord, statusText?: string): void {
    this.#passage.headers(status);
    this.#passage.said(headers);
    this.#handler.onResponseStart?.(controller, status, headers, statusText);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.#passage.data(chunk.length);
    this.#handler.onResponseData?.(controller, chunk);
  }

  onResponseEnd(controller: Controller, trailers: HeaderRecord): void {
    this.#passage.said(trailers);
    this.#passage.ended();
    this.#handler.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Controller, error: Error): void {
    this.#passage.failed(controller?.aborted ?? false);
    this.#handler.onResponseError?.(controller, error);
  }

  onBodySent(chunk: Buffer): void {
    this.#handler.onBodySent?.(chunk);
  }

  onRequestSent(): void {
    this.#handler.onRequestSent?.();
  }
}

class LegacyWatched implements LegacyHandler {
  readonly #handler: LegacyHandler;
  readonly #passage: Passage;
  #aborted = false;

  constructor(handler: LegacyHandler, passage: Passage) {
    this.#handler = handler;
    this.#passage = passage;
  }

  onConnect(abort: (reason?: Error) => void, context: unknown): void {
    this.#handler.onConnect?.((reason) => {
      this.#aborted = true;
      abort(reason);
    }, context);
  }

  onUpgrade(status: number, rawHeaders: Buffer[], socket: Duplex): void {
    this.#passage.headers(status);
    socket.once('close', () => this.#passage.ended());
    this.#handler.onUpgrade?.(status, rawHeaders, socket);
  }

  onResponseStarted(): void {
    this.#handler.onResponseStarted?.();
  }

  onHeaders(status: number, rawHeaders: Buffer[], resume: () => void, statusText: string): boolean {
    this.#passage.headers(status);
    return this.#handler.onHeaders?.(status, rawHeaders, resume, statusText) ?? true;
  }

  onData(chunk: Buffer): boolean {
    this.#passage.data(chunk.length);
    return this.#handler.onData?.(chunk) ?? true;
  }

  onComplete(rawTrailers: Buffer[]): void {
    this.#passage.ended();
    this.#handler.onComplete?.(rawTrailers);
  }

  onError(error: Error): void {
    this.#passage.failed(this.#aborted);
    this.#handler.onError?.(error);
  }

  onBodySent(chunk: Buffer, total: number): void {
    this.#handler.onBodySent?.(chunk, total);
  }

  onRequestSent(): void {
    this.#handler.onRequestSent?.();
  }
}
