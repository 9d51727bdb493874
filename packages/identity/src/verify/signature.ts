import { createPublicKey, type KeyObject, constants, verify as verifySignature } from 'node:crypto';
import { children, context, DerError, type Element, expect, readBytes, readOid, Tag } from './der.ts';

/** How something was signed. Only what is in the table below exists: no MD5, no SHA-1, no DSA. */
export interface SignatureAlgorithm {
  readonly key: 'rsa' | 'ec' | 'ed25519';
  /** null: the algorithm hashes by itself. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | null;
  readonly pss: boolean;
}

const row = (key: SignatureAlgorithm['key'], hash: SignatureAlgorithm['hash']): SignatureAlgorithm => ({ key, hash, pss: false });

/** By OID in hexadecimal (RFC 4055, RFC 5758, RFC 8410). */
const ALGORITHMS: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ['2a864886f70d01010b', row('rsa', 'sha256')],
  ['2a864886f70d01010c', row('rsa', 'sha384')],
  ['2a864886f70d01010d', row('rsa', 'sha512')],
  ['2a8648ce3d040302', row('ec', 'sha256')],
  ['2a8648ce3d040303', row('ec', 'sha384')],
  ['2a8648ce3d040304', row('ec', 'sha512')],
  ['2b6570', row('ed25519', null)],
]);

const RSASSA_PSS = '2a864886f70d01010a';

const HASHES: ReadonlyMap<string, 'sha256' | 'sha384' | 'sha512'> = new Map([
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
]);

export interface Signature {
  /** undefined: one we do not believe in. */
  readonly algorithm: SignatureAlgorithm | undefined;
  readonly value: Uint8Array;
}

/** Reads the two elements that end a certificate or a revocation list; `inner` is the algorithm as the signed part names it. */
export function readSignature(algorithm: Element | undefined, value: Element | undefined, inner: Element | undefined): Signature {
  const outer = expect(algorithm, Tag.SEQUENCE);
  // RFC 5280, 4.1.1.2: otherwise the algorithm itself would not be signed.
  if (Buffer.compare(outer.whole, expect(inner, Tag.SEQUENCE).whole) !== 0) throw new DerError('it names two signature algorithms');
  const [oid, parameters] = children(outer);
  const name = readOid(oid);
  return { algorithm: name === RSASSA_PSS ? readPss(parameters) : ALGORITHMS.get(name), value: readBytes(value) };
}

/** RFC 4055, 3.1: the hash is SHA-1 unless named. */
function readPss(parameters: Element | undefined): SignatureAlgorithm | undefined {
  const [first] = children(expect(parameters, Tag.SEQUENCE));
  if (first?.tag !== context(0)) return undefined;
  const [oid] = children(expect(children(first)[0], Tag.SEQUENCE));
  const hash = HASHES.get(readOid(oid));
  return hash && { key: 'rsa', hash, pss: true };
}

/** Whether `key` made this signature over `signed`. Never throws. */
export function isSignedBy({ algorithm, value }: Signature, signed: Uint8Array, key: KeyObject): boolean {
  if (algorithm === undefined || key.asymmetricKeyType !== algorithm.key) return false;
  const padding = algorithm.pss ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO } : {};
  try {
    return verifySignature(algorithm.hash, signed, { key, ...padding }, value);
  } catch {
    return false;
  }
}

const CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1']);
const FEWEST_RSA_BITS = 2048;
/** More would only be a way to keep us busy. */
const MOST_RSA_BITS = 8192;

/** The key of a certificate, or why it is not believed in. Never throws. */
export function readKey(spki: Uint8Array): KeyObject | string {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch {
    return 'its key cannot be read';
  }
  return weakness(key) ?? key;
}

/** Why a public key is not believed in, whoever holds it; undefined if it is. */
export function weakness(key: KeyObject): string | undefined {
  const { modulusLength = 0, publicExponent = 0n, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < FEWEST_RSA_BITS) return `its RSA key has ${modulusLength} bits, fewer than ${FEWEST_RSA_BITS}`;
      if (modulusLength > MOST_RSA_BITS) return `its RSA key has ${modulusLength} bits, more than ${MOST_RSA_BITS}`;
      return publicExponent < 3n || publicExponent % 2n === 0n ? `its RSA key has the exponent ${publicExponent}` : undefined;
    case 'ec':
      return CURVES.has(namedCurve) ? undefined : `its key is on the curve ${namedCurve}, not on P-256, P-384 or P-521`;
    case 'ed25519':
      return undefined;
    default:
      return `its key is of the kind ${String(key.asymmetricKeyType)}, not RSA, EC or Ed25519`;
  }
}
