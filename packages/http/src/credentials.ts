import type { Closeable, Identity, PeerVerifier } from '@inmesh/core';

/** What this process proves itself with, and how it checks others: what both sides of mutual TLS need. */
export interface Credentials {
  /** The certificate in use; undefined until there is one. */
  identity(): Identity | undefined;
  /** Hears of each rotation. */
  onIdentity(listener: (identity: Identity) => void): Closeable;
  readonly verifier: PeerVerifier;
}
