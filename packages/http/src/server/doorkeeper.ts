import type { Identity } from '@inmesh/core';
import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import type { Links } from './links.ts';
import type { Emit, InboundWiring } from './wiring.ts';

/** First byte of a TLS record that holds a handshake (RFC 8446 §5.1). */
const HANDSHAKE = 0x16;
/** Time until a connection has said its first byte: as long as Node waits for headers. */
const FIRST_BYTE_MS = 60_000;
const HANDSHAKE_MS = 10_000;
/** Connections that have not proven yet who they are. Beyond that the one that has taken longest goes: it is the least likely to be honest. */
const MOST_PENDING = 4096;

/**
 * Decides about each new connection of a plain server whether it is mutual TLS, by its first byte and the mode of the
 * port at that moment (PeerAuthentication): STRICT takes nothing else, PERMISSIVE both, DISABLE does not look. What is
 * refused is closed without a word of HTTP, as Istio's proxies do.
 */
export class Doorkeeper {
  readonly #wiring: InboundWiring;
  readonly #links: Links;
  readonly #emit: Emit;
  readonly #protocols: readonly string[];
  /** Oldest first. */
  readonly #pending = new Set<Socket>();
  #contextOf: { readonly identity: Identity; readonly context: SecureContext } | undefined = undefined;

  constructor(wiring: InboundWiring, links: Links, emit: Emit, http2: boolean) {
    this.#wiring = wiring;
    this.#links = links;
    this.#emit = emit;
    this.#protocols = http2 ? H2 : H1;
  }

  connection(socket: Socket): boolean {
    const { mesh, credentials } = this.#wiring;
    const mode = mesh.mtls(socket.localPort ?? 0);
    if (mode === 'DISABLE' || socket instanceof TLSSocket) return this.#admit(socket);
    const identity = credentials?.identity();
    if (identity !== undefined) this.#listen(socket, identity, mode === 'STRICT');
    else if (mode === 'STRICT') socket.destroy();
    else return this.#admit(socket);
    return true;
  }

  /** Whoever has not come in yet is sent away. */
  cut(): void {
    for (const socket of this.#pending) socket.destroy();
  }

  #admit(socket: Socket): boolean {
    this.#links.of(socket);
    return this.#emit('connection', socket);
  }

  #listen(socket: Socket, identity: Identity, strict: boolean): void {
    this.#await(socket);
    const decided = this.#within(FIRST_BYTE_MS, socket, []);
    const look = (): void => {
      const first = socket.read(1) as Buffer | null;
      if (first === null) return;
      socket.off('readable', look);
      decided();
      socket.unshift(first);
      if (first[0] === HANDSHAKE) return this.#secure(socket, identity, strict);
      this.#pending.delete(socket);
      if (strict) socket.destroy();
      else this.#admit(socket);
    };
    socket.on('readable', look);
  }

  #secure(socket: Socket, identity: Identity, strict: boolean): void {
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext: this.#context(identity),
      requestCert: true,
      // The verdict is ours: whose bundle counts depends on who it claims to be.
      rejectUnauthorized: false,
      ALPNCallback: ({ protocols }) => this.#protocols.find((one) => protocols.includes(one)),
    });
    // Failures of a handshake have an event of their own.
    const decided = this.#within(HANDSHAKE_MS, secured, ['_tlsError']);
    secured.once('secure', () => {
      decided();
      this.#pending.delete(socket);
      secured.disableRenegotiation();
      // Node's own TLS server says so; HTTP/2 waits for it.
      (secured as { secureConnecting?: boolean }).secureConnecting = false;
      const link = this.#links.prove(secured, identity);
      if (link === undefined || (strict && link.connection.principal === undefined)) return void secured.destroy();
      this.#emit('connection', secured);
    });
  }

  #await(socket: Socket): void {
    if (this.#pending.size >= MOST_PENDING) for (const oldest of this.#pending) return this.#replace(oldest, socket);
    this.#pending.add(socket);
    socket.once('close', () => this.#pending.delete(socket));
  }

  #replace(oldest: Socket, socket: Socket): void {
    this.#pending.delete(oldest);
    oldest.destroy();
    this.#await(socket);
  }

  /** Destroys a socket that fails, leaves or takes too long, until it is decided. A caller who leaves half-way only ends: http servers keep half-open sockets. */
  #within(ms: number, socket: Socket, more: readonly string[]): () => void {
    const timer = this.#wiring.mesh.clock.after(ms, () => socket.destroy());
    const gone = (): void => {
      timer.cancel();
      socket.destroy();
    };
    const ways = ['error', 'close', 'end', ...more];
    for (const way of ways) socket.once(way, gone);
    return () => {
      timer.cancel();
      for (const way of ways) socket.off(way, gone);
    };
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
