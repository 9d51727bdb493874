import type { Clock } from '../clock.ts';
import type { Principal } from '../peer.ts';
import type { Closeable } from './resolver.ts';

/** What a workload proves itself with, and whom it believes. Immutable: a rotation is a new one. */
export interface Identity {
  readonly principal: Principal;
  /** PEM, leaf first, then intermediates. */
  readonly certificate: string;
  /** PEM. */
  readonly privateKey: string;
  /** Milliseconds since 1970 at which the certificate chain stops being valid. */
  readonly expiresAt: number;
  /** Trust domain → PEM of its roots. Bundles are never merged: an identity is verified against its own domain's only. */
  readonly bundles: ReadonlyMap<string, string>;
  /** PEM of revocation lists, '' if there are none. */
  readonly crl: string;
  /** Changes with anything above. */
  readonly version: string;
}

export type IdentityState =
  | { readonly state: 'ready'; readonly identity: Identity }
  /** What was known before stays in use. */
  | { readonly state: 'failed'; readonly reason: string };

/** Where the workload's certificate comes from. Pushes a complete identity at each rotation until closed; never throws. */
export interface CertificateSource {
  readonly name: string;
  watch(onChange: (state: IdentityState) => void, tools: { readonly clock: Clock; readonly random: () => number }): Closeable;
}

export type VerifiedPeer =
  /** A proven identity. */
  { readonly ok: true; readonly principal: Principal } | { readonly ok: false; readonly reason: string };

/** Decides whether a certificate chain proves a SPIFFE identity. Never throws. */
export interface PeerVerifier {
  /**
   * `chain`: DER, leaf first, as the peer sent it (roots may be missing). `as`: what the peer acts as in this handshake.
   * `now`: milliseconds since 1970. Verified against the bundle of the claimed trust domain only.
   */
  verify(chain: readonly Uint8Array[], identity: Pick<Identity, 'bundles' | 'crl'>, as: 'client' | 'server', now: number): VerifiedPeer;
}
