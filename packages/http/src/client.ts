import { MeshError } from '@inmesh/core';
import { Readable } from 'node:stream';
import type { MeshDispatcher } from './dispatcher.ts';
import type { HeaderRecord } from './headers.ts';
import type { Dispatcher } from 'undici';

export interface RequestOptions {
  /** Default GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[] | undefined>> | readonly (readonly [name: string, value: string])[];
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array> | null;
  readonly signal?: AbortSignal;
  /** true: resolve at the headers and read the body as a stream. Default false: the body is collected first, which is cheaper. */
  readonly stream?: boolean;
}

/** An answer. Unless a stream was asked for, the body is complete and can be read as often as one likes. */
export interface MeshResponse {
  readonly status: number;
  /** Names lower-case. */
  readonly headers: Readonly<HeaderRecord>;
  /** Empty when the response was asked for as a stream. */
  readonly body: Buffer;
  /** Only with `stream: true`. */
  readonly stream: Readable | undefined;
  text(): string;
  /** Throws SyntaxError if the body is no JSON. */
  json(): unknown;
}

export type Request = (url: string | URL, options?: RequestOptions) => Promise<MeshResponse>;

/**
 * The cheapest way to call through the mesh: no response stream unless asked for. Rejects when the caller aborts, when a
 * streamed body cannot be sent, or, with `localReplies: 'throw'`, with the mesh's refusal.
 */
export function createRequest(dispatcher: MeshDispatcher): Request {
  return (url, options = {}) =>
    new Promise((resolve, reject) => {
      const { origin, path } = target(url);
      const collector = options.stream === true ? new Streamer(resolve, reject) : new Collector(resolve, reject);
      if (options.signal !== undefined) collector.follow(options.signal);
      dispatcher.dispatch(
        {
          origin,
          path,
          method: (options.method ?? 'GET') as Dispatcher.HttpMethod,
          headers: options.headers as Dispatcher.DispatchOptions['headers'],
          body: (options.body ?? null) as Dispatcher.DispatchOptions['body'],
        },
        collector,
      );
    });
}

interface Target {
  readonly origin: string;
  readonly path: string;
}

/** URLs repeat; taking them apart costs more than finding them again. Bounded, for those that do not. */
const KEPT = 1024;
const targets = new Map<string, Target>();

export function target(url: string | URL): Target {
  const key = typeof url === 'string' ? url : url.href;
  let found = targets.get(key);
  if (found === undefined) {
    const parsed = new URL(key);
    found = { origin: parsed.origin, path: parsed.pathname + parsed.search };
    if (targets.size >= KEPT) targets.clear();
    targets.set(key, found);
  }
  return found;
}

const NOTHING = Buffer.alloc(0);

class Response implements MeshResponse {
  readonly status: number;
  readonly headers: HeaderRecord;
  readonly body: Buffer;
  readonly stream: Readable | undefined;

  constructor(status: number, headers: HeaderRecord, body: Buffer, stream: Readable | undefined) {
    this.status = status;
    this.headers = headers;
    this.body = body;
    this.stream = stream;
  }

  text(): string {
    return this.body.toString('utf8');
  }

  json(): unknown {
    return JSON.parse(this.text());
  }
}

/** Ties a call to the caller's signal. */
abstract class Follower {
  #controller: Dispatcher.DispatchController | undefined = undefined;
  #signal: AbortSignal | undefined = undefined;
  readonly #abort = () => this.#controller?.abort(this.#signal!.reason as Error);

  follow(signal: AbortSignal): void {
    this.#signal = signal;
    signal.addEventListener('abort', this.#abort, { once: true });
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#signal?.aborted === true) this.#abort();
  }

  protected unfollow(): void {
    this.#signal?.removeEventListener('abort', this.#abort);
  }
}

class Collector extends Follower implements Dispatcher.DispatchHandler {
  readonly #resolve: (response: MeshResponse) => void;
  readonly #reject: (error: unknown) => void;
  #status = 0;
  #headers: HeaderRecord = {};
  #first: Buffer | undefined = undefined;
  #more: Buffer[] | undefined = undefined;

  constructor(resolve: (response: MeshResponse) => void, reject: (error: unknown) => void) {
    super();
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: HeaderRecord): void {
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#first === undefined) this.#first = chunk;
    else (this.#more ??= [this.#first]).push(chunk);
  }

  onResponseEnd(): void {
    this.unfollow();
    const body = this.#more === undefined ? (this.#first ?? NOTHING) : Buffer.concat(this.#more);
    this.#resolve(new Response(this.#status, this.#headers, body, undefined));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.unfollow();
    this.#reject(reasonOf(error));
  }
}

export class Streamer extends Follower implements Dispatcher.DispatchHandler {
  readonly #resolve: (response: MeshResponse) => void;
  readonly #reject: (error: unknown) => void;
  #stream: Readable | undefined = undefined;

  constructor(resolve: (response: MeshResponse) => void, reject: (error: unknown) => void) {
    super();
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: HeaderRecord): void {
    if (status < 200) return;
    this.#stream = new Readable({
      read: () => controller.resume(),
      destroy: (error, callback) => {
        // Destroyed before its end: the rest of the body is not wanted.
        controller.abort(error ?? new Error('the response body was destroyed by its reader'));
        this.unfollow();
        callback(error);
      },
    });
    this.#resolve(new Response(status, headers, NOTHING, this.#stream));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#stream?.push(chunk) === false) controller.pause();
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, _trailers: HeaderRecord): void {
    this.unfollow();
    this.#stream?.push(null);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.unfollow();
    if (this.#stream === undefined) this.#reject(reasonOf(error));
    else this.#stream.destroy(reasonOf(error) as Error);
  }
}

/** The caller's abort rejects with the caller's reason, as fetch does. */
export function reasonOf(error: unknown): unknown {
  return MeshError.is(error) && error.code === 'CANCELLED' && error.cause !== undefined ? error.cause : error;
}
