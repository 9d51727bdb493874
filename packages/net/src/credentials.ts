import type { Closeable, HopProof, Identity, PeerVerifier } from '@inmesh/core';

/** What this process proves itself with, and how it checks others: what both sides of mutual TLS need. */
export interface Credentials {
  /** The certificate in use; undefined until there is one. */
  identity(): Identity | undefined;
  /** Hears of each rotation. */
  onIdentity(listener: (identity: Identity) => void): Closeable;
  readonly verifier: PeerVerifier;
  /** Proves who calls where TLS ends in between; undefined: such tokens are neither sent nor believed. */
  readonly hops: HopTokens | undefined;
}

export interface HopTokens {
  /** A token for a service (FQDN); undefined: nothing can be proven at the moment. */
  readonly sign: (service: string) => string | undefined;
  readonly verify: HopProof;
}
