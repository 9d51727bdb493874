import type { Connection, Principal } from '@inmesh/core';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Credentials } from '../credentials.ts';
import { chainOf } from '../mutual.ts';

const FACTS = Symbol('inmesh.connection');

interface Known {
  [FACTS]?: Connection;
}

/** What is known of a socket; worked out once. A TLS socket that is not ours counts for what its certificate proves. */
export function connectionOf(socket: Socket, credentials: Credentials | undefined, now: number): Connection {
  const known = socket as Socket & Known;
  return (known[FACTS] ??= factsOf(socket, principalOf(socket, credentials, now)));
}

/** Notes who was proven to be at the other end. */
export function proven(socket: Socket, principal: Principal | undefined): void {
  (socket as Socket & Known)[FACTS] = factsOf(socket, principal);
}

function factsOf(socket: Socket, principal: Principal | undefined): Connection {
  const secured = socket as TLSSocket;
  const { servername } = secured as { servername?: string | false };
  return {
    principal,
    remoteAddress: plain(socket.remoteAddress),
    localAddress: plain(socket.localAddress),
    localPort: socket.localPort ?? 0,
    tls: secured.encrypted ?? false,
    sni: typeof servername === 'string' && servername !== '' ? servername : undefined,
  };
}

function principalOf(socket: Socket, credentials: Credentials | undefined, now: number): Principal | undefined {
  const identity = credentials?.identity();
  if (identity === undefined || !('getPeerCertificate' in socket)) return undefined;
  const chain = chainOf((socket as TLSSocket).getPeerCertificate(true));
  if (chain.length === 0) return undefined;
  const verified = credentials!.verifier.verify(chain, identity, 'client', now);
  return verified.ok ? verified.principal : undefined;
}

/** A dual-stack socket writes IPv4 as `::ffff:1.2.3.4`. */
const plain = (address: string | undefined): string => (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '');
