import { createPrivateKey, hash, X509Certificate } from 'node:crypto';
import type { Identity } from '@inmesh/core';
import { trustDomainProblem } from '../spiffe/id.ts';
import { type Certificate, parseCertificate } from '../verify/certificate.ts';
import { claimOf, leafProblem } from '../verify/leaf.ts';
import { pemBlocks } from '../verify/pem.ts';
import { parseRevocationLists } from '../verify/revocation.ts';
import { parseRoots } from '../verify/trust.ts';

/** What a source found, all of it PEM. */
export interface Material {
  /** Leaf first, then intermediates. */
  readonly certificate: string;
  readonly privateKey: string;
  /** Of the leaf's own trust domain. */
  readonly roots: string;
  /** Other names of the own trust domain (MeshConfig trustDomainAliases): their identities are verified against the same roots. */
  readonly aliases?: readonly string[];
  /** Federated trust domain → its roots. */
  readonly bundles?: ReadonlyMap<string, string>;
  readonly crl?: string;
}

export type MadeIdentity = { readonly ok: true; readonly identity: Identity } | { readonly ok: false; readonly reason: string };

/** An identity of what was found, or why it is none. Whatever peers would refuse is refused here already, by name, and never replaces a good one. */
export function toIdentity(material: Material, now: number): MadeIdentity {
  const { certificate, privateKey, roots, aliases = [], bundles = new Map(), crl = '' } = material;
  const refused = (reason: string): MadeIdentity => ({ ok: false, reason });
  const chain = parseChain(certificate);
  if (typeof chain === 'string') return refused(chain);
  const leaf = chain[0]!;
  const claim = claimOf(leaf);
  if (!claim.ok) return refused(`the certificate: ${claim.reason}`);
  const { principal } = claim;
  const problem = leafProblem(leaf) ?? keyProblem(leaf, privateKey);
  if (problem !== undefined) return refused(`the certificate of ${principal.uri}: ${problem}`);
  const expiresAt = Math.min(...chain.map(({ notAfter }) => notAfter));
  if (now > expiresAt) return refused(`the certificate of ${principal.uri} expired at ${new Date(expiresAt).toISOString()}`);
  const trusted = new Map([[principal.trustDomain, roots]]);
  for (const [trustDomain, pem] of [...aliases.map((alias) => [alias, roots] as const), ...bundles]) {
    const wrong = trustDomainProblem(trustDomain);
    if (wrong !== undefined) return refused(`trust domain ${JSON.stringify(trustDomain)}: ${wrong}`);
    // Whose roots would count? Bundles are never merged.
    const before = trusted.get(trustDomain);
    if (before !== undefined && before !== pem) return refused(`trust domain "${trustDomain}" has two bundles: its own and another`);
    trusted.set(trustDomain, pem);
  }
  for (const [trustDomain, pem] of trusted) {
    const anchors = parseRoots(pem);
    if (typeof anchors === 'string') return refused(`the roots of trust domain "${trustDomain}": ${anchors}`);
    // A federated domain with an empty bundle has had all its keys revoked; our own would leave us alone in the world.
    if (anchors.length === 0 && trustDomain === principal.trustDomain)
      return refused(`the roots of trust domain "${trustDomain}": none found`);
  }
  const lists = parseRevocationLists(crl);
  if (typeof lists === 'string') return refused(`the revocation lists: ${lists}`);
  const version = hash('sha256', JSON.stringify([certificate, privateKey, [...trusted], crl]), 'base64url').slice(0, 16);
  return { ok: true, identity: { principal, certificate, privateKey, expiresAt, bundles: trusted, crl, version } };
}

function parseChain(pem: string): readonly Certificate[] | string {
  const blocks = pemBlocks(pem, 'CERTIFICATE');
  if (typeof blocks === 'string') return `the certificate: ${blocks}`;
  if (blocks.length === 0) return 'the certificate: no CERTIFICATE block found';
  const chain: Certificate[] = [];
  for (const [index, der] of blocks.entries()) {
    const parsed = parseCertificate(der);
    if (!parsed.ok) return `certificate ${index + 1} of ${blocks.length}: ${parsed.reason}`;
    chain.push(parsed.certificate);
  }
  return chain;
}

/** Why a certificate and a key are no pair: half a rotation, most often. */
export function keyProblem({ der }: Certificate, pem: string): string | undefined {
  try {
    return new X509Certificate(der).checkPrivateKey(createPrivateKey(pem)) ? undefined : 'the private key is that of another certificate';
  } catch {
    return /ENCRYPTED/.test(pem) ? 'the private key is encrypted, and nobody here knows its password' : 'the private key cannot be read';
  }
}
