import { hash, verify as verifySignature } from 'node:crypto';
import type { Identity, PeerVerifier, VerifiedPeer } from '@inmesh/core';
import { BoundedMap } from '../bounded-map.ts';
import { fromBase64url, splitCompact } from '../jws/compact.ts';
import { type JsonLimits, parseJsonObject } from '../jws/json.ts';
import { parseCertificate } from '../verify/certificate.ts';
import { readKey } from '../verify/signature.ts';
import { audienceOf, HOP_TYPE, hopAlgorithm, LIFETIME, signing, SKEW } from './token.ts';

/**
 * Who sent a hop token. `audiences`: names of services this workload serves, in lower case and without ports. `identity`: whose bundles
 * count. `now`: milliseconds since 1970. Never throws.
 */
export type HopTokenVerifier = (
  token: string,
  audiences: ReadonlySet<string>,
  identity: Pick<Identity, 'bundles' | 'crl'>,
  now: number,
) => VerifiedPeer;

/** A chain of three RSA certificates has half of this; Node takes 16 KiB of headers in all. */
const LONGEST = 12 * 1024;
const LONGEST_CHAIN = 8;
const LIMITS: JsonLimits = { depth: 2, members: 8 };
/** Tokens whose signature was verified: one per caller and half minute. */
const MOST = 1024;

/** What a token says, its signature verified by the key of its own leaf. Whose key that is stands on another page. */
interface Said {
  readonly chain: readonly Uint8Array[];
  readonly audience: string;
  /** Seconds since 1970. */
  readonly from: number;
  readonly until: number;
}

/**
 * Verifies hop tokens by the rules for peers: the chain must lead to a root of the trust domain it claims. Signatures are remembered; time,
 * audience and chain are judged anew each time, so a rotation of roots or a revocation holds at once.
 */
export function hopTokenVerifier(verifier: PeerVerifier): HopTokenVerifier {
  const seen = new BoundedMap<Said>(MOST);
  return (token, audiences, identity, now) => {
    if (token.length > LONGEST) return refused(`it has ${token.length} characters, more than ${LONGEST}`);
    const id = hash('sha256', token, 'base64url');
    const known = seen.get(id);
    const said = known ?? read(token);
    if (typeof said === 'string') return refused(said);
    const problem = mismatch(said, audiences, now);
    if (problem !== undefined) return refused(problem);
    const peer = verifier.verify(said.chain, identity, 'client', now);
    // Remembered only for callers we believe: others must not push those out.
    if (peer.ok && known === undefined) seen.set(id, said);
    return peer;
  };
}

const refused = (reason: string): VerifiedPeer => ({ ok: false, reason: `hop token: ${reason}` });

function mismatch({ audience, from, until }: Said, audiences: ReadonlySet<string>, now: number): string | undefined {
  const seconds = Math.floor(now / 1000);
  if (from > seconds + SKEW) return `it was issued ${from - seconds} s in the future: are the clocks of both workloads right?`;
  if (until + SKEW <= seconds) return `it ended ${seconds - until} s ago`;
  if (!audiences.has(audience)) return `it is for ${JSON.stringify(audience)}, which is not served here`;
  return undefined;
}

function read(token: string): Said | string {
  const parts = splitCompact(token);
  const [header, payload, signature] = (parts ?? []).map(fromBase64url);
  if (parts === undefined || header === undefined || payload === undefined || signature === undefined)
    return 'it is not three parts of base64url';
  const head = parseJsonObject(header, LIMITS);
  const body = parseJsonObject(payload, LIMITS);
  if (head === undefined || body === undefined) return 'its header or payload is no JSON object';
  if (head['typ'] !== HOP_TYPE) return `its typ is not ${HOP_TYPE}`;
  // Only our own signer writes these: anything more is not for us to pass over.
  const strange = [...Object.keys(head), ...Object.keys(body)].find((name) => !MEMBERS.has(name));
  if (strange !== undefined) return `it has an unknown member ${JSON.stringify(strange)}`;
  const chain = chainOf(head['x5c']);
  if (typeof chain === 'string') return chain;
  const times = timesOf(body);
  if (typeof times === 'string') return times;
  const parsed = parseCertificate(chain[0]!);
  if (!parsed.ok) return `its certificate: ${parsed.reason}`;
  const key = readKey(parsed.certificate.publicKey);
  if (typeof key === 'string') return `its certificate: ${key}`;
  const algorithm = hopAlgorithm(key);
  if (algorithm === undefined || head['alg'] !== algorithm.name) return 'its alg is not that of its key';
  const signed = Buffer.from(`${parts[0]}.${parts[1]}`);
  // Both kinds of failure are one: a signature of another length throws for some keys.
  try {
    if (!verifySignature(algorithm.hash, signed, { key, ...signing(algorithm) }, signature)) return WRONG;
  } catch {
    return WRONG;
  }
  return { chain, ...times };
}

const WRONG = 'its signature is not by the key of its certificate';
const MEMBERS: ReadonlySet<string> = new Set(['alg', 'typ', 'x5c', 'aud', 'iat', 'exp', 'jti']);

function chainOf(x5c: unknown): readonly Uint8Array[] | string {
  if (!Array.isArray(x5c) || x5c.length === 0 || x5c.length > LONGEST_CHAIN)
    return `its x5c is not a list of 1 to ${LONGEST_CHAIN} certificates`;
  const chain: Uint8Array[] = [];
  for (const text of x5c as readonly unknown[]) {
    const der = typeof text === 'string' ? Buffer.from(text, 'base64') : undefined;
    if (der === undefined || der.toString('base64') !== text) return 'its x5c holds something that is not base64';
    chain.push(der);
  }
  return chain;
}

function timesOf({ aud, iat, exp, jti }: Readonly<Record<string, unknown>>): Omit<Said, 'chain'> | string {
  if (typeof aud !== 'string' || typeof jti !== 'string' || !isSecond(iat) || !isSecond(exp))
    return 'its aud, iat, exp or jti is missing or malformed';
  // Whoever has the key could write any; one that holds for long was not written by us.
  if (exp <= iat || exp - iat > LIFETIME) return `it holds for ${exp - iat} s, where 1 to ${LIFETIME} are allowed`;
  return { audience: audienceOf(aud), from: iat, until: exp };
}

const isSecond = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
