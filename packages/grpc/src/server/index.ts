import type { Server, ServerOptions } from '@grpc/grpc-js';
import { type Clock, MeshError } from '@inmesh/core';
import type { ServerHttp2Stream } from 'node:http2';
import { grpcJs } from '../grpc-js.ts';
import { type ServerCall, streamOf } from './caller.ts';
import { type Attach, type GrpcDrainOptions, wrap, type WrappedServer, type WrapOptions } from './wrap.ts';

export type { ServerCall } from './caller.ts';
export type { GrpcDrainOptions, WrapOptions } from './wrap.ts';

/** What stands in front of servers of HTTP/2, as far as gRPC needs it. `Caller`: what it tells of a caller. */
export interface ServerTools<Caller> {
  readonly attach: Attach;
  /** Who calls, of a stream that came through; undefined: it did not. */
  readonly callerOf: (stream: ServerHttp2Stream) => Caller | undefined;
  readonly clock: Clock;
}

/** A grpc-js Server with the mesh in front of it. */
export interface WrappedGrpcServer {
  /** Lets the server leave without losing a call: GOAWAY, calls in flight finish, what outlasts its grace is cut. */
  readonly drain: (options?: GrpcDrainOptions) => Promise<void>;
}

/** The inbound side for @grpc/grpc-js. */
export interface GrpcServers<Caller> {
  /** Protects a Server that you made, before it is bound: on every address, with mutual TLS on those bound to insecure credentials. */
  readonly wrap: (server: Server, options?: WrapOptions) => WrappedGrpcServer;
  /** A Server with the mesh in front of it: `new Server(options)`, wrapped. */
  readonly server: (options?: ServerOptions) => Server;
  /** Who calls, for a handler: the `call` it was given. Throws MISUSE if the call did not come through the mesh. */
  readonly caller: (call: ServerCall) => Caller;
}

export function createGrpcServers<Caller>({ attach, callerOf, clock }: ServerTools<Caller>): GrpcServers<Caller> & {
  /** Wrapped servers that are bound to an address. */
  readonly bound: ReadonlySet<WrappedGrpcServer>;
} {
  const bound = new Set<WrappedServer>();
  const surroundings = { attach, clock, bound };
  return {
    wrap: (server, options) => wrap(server, surroundings, options),
    server: (options) => {
      const server = new (grpcJs().Server)(options);
      wrap(server, surroundings);
      return server;
    },
    caller: (call) => {
      const stream = streamOf(call);
      const caller = stream === undefined ? undefined : callerOf(stream);
      if (caller === undefined)
        throw new MeshError('MISUSE', `${call.getPath()} did not come through the mesh: wrap its server with mesh.grpc.wrap(server)`);
      return caller;
    },
    bound,
  };
}
