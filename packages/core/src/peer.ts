/** Who is at the other end of an inbound call, as far as it was proven. */

/** A verified SPIFFE identity in Istio's form `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`. */
export interface Principal {
  readonly uri: string;
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** An accepted connection. Made once, shared by its calls. */
export interface Connection {
  /** Proven by the certificate of the TLS socket; undefined: nobody in particular. */
  readonly principal: Principal | undefined;
  /** Address of the TCP peer, an IPv4-mapped one as IPv4; '' for Unix sockets. */
  readonly remoteAddress: string;
  /** Left out: not known. */
  readonly remotePort?: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly tls: boolean;
  /** Server name of the TLS handshake. */
  readonly sni: string | undefined;
}

export type Claims = Readonly<Record<string, unknown>>;

/** What a workload says of itself, unproven: for telemetry only. */
export interface PeerMetadata {
  readonly workload: string;
  readonly namespace: string;
  readonly cluster: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The caller of one inbound call. */
export interface Peer {
  readonly connection: Connection;
  /** Who calls: proven by the connection, else by a hop token; undefined: nobody in particular. */
  readonly principal: Principal | undefined;
  /** The caller's own account of itself; undefined: none. One object for equal accounts. */
  readonly metadata: PeerMetadata | undefined;
  /** The client behind trusted proxies (X-Forwarded-For); without any, the TCP peer. */
  readonly clientAddress: string;
  /** Payload of the verified token; set by the authenticate filter, undefined without a token. */
  claims: Claims | undefined;
  /** Which policy decided, as `ns[…]-policy[…]-rule[…]`; '' until one did. Set by the authorize filter. */
  policy: string;
}
