import type { Closeable, Identity, Mesh } from '@inmesh/core';
import { constants } from 'node:crypto';
import { Server as HttpServer } from 'node:http';
import type { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import type { Credentials } from '../credentials.ts';
import { chainOf } from '../mutual.ts';
import { proven } from './connection.ts';

type Emit = (event: string, ...args: unknown[]) => boolean;

/** First byte of a TLS record that holds a handshake (RFC 8446 §5.1). */
const HANDSHAKE = 0x16;
/** Time until a connection has said its first byte, and until its handshake is done. */
const PATIENCE_MS = 10_000;

/** A connection whose caller proved who he is, with the proof: what was believed then may not be believed for ever. */
interface Proven {
  readonly socket: TLSSocket;
  readonly chain: readonly Uint8Array[];
}

/**
 * Decides about each new connection of a plain server whether it is mutual TLS, by its first byte and the mode of the
 * port at that moment (PeerAuthentication): STRICT takes nothing else, PERMISSIVE both, DISABLE does not look. What is
 * refused is closed without a word of HTTP, as Istio's proxies do.
 */
export class Doorkeeper {
  readonly #mesh: Mesh;
  readonly #credentials: Credentials | undefined;
  readonly #emit: Emit;
  readonly #http2: boolean;
  readonly #proven = new Set<Proven>();
  #contextOf: { readonly identity: Identity; readonly context: SecureContext } | undefined = undefined;
  #rotations: Closeable | undefined = undefined;

  constructor(
    { mesh, credentials }: { readonly mesh: Mesh; readonly credentials: Credentials | undefined },
    server: EventEmitter,
    emit: Emit,
  ) {
    this.#mesh = mesh;
    this.#credentials = credentials;
    this.#emit = emit;
    this.#http2 = !(server instanceof HttpServer);
    server.once('close', () => this.#rotations?.close());
  }

  connection(socket: Socket): boolean {
    const mode = this.#mesh.mtls(socket.localPort ?? 0);
    if (mode === 'DISABLE' || socket instanceof TLSSocket) return this.#emit('connection', socket);
    const identity = this.#credentials?.identity();
    if (identity === undefined) {
      if (mode === 'STRICT') socket.destroy();
      else this.#emit('connection', socket);
      return true;
    }
    const timer = this.#mesh.clock.after(PATIENCE_MS, () => socket.destroy());
    const gone = (): void => {
      timer.cancel();
      socket.destroy();
    };
    const ways = ['error', 'close', 'end'];
    for (const way of ways) socket.once(way, gone);
    socket.once('readable', () => {
      timer.cancel();
      for (const way of ways) socket.off(way, gone);
      const first = socket.read(1) as Buffer | null;
      if (first === null) return void socket.destroy();
      socket.unshift(first);
      if (first[0] === HANDSHAKE) this.#secure(socket, identity, mode === 'STRICT');
      else if (mode === 'STRICT') socket.destroy();
      else this.#emit('connection', socket);
    });
    return true;
  }

  #secure(socket: Socket, identity: Identity, strict: boolean): void {
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext: this.#context(identity),
      requestCert: true,
      // The verdict is ours: whose bundle counts depends on who it claims to be.
      rejectUnauthorized: false,
      ALPNCallback: ({ protocols }) => (this.#http2 ? H2 : H1).find((one) => protocols.includes(one)),
    });
    const timer = this.#mesh.clock.after(PATIENCE_MS, () => secured.destroy());
    const failed = (): void => {
      timer.cancel();
      secured.destroy();
    };
    // A caller who leaves half-way only ends (http servers keep half-open sockets), and failures of a handshake have an event of their own.
    const ways = ['error', 'close', 'end', '_tlsError'];
    for (const way of ways) secured.once(way, failed);
    secured.once('secure', () => {
      timer.cancel();
      for (const way of ways) secured.off(way, failed);
      secured.disableRenegotiation();
      const chain = chainOf(secured.getPeerCertificate(true));
      if (chain.length === 0) {
        // TLS of somebody without a certificate: private, but nobody.
        if (strict) return void secured.destroy();
        proven(secured, undefined);
      } else {
        const verified = this.#credentials!.verifier.verify(chain, identity, 'client', this.#mesh.clock.wall());
        if (!verified.ok || !this.#trusts(verified.principal.trustDomain)) return void secured.destroy();
        proven(secured, verified.principal);
        this.#remember({ socket: secured, chain });
      }
      this.#emit('connection', secured);
    });
  }

  /** Istio's server takes callers of the mesh's own trust domain and its aliases. */
  #trusts(domain: string): boolean {
    const { trustDomain, trustDomainAliases } = this.#mesh.settings;
    return domain === trustDomain || trustDomainAliases.includes(domain);
  }

  #remember(one: Proven): void {
    this.#rotations ??= this.#credentials!.onIdentity((identity) => this.#review(identity));
    this.#proven.add(one);
    one.socket.once('close', () => this.#proven.delete(one));
  }

  /** After a rotation: who would not be believed any more must come again. */
  #review(identity: Identity): void {
    const now = this.#mesh.clock.wall();
    for (const { socket, chain } of this.#proven) {
      if (!this.#credentials!.verifier.verify(chain, identity, 'client', now).ok) socket.destroy();
    }
  }

  /** One per rotation. Sessions are not kept: each handshake proves the caller anew, so none outlives his identity. */
  #context(identity: Identity): SecureContext {
    if (this.#contextOf?.identity === identity) return this.#contextOf.context;
    const context = createSecureContext({
      cert: identity.certificate,
      key: identity.privateKey,
      ca: [...identity.bundles.values()],
      minVersion: 'TLSv1.2',
      ciphers: CIPHERS,
      secureOptions: constants.SSL_OP_NO_TICKET,
    });
    this.#contextOf = { identity, context };
    return context;
  }
}

/** Istio's for servers of the mesh, and those of TLS 1.3. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256',
].join(':'); // prettier-ignore
const H1 = ['http/1.1', 'istio-http/1.1', 'istio'];
const H2 = ['h2', 'istio-h2', 'istio'];
