import type { KeyObject } from 'node:crypto';

/** How a token may be signed, and by what key: the algorithm is bound to it (RFC 8725, 3.1). */
export interface Algorithm {
  readonly name: string;
  readonly key: 'rsa' | 'ec' | 'ed25519' | 'secret';
  /** Curve in OpenSSL's words, '' where there is none. */
  readonly curve: string;
  /** null: the algorithm hashes by itself. */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | null;
  /** Bytes of the hash: of a PSS salt, and at least of a secret (RFC 7518, 3.2). */
  readonly hashBytes: number;
  readonly pss: boolean;
}

function row(name: string, key: Algorithm['key'], bits: 256 | 384 | 512, curve = ''): Algorithm {
  return { name, key, curve, hash: key === 'ed25519' ? null : `sha${bits}`, hashBytes: bits / 8, pss: name.startsWith('PS') };
}

/** Those jwt_verify_lib knows (src/jwt.cc). `none` is not among them. */
export const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map(
  [
    row('ES256', 'ec', 256, 'prime256v1'),
    row('ES384', 'ec', 384, 'secp384r1'),
    row('ES512', 'ec', 512, 'secp521r1'),
    row('HS256', 'secret', 256),
    row('HS384', 'secret', 384),
    row('HS512', 'secret', 512),
    row('RS256', 'rsa', 256),
    row('RS384', 'rsa', 384),
    row('RS512', 'rsa', 512),
    row('PS256', 'rsa', 256),
    row('PS384', 'rsa', 384),
    row('PS512', 'rsa', 512),
    row('EdDSA', 'ed25519', 512),
  ].map((algorithm) => [algorithm.name, algorithm]),
);

/** Whether signatures of this algorithm can be made or checked with this key. */
export function fits(algorithm: Algorithm, key: KeyObject): boolean {
  if (key.type === 'secret') return algorithm.key === 'secret' && (key.symmetricKeySize ?? 0) >= algorithm.hashBytes;
  return key.asymmetricKeyType === algorithm.key && (key.asymmetricKeyDetails?.namedCurve ?? '') === algorithm.curve;
}
