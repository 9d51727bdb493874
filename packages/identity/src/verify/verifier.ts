import { createHash } from 'node:crypto';
import type { PeerVerifier, Principal, VerifiedPeer } from '@inmesh/core';
import { type Certificate, parseCertificate } from './certificate.ts';
import { claimOf, leafProblem } from './leaf.ts';
import { type Anchor, findPath } from './path.ts';
import { parseRevocationLists, type RevocationList } from './revocation.ts';
import { parseRoots } from './trust.ts';

type Trusted = Parameters<PeerVerifier['verify']>[1];

/** Certificates a peer may send. */
const LONGEST_CHAIN = 8;
/** Proofs kept for one identity of ours: callers of one workload, not of a whole mesh. */
const MOST_PROOFS = 1024;

/** A chain that was verified, and the time it holds for. */
interface Proof {
  readonly principal: Principal;
  readonly from: number;
  readonly until: number;
}

/** Whom one version of an identity believes, parsed as far as it was needed. */
interface Trust {
  readonly crl: string;
  readonly lists: readonly RevocationList[] | string;
  readonly roots: Map<string, readonly Anchor[] | string>;
  readonly proofs: Map<string, Proof>;
}

/**
 * Verifies peers as X509-SVIDs: one URI name that is an identity in Istio's form, a leaf that can only be a leaf, and a path to a root of the
 * trust domain it claims, of no other. Chains that held are remembered with the identity that verified them, so that a rotation forgets
 * them; their time is looked at again on every handshake.
 */
export function peerVerifier(): PeerVerifier {
  // By the bundles, which are made anew with each rotation.
  const trusts = new WeakMap<Trusted['bundles'], Trust>();

  function trustOf({ bundles, crl }: Trusted): Trust {
    let trust = trusts.get(bundles);
    if (trust?.crl !== crl) trusts.set(bundles, (trust = { crl, lists: parseRevocationLists(crl), roots: new Map(), proofs: new Map() }));
    return trust;
  }

  return {
    verify: (chain, identity, as, now) => {
      const trust = trustOf(identity);
      if (chain.length === 0) return refused('it sent no certificate');
      if (chain.length > LONGEST_CHAIN) return refused(`it sent ${chain.length} certificates, more than ${LONGEST_CHAIN}`);
      const key = keyOf(chain, as);
      const known = trust.proofs.get(key);
      if (known !== undefined && known.from <= now && now <= known.until) return { ok: true, principal: known.principal };
      const result = prove(chain, identity, trust, as, now);
      if ('reason' in result) return refused(result.reason);
      remember(trust.proofs, key, result);
      return { ok: true, principal: result.principal };
    },
  };
}

const refused = (reason: string): VerifiedPeer => ({ ok: false, reason });

/** The whole chain, so that a peer that forgets its intermediates fails every time and not only where nobody knew it. */
function keyOf(chain: readonly Uint8Array[], as: 'client' | 'server'): string {
  const hash = createHash('sha256').update(as);
  // Each certificate begins with its own length: no two chains run together into the same bytes.
  for (const der of chain) hash.update(der);
  return hash.digest('base64');
}

function remember(proofs: Map<string, Proof>, key: string, proof: Proof): void {
  proofs.delete(key);
  if (proofs.size >= MOST_PROOFS) proofs.delete(proofs.keys().next().value!);
  proofs.set(key, proof);
}

function prove(
  chain: readonly Uint8Array[],
  { bundles }: Trusted,
  trust: Trust,
  as: 'client' | 'server',
  now: number,
): Proof | { readonly reason: string } {
  if (typeof trust.lists === 'string') return { reason: `the revocation lists configured here cannot be used: ${trust.lists}` };
  const certificates: Certificate[] = [];
  for (const [index, der] of chain.entries()) {
    const parsed = parseCertificate(der);
    if (!parsed.ok) return { reason: `certificate ${index + 1} of ${chain.length}: ${parsed.reason}` };
    certificates.push(parsed.certificate);
  }
  const leaf = certificates[0]!;
  const claim = claimOf(leaf);
  if (!claim.ok) return claim;
  const { principal } = claim;
  const problem = leafProblem(leaf);
  if (problem !== undefined) return { reason: `${principal.uri}: ${problem}` };
  const anchors = rootsOf(principal.trustDomain, bundles, trust);
  if (typeof anchors === 'string') return { reason: `${principal.uri}: ${anchors}` };
  const path = findPath(certificates, anchors, trust.lists, as, now);
  return path.ok ? { principal, from: path.from, until: path.until } : { reason: `${principal.uri}: ${path.reason}` };
}

function rootsOf(trustDomain: string, bundles: Trusted['bundles'], { roots }: Trust): readonly Anchor[] | string {
  const pem = bundles.get(trustDomain);
  if (pem === undefined)
    return `trust domain "${trustDomain}" is not trusted here; those that are: ${[...bundles.keys()].join(', ') || 'none'}`;
  let anchors = roots.get(trustDomain);
  if (anchors === undefined) roots.set(trustDomain, (anchors = parseRoots(pem)));
  if (typeof anchors === 'string') return `the bundle of trust domain "${trustDomain}" cannot be used: ${anchors}`;
  return anchors.length > 0 ? anchors : `the bundle of trust domain "${trustDomain}" is empty, so nobody of it is trusted`;
}
