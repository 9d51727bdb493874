import type { PeerMetadata, Claims, Connection, Peer, Principal } from '../peer.ts';

/** `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, as policies write it. */
export function testPrincipal(text: string): Principal {
  const [trustDomain = '', , namespace = '', , serviceAccount = ''] = text.split('/');
  return { uri: `spiffe://${text}`, trustDomain, namespace, serviceAccount };
}

export interface TestPeer extends Partial<Omit<Connection, 'principal'>> {
  readonly principal?: string;
  readonly metadata?: PeerMetadata;
  readonly clientAddress?: string;
  readonly claims?: Claims;
}

/** A caller at 10.0.0.9 on port 8080 of 10.0.0.1; in plaintext unless it has a principal. */
export function testPeer({ principal, metadata, clientAddress, claims, ...connection }: TestPeer = {}): Peer {
  const remoteAddress = connection.remoteAddress ?? '10.0.0.9';
  const proven = principal === undefined ? undefined : testPrincipal(principal);
  return {
    connection: {
      principal: proven,
      localAddress: '10.0.0.1',
      localPort: 8080,
      tls: principal !== undefined,
      sni: undefined,
      ...connection,
      remoteAddress,
    },
    principal: proven,
    metadata,
    clientAddress: clientAddress ?? remoteAddress,
    claims,
    policy: '',
  };
}
