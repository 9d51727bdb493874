import type { Server } from '@grpc/grpc-js';
import { type Clock, MeshError } from '@inmesh/core';
import type { Http2SecureServer, Http2Server } from 'node:http2';

/** A server of Node, as grpc-js makes one for every address it is bound to. */
export type Http2Listener = Http2Server | Http2SecureServer;

/** Puts the mesh in front of a server of Node, and lets it leave without losing a call. */
export type Attach = (
  server: Http2Listener,
  /** Somebody else makes spans of its calls. */
  instrumented: boolean,
) => { readonly drain: (options: { readonly graceMs: number }) => Promise<void> };

export interface GrpcDrainOptions {
  /** Time for callers to learn that this server leaves (readiness is off): it still takes what comes. Default 0 ms. */
  readonly delayMs?: number;
  /** Time calls in flight have after that; what takes longer is cut. Default 10 s. */
  readonly graceMs?: number;
}

export interface WrapOptions {
  /** Hears that the server begins to leave: for a health service, `() => health.setStatus('', 'NOT_SERVING')`. */
  readonly onDrain?: () => void;
}

/** What wrapped servers share. */
export interface Surroundings {
  readonly attach: Attach;
  readonly clock: Clock;
  /** Those that are bound to an address. */
  readonly bound: Set<WrappedServer>;
}

const WRAPPED = Symbol('inmesh.wrapped');

/** Members of grpc-js's Server that it keeps to itself. */
interface Innards {
  createHttp2Server?: (credentials: unknown) => Http2Listener;
  readonly http2Servers?: ReadonlyMap<Http2Listener, unknown>;
  [WRAPPED]?: WrappedServer;
}

/** A grpc-js Server with the mesh in front of every address it is bound to. Wrapping twice is wrapping once. */
export function wrap(server: Server, surroundings: Surroundings, { onDrain }: WrapOptions = {}): WrappedServer {
  const innards = server as unknown as Innards;
  const before = innards[WRAPPED];
  if (before !== undefined && !before.isOf(surroundings))
    throw new MeshError('MISUSE', 'this server is wrapped by another mesh of this process');
  const wrapped = before ?? new WrappedServer(server, innards, surroundings);
  innards[WRAPPED] = wrapped;
  if (onDrain !== undefined) wrapped.onDrain(onDrain);
  return wrapped;
}

export class WrappedServer {
  readonly #server: Server;
  readonly #surroundings: Surroundings;
  readonly #listeners = new Map<Http2Listener, ReturnType<Attach>>();
  readonly #onDrain: (() => void)[] = [];
  #closed = false;
  #leaving: Promise<void> | undefined = undefined;

  constructor(server: Server, innards: Innards, surroundings: Surroundings) {
    this.#server = server;
    this.#surroundings = surroundings;
    const create = innards.createHttp2Server;
    if (typeof create !== 'function') {
      throw new MeshError(
        'MISUSE',
        'mesh.grpc.wrap needs a Server of @grpc/grpc-js 1.14, and reaches its sockets by a member that this one does not have (createHttp2Server)',
      );
    }
    if ((innards.http2Servers?.size ?? 0) > 0) throw new MeshError('MISUSE', 'this server is bound already: wrap it before bindAsync');
    // grpc-js has no other place through which every listener passes: those of bindAsync, and those of connection injectors.
    innards.createHttp2Server = (credentials) => this.#guard(create.call(server, credentials));
  }

  isOf(surroundings: Surroundings): boolean {
    return this.#surroundings === surroundings;
  }

  onDrain(listener: () => void): void {
    this.#onDrain.push(listener);
  }

  /** Lets the server leave without losing a call. Resolves when nothing of it listens any more. */
  drain({ delayMs = 0, graceMs = 10_000 }: GrpcDrainOptions = {}): Promise<void> {
    return (this.#leaving ??= this.#drain(delayMs, graceMs));
  }

  #guard(listener: Http2Listener): Http2Listener {
    // A bindAsync that was under way when the server left: grpc-js would leave it listening.
    if (this.#closed) throw new MeshError('CLOSED', 'this server has left');
    this.#listeners.set(listener, this.#surroundings.attach(listener, isInstrumented(this.#server)));
    if (this.#leaving === undefined) this.#surroundings.bound.add(this);
    listener.once('close', () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#surroundings.bound.delete(this);
    });
    return listener;
  }

  async #drain(delayMs: number, graceMs: number): Promise<void> {
    this.#surroundings.bound.delete(this);
    for (const listener of this.#onDrain) listener();
    if (delayMs > 0) await new Promise<void>((resolve) => this.#surroundings.clock.after(delayMs, resolve, true));
    this.#closed = true;
    await Promise.all([...this.#listeners.values()].map((one) => one.drain({ graceMs })));
    // Nothing is left to end: it closes grpc-js's own books (channelz), and no bindAsync begins any more.
    this.#server.forceShutdown();
  }
}

/** OpenTelemetry's instrumentation of grpc-js takes the place of `register`, and marks it. */
const isInstrumented = (server: Server): boolean =>
  (server as unknown as { readonly register: { readonly __wrapped?: boolean } }).register.__wrapped === true;
