import { type Connection, type Mesh, MeshError } from '@inmesh/core';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerRequest, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { addressOf, bad, clientAddress, InboundCall, isGrpc, type Received, unwelcome } from './inbound-call.ts';
import type { Links } from './links.ts';
import { RequestOutlet } from './request-outlet.ts';
import { type Outlet, Serving } from './serving.ts';
import { SocketOutlet } from './socket-outlet.ts';
import { StreamOutlet } from './stream-outlet.ts';
import type { InboundWiring } from './wiring.ts';

/** Hands a request on to the program. */
export type Pass = () => unknown;

/** Where requests come in. */
export class Gate {
  readonly #wiring: InboundWiring;
  readonly #links: Links;

  constructor(wiring: InboundWiring, links: Links) {
    this.#wiring = wiring;
    this.#links = links;
  }

  /** `routed`: a router has read the path already, so it must stay as it is. A request may be handed from server to server: it is judged once. */
  request(request: IncomingMessage, response: ServerResponse, pass: Pass, routed = false): void {
    if (request.mesh === undefined)
      this.#serve(receivedOf(request, false), request.socket, new RequestOutlet(request, response, pass, routed));
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
    const connect = headers[':method'] === 'CONNECT';
    const received: Received = {
      method: headers[':method'] ?? '',
      target: headers[':path'] ?? '',
      rawHeaders: raw,
      authority: headers[':authority'],
      scheme: socket.encrypted ? 'https' : 'http',
      upgrade: connect,
      // Extended CONNECT (RFC 8441: a WebSocket in a stream) has a path, as any request.
      tunnel: connect && headers[':protocol'] === undefined,
    };
    this.#links.of(socket).session ??= session;
    this.#serve(received, socket, new StreamOutlet(stream, { headers, rawHeaders: raw }, pass));
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
      call = admit(received, connection, mesh, outlet);
    } catch (error) {
      if (!MeshError.is(error)) throw error;
      return serving.reject(error, isGrpc(received.method, received.rawHeaders));
    }
    serving.run(routed, call);
  }
}

/** A request as a call, with what nobody outside may say taken away. Throws a refusal where it can be read in two ways. */
export function admit(received: Received, connection: Connection, mesh: Mesh, outlet: Pick<Outlet, 'edit'>): InboundCall {
  const unwanted = unwelcome(received.rawHeaders);
  const address = addressOf(received, mesh.settings.pathNormalization);
  if (unwanted.length > 0) outlet.edit(unwanted.map((name) => ({ op: 'remove', name })));
  // As a proxy does (RFC 9112 §3.2.2): clients write the proxy's own name there, and a program must not read another than rules did.
  if (received.tunnel) outlet.edit([{ op: 'set', name: 'host', value: address.authority }]);
  const { trustedHops } = mesh.model.inbound;
  return new InboundCall(received, address, {
    connection,
    clientAddress: clientAddress(received.rawHeaders, trustedHops, connection.remoteAddress),
    claims: undefined,
    policy: '',
  });
}

function receivedOf(request: IncomingMessage, upgrade: boolean): Received {
  const tunnel = request.method === 'CONNECT';
  const target = request.url ?? '';
  return {
    method: request.method ?? '',
    target: tunnel ? '' : target,
    rawHeaders: request.rawHeaders,
    authority: tunnel ? target : undefined,
    scheme: (request.socket as TLSSocket).encrypted ? 'https' : 'http',
    upgrade,
    tunnel,
  };
}

function linesOf(headers: IncomingHttpHeaders): string[] {
  return Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().flatMap((one) => [name, one]));
}

/** Refuses a path that routers have read already and would read otherwise once it is normalized. */
export function unrouted(target: string, mesh: Mesh): void {
  const path = target.split(/[?#]/, 1)[0]!;
  const { target: normalized } = addressOf(
    { method: 'GET', target, rawHeaders: [], authority: 'x', scheme: 'http', upgrade: false, tunnel: false },
    mesh.settings.pathNormalization,
  );
  if (normalized.path !== path) throw bad('the path was read by a router before it was normalized: use mesh.attach(server)');
}
