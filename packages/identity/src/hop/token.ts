import { type Algorithm, ALGORITHMS, fits } from '../jws/algorithms.ts';
import { constants, type KeyObject } from 'node:crypto';

// The hop token (HOP_HEADER): a JWS that proves who calls where mutual TLS cannot, because a load balancer or a platform ends TLS in between. Its header
// carries the caller's certificate chain (`x5c`), its payload to whom and when; it is signed with the certificate's key.
//
// It is bound to the audience and to the minute, not to one request: whoever reads it in between can replay it to the same service until it
// ends (LIFETIME + SKEW). What ends TLS is trusted with that, as it is with every request anyway.

/** So that no other token signed by such a key is taken for one (RFC 8725, 3.11). */
export const HOP_TYPE = 'inmesh-hop+jwt';

/** Seconds a token holds. */
export const LIFETIME = 60;

/** Seconds by which the clocks of two workloads may differ. */
export const SKEW = 10;

const NAMES = ['ES256', 'ES384', 'ES512', 'PS256', 'EdDSA'] as const;

/** The one algorithm keys of this kind sign hop tokens by: what a token says of it can only agree. */
export const hopAlgorithm = (key: KeyObject): Algorithm | undefined =>
  NAMES.map((name) => ALGORITHMS.get(name)!).find((algorithm) => fits(algorithm, key));

/** What `sign` and `verify` of node:crypto want besides the key. */
export const signing = ({ pss, hashBytes }: Algorithm) =>
  ({
    // JWS has the two numbers of an ECDSA signature side by side (RFC 7518, 3.4), not in DER.
    dsaEncoding: 'ieee-p1363',
    ...(pss ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: hashBytes } : {}),
  }) as const;

/** An audience as both sides write it: the name of the service, without port, in lower case. */
export const audienceOf = (authority: string): string => authority.toLowerCase().replace(/:\d+$/, '');
