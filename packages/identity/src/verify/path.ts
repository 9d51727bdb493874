import type { KeyObject } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import { ANY_USAGE, CLIENT_AUTH, SERVER_AUTH } from './extensions.ts';
import { constraintProblem } from './names.ts';
import { checkRevocation, type RevocationList, role } from './revocation.ts';
import { isSignedBy, readKey } from './signature.ts';

/** A root of a trust domain, with its key. */
export interface Anchor {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

export type Path =
  /** Holds from then until then: the time all its certificates and revocation lists share. */
  { readonly ok: true; readonly from: number; readonly until: number } | { readonly ok: false; readonly reason: string };

interface Link {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

/** A signature costs most; nobody can make us check more of them. */
const MOST_SIGNATURES = 24;

/**
 * Looks for a way from the leaf (first of `chain`) over what the peer sent to one of `anchors`, all of RFC 5280, 6 that concerns us holding
 * along it. A root the peer sent is worth nothing unless it is one of ours. Several ways may exist while roots are exchanged; one is enough.
 */
export function findPath(
  chain: readonly Certificate[],
  anchors: readonly Anchor[],
  lists: readonly RevocationList[],
  as: 'client' | 'server',
  now: number,
): Path {
  const [leaf, ...others] = chain;
  let signatures = 0;
  let failure = 'it was not issued by any of its roots';
  const signs = (issuer: Link, certificate: Certificate): boolean => {
    signatures += 1;
    return isSignedBy(certificate.signature, certificate.signed, issuer.key);
  };

  function climb(below: readonly Link[]): Path | undefined {
    const last = below.at(-1)!.certificate;
    if (last.signature.algorithm === undefined) {
      failure = `${role(below.length - 1)} is signed with an algorithm that is not believed in (SHA-1, MD5, …)`;
      return undefined;
    }
    for (const anchor of anchors) {
      if (anchor.certificate.subject !== last.issuer || signatures >= MOST_SIGNATURES || !signs(anchor, last)) continue;
      const path = judge([...below, anchor], lists, as, now);
      if (path.ok) return path;
      failure = path.reason;
    }
    for (const certificate of others) {
      if (certificate.subject !== last.issuer || below.some((link) => link.certificate === certificate)) continue;
      const key = readKey(certificate.publicKey);
      if (typeof key === 'string') {
        failure = `${role(below.length)}: ${key}`;
        continue;
      }
      if (signatures >= MOST_SIGNATURES || !signs({ certificate, key }, last)) continue;
      const path = climb([...below, { certificate, key }]);
      if (path !== undefined) return path;
    }
    return undefined;
  }

  const key = readKey(leaf!.publicKey);
  if (typeof key === 'string') return { ok: false, reason: key };
  return climb([{ certificate: leaf!, key }]) ?? { ok: false, reason: failure };
}

/** Everything but signatures, which hold already. `links`: leaf first, root last. */
function judge(links: readonly Link[], lists: readonly RevocationList[], as: 'client' | 'server', now: number): Path {
  const path = links.map(({ certificate }) => certificate);
  const refused = (reason: string): Path => ({ ok: false, reason });
  const name = (index: number): string => (index === path.length - 1 ? 'its root' : role(index));
  let from = Number.NEGATIVE_INFINITY;
  let until = Number.POSITIVE_INFINITY;
  // Intermediates so far that count against a path length (RFC 5280, 6.1.4 l): those that are not self-issued.
  let depth = 0;
  for (const [index, certificate] of path.entries()) {
    const { notBefore, notAfter, subject, issuer } = certificate;
    if (now < notBefore) return refused(`${name(index)} is not valid before ${date(notBefore)}`);
    if (now > notAfter) return refused(`${name(index)} expired at ${date(notAfter)}`);
    from = Math.max(from, notBefore);
    until = Math.min(until, notAfter);
    if (index === 0) continue;
    const problem = issuerProblem(certificate, index === path.length - 1, depth, as);
    if (problem !== undefined) return refused(`${name(index)} ${problem}`);
    const { nameConstraints } = certificate;
    for (const below of nameConstraints === undefined ? [] : path.slice(0, index)) {
      const wrong = constraintProblem(nameConstraints!, below);
      if (wrong !== undefined) return refused(`${name(index)} ${wrong}`);
    }
    if (subject !== issuer) depth += 1;
  }
  const keys = links.map(({ key }) => key);
  const revocation = checkRevocation(path, keys, lists, now);
  return revocation.ok ? { ok: true, from, until: Math.min(until, revocation.until) } : refused(revocation.reason);
}

/** Why this one cannot have issued what stands below it; undefined if it can. A root may lack a key usage: it is believed because we were told to. */
function issuerProblem(certificate: Certificate, isRoot: boolean, depth: number, as: 'client' | 'server'): string | undefined {
  const { basicConstraints, keyUsage, extendedKeyUsage, unknownCritical } = certificate;
  if (unknownCritical) return 'has a critical extension that is not known here';
  if (basicConstraints?.ca !== true) return 'is no CA (basic constraints)';
  if (keyUsage === undefined ? !isRoot : !keyUsage.keyCertSign) return 'may not sign certificates (key usage lacks keyCertSign)';
  const { pathLength } = basicConstraints;
  if (pathLength !== undefined && depth > pathLength) return `allows ${pathLength} intermediates below it, and there are ${depth}`;
  // A CA for some uses only issues for no others, as OpenSSL and Go have it.
  const needed = as === 'server' ? SERVER_AUTH : CLIENT_AUTH;
  if (extendedKeyUsage !== undefined && !extendedKeyUsage.includes(needed) && !extendedKeyUsage.includes(ANY_USAGE)) {
    return `may not issue for a ${as} (extended key usage)`;
  }
  return undefined;
}

const date = (ms: number): string => new Date(ms).toISOString();
