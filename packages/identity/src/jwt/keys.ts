import { createHash, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { type Algorithm, ALGORITHMS, fits } from '../jws/algorithms.ts';
import { isObject, type JsonLimits, type JsonObject, parseJsonObject } from '../jws/json.ts';
import { weakness } from '../verify/signature.ts';
import { isRoca } from './roca.ts';

/** A key tokens may be signed with. */
export interface TokenKey {
  /** The same for the same key of the same name, across fetches. */
  readonly id: string;
  /** '' = it has no name. */
  readonly kid: string;
  /** The only algorithm it is for; undefined: any that fits. */
  readonly algorithm: Algorithm | undefined;
  readonly key: KeyObject;
}

/** A JSON Web Key Set, of which only what can be believed is left. */
export interface KeySet {
  readonly keys: readonly TokenKey[];
  readonly ids: ReadonlySet<string>;
}

/** Where keys are had from. */
export interface KeySource {
  /** undefined: none yet. */
  readonly current: KeySet | undefined;
  /** What there is after looking again, if it may be looked again; waits for that at most `timeoutMs`. Never rejects. */
  renewed(timeoutMs: number): Promise<KeySet | undefined>;
}

/** More would have every token without a key's name tried against all of them. */
const MOST_KEYS = 256;

const LIMITS: JsonLimits = { depth: 16, members: 32 * MOST_KEYS };

/** Members only the signer may know (RFC 7518, 6). */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth'] as const;

/**
 * Keys of a JWKS text (RFC 7517), or why it has none. A key that cannot be believed is left out, a set without any is refused. Symmetric
 * keys count only where they stand in the policy itself: whoever can fetch one can sign. Never throws.
 */
export function parseKeys(bytes: Uint8Array, from: 'url' | 'policy'): KeySet | string {
  const set = parseJsonObject(bytes, LIMITS);
  if (set === undefined) return 'it is no JSON object, names a member twice, or is larger than a key set may be';
  const { keys: list } = set;
  if (!Array.isArray(list)) return 'it has no list "keys"';
  if (list.length > MOST_KEYS) return `it has ${list.length} keys, more than ${MOST_KEYS}`;
  const keys: TokenKey[] = [];
  const faults: string[] = [];
  for (const [index, jwk] of (list as readonly unknown[]).entries()) {
    const key = readJwk(jwk, from);
    if (typeof key === 'string') faults.push(`key ${index + 1}: ${key}`);
    else keys.push(key);
  }
  if (keys.length === 0) return `none of its ${list.length} keys can be used${faults.length === 0 ? '' : `; ${faults[0]}`}`;
  return { keys, ids: new Set(keys.map(({ id }) => id)) };
}

function readJwk(jwk: unknown, from: 'url' | 'policy'): TokenKey | string {
  if (!isObject(jwk)) return 'it is no object';
  const { kid, alg, use, key_ops: operations } = jwk;
  if (kid !== undefined && typeof kid !== 'string') return 'its kid is not a string';
  if (use !== undefined && use !== 'sig') return `it is for ${JSON.stringify(use)}, not for signatures`;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return 'it is not for verifying (key_ops)';
  if (PRIVATE.some((name) => jwk[name] !== undefined)) return 'it holds a private key, which is private no more';
  const key = readKeyObject(jwk, from);
  if (typeof key === 'string') return key;
  const algorithm = algorithmOf(alg);
  if (algorithm === null || (algorithm !== undefined && !fits(algorithm, key)))
    return `its alg ${JSON.stringify(alg)} is not for such a key`;
  if (![...ALGORITHMS.values()].some((one) => fits(one, key))) return 'it is too short for any algorithm';
  const name = kid ?? '';
  return { id: idOf(name, algorithm, key), kid: name, algorithm, key };
}

/** undefined: it names none; null: none we know. */
function algorithmOf(alg: unknown): Algorithm | undefined | null {
  if (alg === undefined) return undefined;
  if (typeof alg !== 'string') return null;
  // RFC 9864 gave EdDSA with this curve a name of its own.
  return ALGORITHMS.get(alg === 'Ed25519' ? 'EdDSA' : alg) ?? null;
}

function readKeyObject(jwk: JsonObject, from: 'url' | 'policy'): KeyObject | string {
  const { kty, n, e, crv, x, y, k } = jwk;
  switch (kty) {
    case 'oct':
      if (from === 'url') return 'it is symmetric, and whoever can fetch it could sign with it';
      return typeof k === 'string' && k !== '' ? createSecretKey(k, 'base64url') : 'it has no k';
    case 'RSA':
      return typeof n === 'string' && typeof e === 'string' ? publicKey({ kty, n, e }) : 'it lacks n or e';
    case 'EC':
      if (typeof crv !== 'string' || typeof x !== 'string' || typeof y !== 'string') return 'it lacks crv, x or y';
      return publicKey({ kty, crv, x, y });
    case 'OKP':
      return typeof crv === 'string' && typeof x === 'string' ? publicKey({ kty, crv, x }) : 'it lacks crv or x';
    default:
      return `its kty is ${JSON.stringify(kty)}, not RSA, EC or OKP`;
  }
}

function publicKey(jwk: Readonly<Record<string, string>>): KeyObject | string {
  let key: KeyObject;
  try {
    // Points that are not on their curve are found here.
    key = createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    return 'it cannot be read';
  }
  if (jwk['n'] !== undefined && isRoca(Buffer.from(jwk['n'], 'base64url'))) return 'its modulus can be factored (CVE-2017-15361)';
  return weakness(key) ?? key;
}

function idOf(kid: string, algorithm: Algorithm | undefined, key: KeyObject): string {
  const material = key.type === 'secret' ? key.export() : key.export({ type: 'spki', format: 'der' });
  return createHash('sha256')
    .update(JSON.stringify([kid, algorithm?.name ?? '']))
    .update(material)
    .digest('base64url');
}
