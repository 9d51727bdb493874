import type { Clock, Connection, Principal } from '@inmesh/core';
import type { HeaderOp } from '@inmesh/policy';
import { createHash } from 'node:crypto';
import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** A call under way on a connection. */
export interface Passenger {
  /** Says with its answer that no other call may come on this connection. */
  last(): void;
}

/** Time that calls under way have when the caller they came from is not believed any more. */
const RETIREMENT_MS = 10_000;

/** One accepted connection: who is at its other end, which calls are on it, and how it ends. */
export class Link {
  readonly socket: Socket;
  /** DER, leaf first, as the caller sent it; empty: he has shown no certificate. */
  readonly chain: readonly Uint8Array[];
  /** Milliseconds since 1970 at which the caller's certificate stops being valid; Infinity without one. */
  readonly expiresAt: number;
  connection: Connection;
  /** For programs that read who calls as a sidecar tells it; nothing if nobody is proven. */
  readonly told: readonly HeaderOp[];
  /** HTTP/2 only. */
  session: Http2Session | undefined = undefined;
  #active = 0;
  #latest: Passenger | undefined = undefined;
  #retired = false;

  /** `own`: the identity the caller was shown. */
  constructor(socket: Socket, principal: Principal | undefined, chain: readonly Uint8Array[], expiresAt: number, own = '') {
    this.socket = socket;
    this.chain = chain;
    this.expiresAt = expiresAt;
    this.connection = factsOf(socket, principal);
    this.told = principal === undefined ? NONE : [{ op: 'set', name: XFCC, value: clientCertificate(own, chain[0]!, principal) }];
  }

  /** No longer believed: nothing new is taken. */
  get retired(): boolean {
    return this.#retired;
  }

  enter(call: Passenger): void {
    this.#active += 1;
    this.#latest = call;
  }

  leave(call: Passenger): void {
    this.#active -= 1;
    if (this.#latest === call) this.#latest = undefined;
    if (this.#retired && this.#active === 0 && this.session === undefined) this.socket.destroySoon();
  }

  /** The answer under way says that no other call may come on this connection. */
  last(): void {
    this.#latest?.last();
  }

  /** Ends the connection when the calls on it have ended, or after a while. */
  retire(clock: Clock): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#latest?.last();
    if (this.session !== undefined) this.session.close();
    else if (this.#active === 0) this.socket.destroySoon();
    const timer = clock.after(RETIREMENT_MS, () => this.cut());
    this.socket.once('close', () => timer.cancel());
  }

  cut(): void {
    if (this.session === undefined) this.socket.destroy();
    else this.session.destroy();
  }
}

const NONE: readonly HeaderOp[] = [];
const XFCC = 'x-forwarded-client-cert';

/** Envoy's SANITIZE_SET: one element, of what this connection proves. What came in under the name is nobody's word. */
function clientCertificate(own: string, leaf: Uint8Array, { uri }: Principal): string {
  return `${own === '' ? '' : `By=${own};`}Hash=${createHash('sha256').update(leaf).digest('hex')};URI=${uri}`;
}

function factsOf(socket: Socket, principal: Principal | undefined): Connection {
  const secured = socket as TLSSocket;
  const { servername } = secured as { servername?: string | false };
  return {
    principal,
    remoteAddress: plain(socket.remoteAddress),
    remotePort: socket.remotePort,
    localAddress: plain(socket.localAddress),
    localPort: socket.localPort ?? 0,
    tls: secured.encrypted ?? false,
    sni: typeof servername === 'string' && servername !== '' ? servername : undefined,
  };
}

/** A dual-stack socket writes IPv4 as `::ffff:1.2.3.4`. */
const plain = (address: string | undefined): string => (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '');
