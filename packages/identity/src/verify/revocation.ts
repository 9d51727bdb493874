import type { KeyObject } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import { children, context, DerError, expect, latin1, read, readTime, Tag } from './der.ts';
import { hasCritical } from './extensions.ts';
import { pemBlocks } from './pem.ts';
import { isSignedBy, readSignature, type Signature } from './signature.ts';

/** A certificate revocation list (RFC 5280, 5). */
export interface RevocationList {
  readonly issuer: string;
  readonly signed: Uint8Array;
  readonly signature: Signature;
  readonly thisUpdate: number;
  /** Infinity where the list does not say. */
  readonly nextUpdate: number;
  /** Serials, as `latin1` shows them. */
  readonly revoked: ReadonlySet<string>;
  /** Has an extension that changes what the list means: a delta, or one of several parts. */
  readonly partial: boolean;
}

/** All lists of a PEM text, or why they cannot be read. Never throws. */
export function parseRevocationLists(pem: string): readonly RevocationList[] | string {
  const blocks = pemBlocks(pem, 'X509 CRL');
  if (typeof blocks === 'string') return blocks;
  if (blocks.length === 0 && pem.trim() !== '') return 'it holds no X509 CRL block';
  try {
    return blocks.map(readList);
  } catch (error) {
    if (error instanceof DerError) return `a revocation list is malformed: ${error.message}`;
    throw error;
  }
}

function readList(der: Uint8Array): RevocationList {
  const [signed, algorithm, value, ...more] = children(read(der, Tag.SEQUENCE));
  if (more.length > 0) throw new DerError('it has more than three parts');
  const parts = children(expect(signed, Tag.SEQUENCE));
  const [inner, issuer, thisUpdate, ...rest] = parts[0]?.tag === Tag.INTEGER ? parts.slice(1) : parts;
  const isTime = (tag: number | undefined): boolean => tag === Tag.UTC_TIME || tag === Tag.GENERALIZED_TIME;
  const nextUpdate = isTime(rest[0]?.tag) ? rest.shift() : undefined;
  const entries = rest[0]?.tag === Tag.SEQUENCE ? children(rest.shift()!) : [];
  const extensions = rest[0]?.tag === context(0) ? rest.shift() : undefined;
  if (rest.length > 0) throw new DerError('it has unknown parts');
  const revoked = new Set<string>();
  let partial = hasCritical(extensions);
  for (const entry of entries) {
    const [serial, , entryExtensions] = children(expect(entry, Tag.SEQUENCE));
    revoked.add(latin1(expect(serial, Tag.INTEGER).body));
    // Such as certificateIssuer: the entry is about another CA's certificate.
    partial ||= hasCritical(entryExtensions);
  }
  return {
    issuer: latin1(expect(issuer, Tag.SEQUENCE).whole),
    signed: signed!.whole,
    signature: readSignature(algorithm, value, inner),
    thisUpdate: readTime(thisUpdate),
    nextUpdate: nextUpdate === undefined ? Number.POSITIVE_INFINITY : readTime(nextUpdate),
    revoked,
    partial,
  };
}

export type Revocation =
  /** Not revoked, as far as is known until then. */
  { readonly ok: true; readonly until: number } | { readonly ok: false; readonly reason: string };

/**
 * Whether a link of the path was revoked. As Envoy's `crl`: a path none of whose CAs has a list is not checked, and once one of them has,
 * each must have a current one that it signed; otherwise who can suppress a list could revive what it revokes.
 * `keys`: key of each certificate of the path, leaf first.
 */
export function checkRevocation(
  path: readonly Certificate[],
  keys: readonly KeyObject[],
  lists: readonly RevocationList[],
  now: number,
): Revocation {
  let until = Number.POSITIVE_INFINITY;
  const named = path.slice(0, -1).some(({ issuer }) => lists.some((list) => list.issuer === issuer));
  if (!named) return { ok: true, until };
  for (const [index, certificate] of path.slice(0, -1).entries()) {
    const issuer = path[index + 1]!;
    const own = lists.filter((list) => list.issuer === certificate.issuer && isSignedBy(list.signature, list.signed, keys[index + 1]!));
    // Every list speaks: a fresh one that omits a serial does not take back what another revoked.
    if (own.some(({ revoked }) => revoked.has(certificate.serial))) return { ok: false, reason: `${role(index)} was revoked` };
    const current = own.filter(({ partial, thisUpdate, nextUpdate }) => !partial && thisUpdate <= now && now <= nextUpdate);
    if (current.length === 0 || (issuer.keyUsage !== undefined && !issuer.keyUsage.crlSign)) {
      const found =
        own.length === 0
          ? 'none it signed is configured'
          : current.length === 0
            ? 'those configured are out of date or partial'
            : 'it may not sign any';
      return { ok: false, reason: `no revocation list of the issuer of ${role(index)} can be used: ${found}` };
    }
    until = Math.min(until, Math.max(...current.map(({ nextUpdate }) => nextUpdate)));
  }
  return { ok: true, until };
}

/** What a certificate of a path is, in words; 0 is the leaf. */
export const role = (index: number): string => (index === 0 ? 'its certificate' : `intermediate ${index}`);
