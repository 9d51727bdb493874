import { MeshError } from '@inmesh/core';
import { type IncomingMessage, Server as HttpServer, type ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2Session, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Server as TlsServer, type TLSSocket } from 'node:tls';
import { Doorkeeper } from './doorkeeper.ts';
import { Drain, type DrainOptions } from './drain.ts';
import { Gate } from './gate.ts';
import { Links } from './links.ts';
import type { AnyServer, Emit, InboundWiring } from './wiring.ts';

/** A server with the mesh in front of it. */
export interface Attached {
  /** Lets the server leave without losing a call: see DrainOptions. Resolves when it is closed. */
  readonly drain: (options?: DrainOptions) => Promise<void>;
  /** Takes the mesh away: the server is unprotected from then on. */
  readonly detach: () => void;
}

const ATTACHED = Symbol('inmesh.attached');

interface Guarded {
  [ATTACHED]?: { readonly attached: Attached; readonly wiring: InboundWiring };
  emit: Emit;
}

/**
 * Puts the mesh in front of a server: every request, upgrade and CONNECT passes the policy before any listener of the
 * program hears of it, and on a plain server the first byte of a connection decides about TLS.
 *
 * It takes the place of `emit`, not of a listener: listeners that come later, first, or once are all behind it, which no
 * order of listeners could promise. Attaching twice is attaching once.
 *
 * `instrumented`: somebody else makes spans of what the server receives. Of OpenTelemetry's instrumentation of node:http it is seen.
 */
export function attach(server: AnyServer, wiring: InboundWiring, instrumented = false): Attached {
  const guarded = guardable(server);
  const before = guarded[ATTACHED];
  if (before !== undefined) {
    if (before.wiring.mesh === wiring.mesh) return before.attached;
    throw new MeshError('MISUSE', 'another mesh of this process is attached to this server: detach it first');
  }
  const emit = guarded.emit;
  const forward: Emit = (event, ...args) => emit.call(server, event, ...args);
  const links = new Links(wiring);
  const gate = new Gate(wiring, links, instrumented || isWrapped(emit));
  const door = server instanceof TlsServer ? undefined : new Doorkeeper(wiring, links, forward, !(server instanceof HttpServer));
  const guard: Emit = (event, ...args) => {
    switch (event) {
      case 'request':
      case 'checkContinue':
      case 'checkExpectation':
        if (isStreamed(args[0])) return !gate.judged(args[0]) || forward(event, ...args);
        gate.request(args[0] as IncomingMessage, args[1] as ServerResponse, () => forward(event, ...args));
        return true;
      case 'upgrade':
      case 'connect':
        if (isStreamed(args[0])) return !gate.judged(args[0]) || forward(event, ...args);
        gate.takeOver(args[0] as IncomingMessage, args[1] as Duplex, () => forward(event, ...args));
        return true;
      case 'stream':
        return gate.stream(args[0] as ServerHttp2Stream, args[1] as IncomingHttpHeaders, args.slice(2), () => forward(event, ...args));
      case 'session':
        guardSession(args[0] as Http2Session, gate);
        links.session(args[0] as Http2Session);
        return forward(event, ...args);
      case 'secureConnection':
        links.of(args[0] as TLSSocket);
        return forward(event, ...args);
      case 'connection':
        return door === undefined ? forward(event, ...args) : door.connection(args[0] as Socket);
      default:
        return forward(event, ...args);
    }
  };
  guarded.emit = guard;
  const drain = new Drain(server, links, wiring.mesh.clock, () => door?.cut());
  const attached: Attached = {
    drain: (options) => drain.drain(options),
    detach: () => {
      // Somebody who wrapped our emit would call it nevertheless.
      if (guarded.emit !== guard) throw new MeshError('MISUSE', 'the emit of this server was replaced after the mesh was attached');
      guarded.emit = emit;
      delete guarded[ATTACHED];
      links.close();
    },
  };
  guarded[ATTACHED] = { attached, wiring };
  return attached;
}

/** As instrumentation of OpenTelemetry marks what it has taken the place of. */
const isWrapped = (emit: Emit): boolean => (emit as { __wrapped?: boolean }).__wrapped === true;

/** A program may listen to the session itself, beside the server: its streams are judged before that, too. */
function guardSession(session: Http2Session, gate: Gate): void {
  const emit = session.emit.bind(session) as Emit;
  const guard: Emit = (event, ...args) =>
    event === 'stream'
      ? gate.stream(args[0] as ServerHttp2Stream, args[1] as IncomingHttpHeaders, args.slice(2), () => emit(event, ...args))
      : emit(event, ...args);
  session.emit = guard as Http2Session['emit'];
}

/** Of HTTP/2, as Node's compatibility layer shows it. */
const isStreamed = (request: unknown): request is Http2ServerRequest => (request as IncomingMessage).httpVersionMajor === 2;

function guardable(server: AnyServer): Guarded {
  if (typeof (server as Partial<AnyServer> | undefined)?.emit !== 'function')
    throw new MeshError(
      'MISUSE',
      'attach needs a server of node:http, node:https or node:http2: of an Express application pass what app.listen() returns',
    );
  // Such a parser takes requests for whole that the next one reads differently: no rule can be held against them.
  if ((server as { insecureHTTPParser?: boolean }).insecureHTTPParser === true)
    throw new MeshError('MISUSE', 'attach refuses a server with insecureHTTPParser: requests could be smuggled past the policy');
  return server as unknown as Guarded;
}
