import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { attach } from './attach.ts';
import type { DrainOptions } from './drain.ts';
import type { InboundWiring } from './wiring.ts';

export interface ListenOptions {
  /** 0 picks one. */
  readonly port: number;
  /** Default: all addresses, as Node's. */
  readonly host?: string;
}

/** A server of the mesh that listens. */
export interface Listening extends AsyncDisposable {
  readonly server: Server;
  readonly port: number;
  /** Stops taking calls, finishes those in flight, then stops. */
  readonly close: (options?: DrainOptions) => Promise<void>;
}

/** A server with the mesh in front of it. `app`: an Express application, or any handler of Node's requests. */
export function createServer(app: RequestListener, wiring: InboundWiring): Server {
  const server = createHttpServer(app);
  attach(server, wiring);
  return server;
}

/** Serves `app`; resolves when it listens, rejects with Node's error (EADDRINUSE, EACCES) when it cannot. */
export async function listen(app: RequestListener, where: number | ListenOptions, wiring: InboundWiring): Promise<Listening> {
  const server = createHttpServer(app);
  const { drain } = attach(server, wiring);
  const { port, host } = typeof where === 'number' ? { port: where, host: undefined } : where;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return { server, port: (server.address() as AddressInfo).port, close: drain, [Symbol.asyncDispose]: () => drain() };
}
