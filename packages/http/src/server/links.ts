import type { Closeable, Identity, Principal } from '@inmesh/core';
import { chainOf } from '@inmesh/net';
import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { Link, type Passenger } from './link.ts';
import { isTrusted } from './trust.ts';
import type { InboundWiring } from './wiring.ts';

const LINK = Symbol('inmesh.link');

interface Linked {
  [LINK]?: Link;
}

/** The connections of one server. What was believed of a caller at his handshake is looked at again at every rotation. */
export class Links implements Closeable {
  readonly #wiring: InboundWiring;
  readonly #all = new Set<Link>();
  readonly #rotations: Closeable | undefined;
  #leaving = false;

  constructor(wiring: InboundWiring) {
    this.#wiring = wiring;
    this.#rotations = wiring.credentials?.onIdentity((identity) => this.#review(identity));
  }

  /** What is known of a socket; worked out once. A TLS socket that is not ours counts for what its certificate proves. */
  of(socket: Socket): Link {
    return (socket as Linked)[LINK] ?? this.#add(socket, this.#principalOf(socket));
  }

  /** A connection of our own handshake. undefined: its certificate proves nobody who may come. */
  prove(socket: TLSSocket, identity: Identity): Link | undefined {
    const chain = chainOf(socket.getPeerCertificate(true));
    // TLS of somebody without a certificate: private, but nobody.
    if (chain.length === 0) return this.#add(socket, undefined);
    const principal = this.#verified(chain, identity);
    return principal === undefined ? undefined : this.#add(socket, principal);
  }

  /** A session of HTTP/2 ends by GOAWAY, not by its socket. */
  session(session: Http2Session): void {
    this.of(session.socket as Socket).session = session;
  }

  /** From now on each answer says that it is the last of its connection. HTTP/2 has no such word: its GOAWAY turns away what is on its way here. */
  announceEnd(): void {
    this.#leaving = true;
    for (const link of this.#all) link.last();
  }

  /** Nothing new on any session of HTTP/2; what is under way finishes. */
  closeSessions(): void {
    for (const { session } of this.#all) session?.close();
  }

  enter(link: Link, call: Passenger): void {
    link.enter(call);
    if (this.#leaving) call.last();
    // A certificate does not carry a connection on beyond its own end: this call is the last.
    if (this.#wiring.mesh.clock.wall() > link.expiresAt) link.retire(this.#wiring.mesh.clock);
  }

  cut(): void {
    for (const link of this.#all) link.cut();
  }

  close(): void {
    this.#rotations?.close();
  }

  #add(socket: Socket, principal: Principal | undefined): Link {
    const certificate = certificateOf(socket);
    const chain = certificate === undefined ? [] : chainOf(certificate);
    const expiresAt = chain.length === 0 ? Infinity : Date.parse(certificate!.valid_to);
    const link = new Link(socket, principal, chain, expiresAt, this.#wiring.credentials?.identity()?.principal.uri);
    // Not defineProperty: the socket of an HTTP/2 session is a proxy that passes only this on.
    (socket as Linked)[LINK] = link;
    this.#all.add(link);
    socket.once('close', () => this.#all.delete(link));
    return link;
  }

  #principalOf(socket: Socket): Principal | undefined {
    const identity = this.#wiring.credentials?.identity();
    const certificate = identity === undefined ? undefined : certificateOf(socket);
    return certificate === undefined ? undefined : this.#verified(chainOf(certificate), identity!);
  }

  #verified(chain: readonly Uint8Array[], identity: Identity): Principal | undefined {
    if (chain.length === 0) return undefined;
    const { mesh, credentials } = this.#wiring;
    const verified = credentials!.verifier.verify(chain, identity, 'client', mesh.clock.wall());
    return verified.ok && isTrusted(verified.principal, mesh) ? verified.principal : undefined;
  }

  /** After a rotation: who is not believed any more must come again. */
  #review(identity: Identity): void {
    for (const link of this.#all) {
      if (link.chain.length === 0) continue;
      const principal = this.#verified(link.chain, identity);
      if (principal === undefined && link.connection.principal !== undefined) link.retire(this.#wiring.mesh.clock);
      else link.connection = { ...link.connection, principal };
    }
  }
}

function certificateOf(socket: Socket): PeerCertificate | undefined {
  const { getPeerCertificate } = socket as Partial<TLSSocket>;
  return getPeerCertificate === undefined ? undefined : (socket as TLSSocket).getPeerCertificate(true);
}
