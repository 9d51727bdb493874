import type { Mesh } from '@inmesh/core';
import type { Credentials } from '@inmesh/net';
import { type ParsedUrlQueryInput, stringify } from 'node:querystring';
import { DEFAULT_REPLAY_BYTES, wrapBody } from './body.ts';
import { Delivery, type Wiring } from './delivery.ts';
import { flatten } from './headers.ts';
import { originOf } from './origin.ts';
import { Passage, watched } from './passthrough.ts';
import { PoolTable, priorKnowledge } from './pool.ts';
import { HttpRequest, type WireOptions } from './request.ts';
import type { Agent, Dispatcher } from 'undici';
import { undici } from './undici.ts';

export interface DispatcherOptions {
  /** Bytes of a one-shot request body that are kept so that it can be sent again. Default 64 KiB; beyond it there is no retry. */
  readonly replayBytes?: number;
  /** Carries traffic to hosts outside the mesh. Default: a plain undici Agent. */
  readonly fallback?: Dispatcher;
  /** The workload's certificate, for mutual TLS. Default: none. */
  readonly credentials?: Credentials;
}

/**
 * An undici Dispatcher that is the mesh: give it to undici.request, undici.fetch or setGlobalDispatcher, compose
 * interceptors on it. Hosts the mesh does not know go to `fallback` untouched, unless the policy says REGISTRY_ONLY.
 */
export class MeshDispatcher extends undici.Dispatcher {
  readonly wiring: Wiring;
  readonly replayBytes: number;
  #fallback: Dispatcher | undefined;
  #http2: Agent | undefined = undefined;
  readonly #ownFallback: boolean;

  constructor(mesh: Mesh, options: DispatcherOptions = {}) {
    super();
    this.wiring = { mesh, pools: new PoolTable(mesh, options.credentials) };
    this.replayBytes = options.replayBytes ?? DEFAULT_REPLAY_BYTES;
    this.#fallback = options.fallback;
    this.#ownFallback = options.fallback === undefined;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    return this.dispatchOr(options, handler, (passage) => {
      const way = passage.protocol === 'grpc' ? this.#http2Fallback : this.fallback;
      return way.dispatch(options, watched(handler, passage));
    });
  }

  /** As dispatch, with the way out for foreign hosts given: the global fetch keeps its own dispatcher for those. */
  dispatchOr(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler, outside: (passage: Passage) => boolean): boolean {
    const { mesh } = this.wiring;
    let request: HttpRequest;
    try {
      request = this.#request(options);
    } catch (error) {
      // As undici tells those who ask for what cannot be sent.
      if (typeof handler.onResponseError !== 'function') throw error;
      handler.onResponseError(undefined as never, new undici.errors.InvalidArgumentError((error as Error).message));
      return false;
    }
    const routed = mesh.find(request);
    const life = mesh.life(routed, request);
    // An untouched body is still the caller's: wrapping takes nothing from it until it is read.
    if (routed.kind === 'passthrough') return outside(new Passage(life, mesh, request.protocol));
    void new Delivery(request, handler, life, this.wiring).run(routed);
    return true;
  }

  #request(options: Dispatcher.DispatchOptions): HttpRequest {
    const origin = originOf(options.origin);
    // undici's redirect interceptor says null for none.
    const target = options.query === undefined || options.query === null ? options.path : withQuery(options.path, options.query);
    return new HttpRequest(
      origin,
      options.method,
      target,
      flatten(options.headers, origin.authority),
      options.body === undefined || options.body === null ? null : wrapBody(options.body, this.replayBytes),
      options as unknown as WireOptions,
      this.wiring.mesh.forwarded(),
    );
  }

  get fallback(): Dispatcher {
    return (this.#fallback ??= new undici.Agent());
  }

  /** gRPC is HTTP/2 without asking. */
  get #http2Fallback(): Dispatcher {
    return this.#ownFallback ? (this.#http2 ??= new undici.Agent(priorKnowledge(true))) : this.fallback;
  }

  /** What was made here, and ends with us. */
  get #own(): Dispatcher[] {
    return [this.#ownFallback ? this.#fallback : undefined, this.#http2].filter((one) => one !== undefined);
  }

  override close(): Promise<void>;
  override close(callback: () => void): void;
  override close(callback?: () => void): Promise<void> | void {
    const closing = Promise.all(this.#own.map((one) => one.close())).then(() => {});
    if (callback === undefined) return closing;
    void closing.then(callback);
  }

  /** Ends all calls under way; the mesh itself closes the pools of those that leave. */
  override destroy(...args: unknown[]): Promise<void> & void {
    const callback = args.find((arg): arg is () => void => typeof arg === 'function');
    const closing = Promise.all([...this.#own.map((one) => one.destroy()), this.wiring.pools.destroy()]).then(() => callback?.());
    return closing as Promise<void> & void;
  }
}

/** As undici writes it (lib/core/util.js, serializePathWithQuery). */
function withQuery(path: string, query: Record<string, unknown>): string {
  if (/[?#]/.test(path)) throw new TypeError('Query params cannot be passed when "url" already contains "?" or "#".');
  const text = stringify(query as ParsedUrlQueryInput);
  return text === '' ? path : `${path}?${text}`;
}
