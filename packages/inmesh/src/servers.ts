import {
  type AnyServer,
  attach,
  createFastifyPlugin,
  createMiddleware,
  createServer,
  type FastifyPlugin,
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
  readonly attach: (server: AnyServer) => void;
  /** A node:http server with the mesh in front of it. `app`: Express, or any handler of Node's requests. */
  readonly createServer: (app: RequestListener) => Server;
  /** Serves `app` on a port; resolves when it listens. */
  readonly listen: (app: RequestListener, where: number | ListenOptions) => Promise<Listening>;
  /** For programs whose server is out of reach: rules over requests, as a middleware. Refuses where a policy asks who calls. */
  readonly express: () => Middleware;
  /** For `await fastify.register(mesh.fastify)`. */
  readonly fastify: FastifyPlugin;
}

export function createServers(wiring: InboundWiring): Servers {
  const warn = (message: string): void => process.emitWarning(message, { code: 'INMESH_UNATTACHED' });
  return {
    attach: (server) => attach(server, wiring),
    createServer: (app) => createServer(app, wiring),
    listen: (app, where) => listen(app, where, wiring),
    express: () => createMiddleware(wiring, warn),
    fastify: createFastifyPlugin(wiring, warn),
  };
}
