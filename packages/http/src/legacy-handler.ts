import type { Duplex } from 'node:stream';
import { type HeaderRecord, rawOf } from './headers.ts';
import type { Dispatcher } from 'undici';

type Controller = Dispatcher.DispatchController;

/** undici's first handler protocol, which the fetch of Node 22 and 24 speaks. */
export interface LegacyHandler {
  onConnect?(abort: (reason?: Error) => void, context: unknown): void;
  onUpgrade?(status: number, rawHeaders: Buffer[], socket: Duplex): void;
  onResponseStarted?(): void;
  onHeaders?(status: number, rawHeaders: Buffer[], resume: () => void, statusText: string): boolean;
  onData?(chunk: Buffer): boolean;
  onComplete?(rawTrailers: Buffer[]): void;
  onError?(error: Error): void;
  onBodySent?(chunk: Buffer, total: number): void;
  onRequestSent?(): void;
}

export function isLegacy(handler: object): handler is LegacyHandler {
  return typeof (handler as Dispatcher.DispatchHandler).onRequestStart !== 'function';
}

/**
 * A handler of the first protocol behind the current one. Instead of undici's own wrapper, because a fetch keeps the
 * functions it is given until a full collection finds it: they lead to this object only, and this one lets go of the call
 * when the call is over.
 */
export class LegacyAdapter implements Dispatcher.DispatchHandler {
  #handler: LegacyHandler;
  #controller: Controller | undefined = undefined;

  constructor(handler: LegacyHandler) {
    this.#handler = handler;
  }

  onRequestStart(controller: Controller, context: unknown): void {
    this.#controller = controller;
    this.#handler.onConnect?.((reason) => this.#controller?.abort(reason as Error), context);
  }

  onRequestUpgrade(controller: Controller, status: number, headers: HeaderRecord, socket: Duplex): void {
    this.#handler.onUpgrade?.(status, raw(controller.rawHeaders, headers), socket);
  }

  onResponseStart(controller: Controller, status: number, headers: HeaderRecord, statusText = ''): void {
    const flowing = this.#handler.onHeaders?.(status, raw(controller.rawHeaders, headers), () => this.#controller?.resume(), statusText);
    // What is said to an informational answer is not about the body (a fetch says no to each), as in undici 7.
    if (flowing === false && status >= 200) controller.pause();
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.#handler.onData?.(chunk) === false) controller.pause();
  }

  onResponseEnd(controller: Controller, trailers: HeaderRecord): void {
    this.#handler.onComplete?.(raw(controller.rawTrailers, trailers));
    this.#release();
  }

  onResponseError(_controller: Controller, error: Error): void {
    const handler = this.#handler;
    this.#release();
    if (handler.onError === undefined) throw error;
    handler.onError(error);
  }

  #release(): void {
    this.#handler = OVER;
    this.#controller = undefined;
  }
}

const OVER: LegacyHandler = {};

/** The bytes as they came, where they hold. */
function raw(bytes: Controller['rawHeaders'], record: HeaderRecord): Buffer[] {
  return Array.isArray(bytes) ? (bytes as Buffer[]) : rawOf((bytes as HeaderRecord | null | undefined) ?? record);
}
