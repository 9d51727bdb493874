import { type InboundCall, type Mesh, MeshError, readCall, type Received } from '@inmesh/core';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Http2SecureServer, Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { Server as TlsServer } from 'node:tls';
import type { Credentials } from '../credentials.ts';
import { connectionOf } from './connection.ts';
import { RequestOutlet, SocketOutlet, StreamOutlet } from './outlets.ts';
import { Serving } from './serving.ts';
import type { Meshed } from './told.ts';
import { Doorkeeper } from './doorkeeper.ts';

/** Servers of Node that the mesh can stand in front of. */
export type AnyServer = Server | Http2Server | Http2SecureServer;

/** What the inbound side of one process shares. */
export interface InboundWiring {
  readonly mesh: Mesh;
  readonly credentials: Credentials | undefined;
}

type Emit = (event: string, ...args: unknown[]) => boolean;

const GUARDED = Symbol('inmesh.guarded');

/** Is the mesh in front of this server already? */
export const isAttached = (server: object): boolean => GUARDED in server;

/**
 * Puts the mesh in front of a server: every request, upgrade and CONNECT passes the policy before any listener of the
 * program hears of it, and on a plain server the first byte of a connection decides about TLS.
 *
 * It takes the place of `emit`, not of a listener: listeners that come later, first, or once are all behind it, which no
 * order of listeners could promise. Attaching twice is attaching once.
 */
export function attach(server: AnyServer, wiring: InboundWiring): void {
  if (isAttached(server)) return;
  Object.defineProperty(server, GUARDED, { value: true });
  const emit = server.emit.bind(server) as Emit;
  const gate = new Gate(wiring, emit);
  const door = server instanceof TlsServer ? undefined : new Doorkeeper(wiring, server, emit);
  const guarded: Emit = (event, ...args) => {
    switch (event) {
      case 'request':
      case 'checkContinue':
      case 'checkExpectation':
        return gate.request(event, args[0] as IncomingMessage, args[1] as ServerResponse);
      case 'upgrade':
      case 'connect':
        return gate.takeOver(event, args[0] as IncomingMessage, args[1] as Duplex, args.slice(2));
      case 'stream':
        return gate.stream(args[0] as ServerHttp2Stream, args[1] as IncomingHttpHeaders, args.slice(2));
      case 'connection':
        return door === undefined ? emit(event, ...args) : door.connection(args[0] as Socket);
      default:
        return emit(event, ...args);
    }
  };
  server.emit = guarded as typeof server.emit;
}

/** Where requests come in. */
export class Gate {
  readonly #wiring: InboundWiring;
  readonly #emit: Emit;

  constructor(wiring: InboundWiring, emit: Emit) {
    this.#wiring = wiring;
    this.#emit = emit;
  }

  request(event: string, request: IncomingMessage, response: ServerResponse): boolean {
    // Of HTTP/2 the stream was judged, and this is what Node made of it.
    if (request.httpVersionMajor === 2) {
      const { stream } = request as unknown as { readonly stream: ServerHttp2Stream & Meshed };
      (request as Meshed).mesh = stream.mesh!;
      return this.#emit(event, request, response);
    }
    const outlet = new RequestOutlet(request, response, () => this.#emit(event, request, response));
    this.#serve(receivedOf(request, false), request.socket, outlet);
    return true;
  }

  takeOver(event: string, request: IncomingMessage, socket: Duplex, rest: unknown[]): boolean {
    const outlet = new SocketOutlet(request, socket, () => this.#emit(event, request, socket, ...rest));
    this.#serve(receivedOf(request, true), request.socket, outlet);
    return true;
  }

  stream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rest: unknown[]): boolean {
    const outlet = new StreamOutlet(stream, headers, () => this.#emit('stream', stream, headers, ...rest));
    const raw = (rest[1] as string[] | undefined) ?? [];
    const { socket } = stream.session!;
    const received: Received = {
      method: String(headers[':method']),
      target: headers[':path'] ?? '',
      // Only the lines: pseudo headers have their own places.
      rawHeaders: raw.flatMap((name, at) => (at % 2 === 0 && !name.startsWith(':') ? [name, raw[at + 1]!] : [])),
      authority: headers[':authority'],
      scheme: (socket as TLSSocket).encrypted ? 'https' : 'http',
      upgrade: false,
    };
    this.#serve(received, stream.session!.socket as Socket, outlet, headers);
    return true;
  }

  #serve(received: Received, socket: Socket, outlet: RequestOutlet | SocketOutlet | StreamOutlet, headers?: Record<string, unknown>): void {
    const { mesh, credentials } = this.#wiring;
    const connection = connectionOf(socket, credentials, mesh.clock.wall());
    const routed = mesh.receive(connection.localPort);
    const serving = new Serving(mesh, routed, outlet);
    outlet.watch(serving);
    let call: InboundCall;
    try {
      call = readCall(received, connection, mesh.model);
    } catch (error) {
      if (!MeshError.is(error)) throw error;
      return serving.reject(error);
    }
    if (headers !== undefined) keepOnly(headers, received.rawHeaders);
    serving.run(routed, call);
  }
}

function receivedOf(request: IncomingMessage, upgrade: boolean): Received {
  return {
    method: request.method ?? '',
    target: request.url ?? '',
    rawHeaders: request.rawHeaders,
    authority: undefined,
    scheme: (request.socket as TLSSocket).encrypted ? 'https' : 'http',
    upgrade,
  };
}

/** The parsed headers of a stream, less those that were taken away. */
function keepOnly(headers: Record<string, unknown>, rawHeaders: readonly string[]): void {
  const kept = new Set(rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase()));
  for (const name of Object.keys(headers)) if (!name.startsWith(':') && !kept.has(name)) delete headers[name];
}
