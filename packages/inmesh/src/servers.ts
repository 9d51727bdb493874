import { createGrpcServers, type GrpcServers } from '@inmesh/grpc';
import {
  type AnyServer,
  attach,
  type Attached,
  createFastifyPlugin,
  createFetchHandler,
  createListener,
  createMiddleware,
  createServer,
  type DrainOptions,
  type FastifyPlugin,
  type FetchHandler,
  type FetchPeer,
  type InboundMesh,
  type InboundWiring,
  listen,
  type Listening,
  type ListenOptions,
  type Middleware,
} from '@inmesh/http';
import type { RequestListener, Server } from 'node:http';

/** The inbound side: each puts the policy's demands on callers in front of a server. */
export interface Servers {
  /** Protects a server of node:http, node:https or node:http2, whoever made it: requests, upgrades, CONNECT, and mutual TLS on plain ports. */
  readonly attach: (server: AnyServer) => Attached;
  /** A node:http server with the mesh in front of it. `app`: Express, or any handler of Node's requests. */
  readonly createServer: (app: RequestListener) => Server;
  /** Serves `app` on a port; resolves when it listens. */
  readonly listen: (app: RequestListener, where: number | ListenOptions) => Promise<Listening>;
  /** For programs whose server is out of reach: rules over requests, as a middleware. Refuses where a policy asks who calls. */
  readonly express: () => Middleware;
  /** The same around a plain handler of Node's requests. */
  readonly listener: (handler: RequestListener) => RequestListener;
  /** For `await fastify.register(mesh.fastify)`. */
  readonly fastify: FastifyPlugin;
  /** Around a fetch-style handler, as Hono's `app.fetch`. `peerOf` says what the adapter under it knows of the connection. */
  readonly fetchHandler: <Rest extends unknown[]>(
    handler: FetchHandler<Rest>,
    peerOf?: (request: Request, ...rest: Rest) => FetchPeer | undefined,
  ) => FetchHandler<Rest>;
}

/** The servers of one mesh, and how they leave with it. */
export class ServerRoom {
  readonly servers: Servers;
  /** The part of `mesh.grpc` that serves. */
  readonly grpc: GrpcServers<InboundMesh>;
  readonly #grpc: ReturnType<typeof createGrpcServers<InboundMesh>>;
  readonly #listening = new Set<Listening>();
  #leaving = 0;
  #closing = false;

  constructor(wiring: InboundWiring) {
    const warn = (message: string): void => process.emitWarning(message, { code: 'INMESH_UNATTACHED' });
    this.servers = {
      attach: (server) => this.#attach(server, wiring),
      createServer: (app) => createServer(app, wiring),
      listen: async (app, where) => this.#opened(await listen(app, where, wiring)),
      express: () => createMiddleware(wiring, warn),
      listener: createListener(wiring, warn),
      fastify: createFastifyPlugin(wiring, warn),
      fetchHandler: (handler, peerOf) => createFetchHandler(wiring, handler, peerOf),
    };
    this.#grpc = createGrpcServers({
      attach: (server, instrumented) => attach(server, wiring, instrumented),
      callerOf: ({ mesh }) => mesh,
      clock: wiring.mesh.clock,
    });
    const { wrap, server, caller } = this.#grpc;
    this.grpc = {
      server,
      caller,
      wrap: (one, options) => {
        const wrapped = wrap(one, options);
        return { drain: (how) => this.#leave((given) => wrapped.drain(given), how) };
      },
    };
  }

  /** May callers be sent here? Not while a server of this process leaves, nor when the last has left. */
  get ready(): boolean {
    return !this.#closing && this.#leaving === 0;
  }

  /** Lets every server leave that the mesh opened, or wrapped. Those it was only attached to are the program's to close. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    await Promise.all([
      ...[...this.#listening].map((one) => one.close({ graceMs })),
      ...[...this.#grpc.bound].map((one) => one.drain({ graceMs })),
    ]);
  }

  #attach(server: AnyServer, wiring: InboundWiring): Attached {
    const { drain, detach } = attach(server, wiring);
    return { detach, drain: (options) => this.#leave(drain, options) };
  }

  #opened(listening: Listening): Listening {
    const close = async (options?: DrainOptions): Promise<void> => {
      this.#listening.delete(opened);
      await this.#leave(listening.close, options);
    };
    const opened: Listening = { ...listening, close, [Symbol.asyncDispose]: () => close() };
    this.#listening.add(opened);
    return opened;
  }

  /** Readiness is off from the first moment: whoever sends callers must learn of it before they are turned away. */
  async #leave(drain: Attached['drain'], options: DrainOptions | undefined): Promise<void> {
    this.#leaving += 1;
    await drain(options);
    // Others are still there to be called.
    if (this.#listening.size + this.#grpc.bound.size > 0) this.#leaving -= 1;
  }
}
