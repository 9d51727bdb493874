import { type HopProof, type InboundCall, isGrpc, MeshError, type Mesh, normalizeTarget, readCall, type Received } from '@inmesh/core';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Links } from './links.ts';
import { RequestOutlet } from './request-outlet.ts';
import { type Outlet, Serving } from './serving.ts';
import { SocketOutlet } from './socket-outlet.ts';
import { StreamOutlet } from './stream-outlet.ts';
import { hopProof } from './trust.ts';
import type { InboundWiring } from './wiring.ts';

/** Hands a request on to the program. */
export type Pass = () => unknown;

/** Where requests come in. */
export class Gate {
  readonly #wiring: InboundWiring;
  readonly #links: Links;
  readonly #hops: HopProof | undefined;
  readonly #instrumented: boolean;

  /** `instrumented`: OpenTelemetry's own instrumentation stands between it and the program. */
  constructor(wiring: InboundWiring, links: Links, instrumented: boolean) {
    this.#wiring = wiring;
    this.#links = links;
    this.#hops = hopProof(wiring);
    this.#instrumented = instrumented;
  }

  /** `routed`: a router has read the path already, so it must stay as it is. A request may be handed from server to server: it is judged once. */
  request(request: IncomingMessage, response: ServerResponse, pass: Pass, routed = false): void {
    if (request.mesh === undefined)
      this.#serve(receivedOf(request, false), request.socket, new RequestOutlet(request, response, pass, routed, this.#instrumented));
    else pass();
  }

  takeOver(request: IncomingMessage, socket: Duplex, pass: Pass): void {
    if (request.mesh === undefined)
      this.#serve(receivedOf(request, true), request.socket, new SocketOutlet(request, socket, pass, this.#wiring.mesh.clock));
    else pass();
  }

  /** A request of HTTP/2. It may come by twice: from its session, and from its server. */
  stream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rest: readonly unknown[], pass: Pass): boolean {
    if (stream.mesh !== undefined) return pass() === true;
    const { session } = stream;
    if (session === undefined) return true;
    const raw = (rest[1] as string[] | undefined) ?? linesOf(headers);
    const socket = session.socket as TLSSocket;
    const received: Received = {
      method: headers[':method'] ?? '',
      target: headers[':path'] ?? '',
      rawHeaders: raw,
      authority: headers[':authority'],
      scheme: socket.encrypted ? 'https' : 'http',
      upgrade: headers[':method'] === 'CONNECT',
    };
    this.#links.of(socket).session ??= session;
    this.#serve(
      received,
      socket,
      new StreamOutlet(stream, { headers, rawHeaders: raw }, pass, this.#wiring.mesh.clock, this.#instrumented),
    );
    return true;
  }

  /** Of HTTP/2 the stream was judged, and this is what Node made of it. */
  judged(request: Http2ServerRequest): boolean {
    const { mesh } = request.stream as ServerHttp2Stream;
    if (mesh === undefined) request.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    else request.mesh = mesh;
    return mesh !== undefined;
  }

  #serve(received: Received, socket: Socket, outlet: Outlet): void {
    const { mesh } = this.#wiring;
    const link = this.#links.of(socket);
    const { connection, retired } = link;
    const routed = mesh.receive(connection.localPort);
    const serving = new Serving(mesh, routed, outlet, link);
    this.#links.enter(link, serving);
    outlet.watch(serving);
    let call: InboundCall;
    try {
      if (retired) throw new MeshError('PERMISSION_DENIED', 'the certificate of this connection is not believed any more: connect again');
      call = readCall(received, connection, mesh.model, outlet, this.#hops, mesh.metadata);
      if (connection.principal !== undefined) outlet.edit(link.told);
    } catch (error) {
      if (!MeshError.is(error)) throw error;
      return serving.reject(error, isGrpc(received.method, received.rawHeaders));
    }
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

function linesOf(headers: IncomingHttpHeaders): string[] {
  return Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().flatMap((one) => [name, one]));
}

/** Is a path that a router has read already the one that rules see? */
export function isNormal(target: string, { settings }: Mesh): boolean {
  return normalizeTarget(target, settings.pathNormalization)?.path === target.split(/[?#]/, 1)[0];
}
