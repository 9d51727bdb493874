import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { rsaKeys } from '../testing/pki.ts';
import { jwk, jwks, KEYS } from '../testing/tokens.ts';
import { type KeySet, parseKeys } from './keys.ts';

const parse = (text: string, from: 'url' | 'policy' = 'url'): KeySet | string => parseKeys(Buffer.from(text), from);
const kids = (text: string, from?: 'url' | 'policy'): string[] | string => {
  const set = parse(text, from);
  return typeof set === 'string' ? set : set.keys.map(({ kid }) => kid);
};
/** Why a set of this key alone is refused. */
const fault = (key: unknown, from?: 'url' | 'policy'): string =>
  String(kids(jwks(key), from)).replace('none of its 1 keys can be used; key 1: ', '');

/** A modulus with the fingerprint of the generator of CVE-2017-15361: a power of 65537 modulo the product of many small primes. */
function rocaModulus(): string {
  const primes = [2n, 3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n, 29n, 31n, 37n, 41n, 43n, 47n, 53n, 59n, 61n, 67n, 71n, 73n, 79n, 83n, 89n, 97n, 101n,
    103n, 107n, 109n, 113n, 127n, 131n, 137n, 139n, 149n, 151n, 157n, 163n, 167n]; // prettier-ignore
  const product = primes.reduce((all, prime) => all * prime, 1n);
  const modulus = (2n ** 2047n / product + 1n) * product + (65537n ** 5n % product);
  return Buffer.from(modulus.toString(16).padStart(512, '0'), 'hex').toString('base64url');
}

describe('a key set', () => {
  it('has a key of every kind', () => {
    const set = jwks(
      jwk(KEYS.rsa, { kid: 'a', alg: 'PS384', use: 'sig', key_ops: ['verify'], x5t: 'ignored' }), jwk(KEYS.p256, { kid: 'b' }),
      jwk(KEYS.p384, { kid: 'c', alg: 'ES384' }), jwk(KEYS.p521, {}), jwk(KEYS.ed25519, { kid: 'e', alg: 'Ed25519' }),
    ); // prettier-ignore
    expect(kids(set)).toEqual(['a', 'b', 'c', '', 'e']);
  });

  it('leaves out the keys it cannot believe', () => {
    expect(kids(jwks(null, jwk(KEYS.rsa, { kid: 'enc', use: 'enc' }), { kty: 'quantum' }, jwk(KEYS.rsa, { kid: 'good' }), 7))).toEqual([
      'good',
    ]);
  });

  it('two keys of one name are both keys: signatures decide', () => {
    expect(kids(jwks(jwk(KEYS.rsa, { kid: 'a' }), jwk(KEYS.p256, { kid: 'a' })))).toEqual(['a', 'a']);
  });

  it('a key has the same id in every fetch, and another one under another name', () => {
    const ids = (text: string): string[] => [...(parse(text) as KeySet).ids];
    expect(ids(jwks(jwk(KEYS.rsa, { kid: 'a' })))).toEqual(ids(jwks(jwk(KEYS.rsa, { kid: 'a', use: 'sig' }))));
    expect(ids(jwks(jwk(KEYS.rsa, { kid: 'a' })))).not.toEqual(ids(jwks(jwk(KEYS.rsa, { kid: 'b' }))));
    expect(ids(jwks(jwk(KEYS.rsa, { kid: 'a' })))).not.toEqual(ids(jwks(jwk(KEYS.otherRsa, { kid: 'a' }))));
  });

  it.each([
    ['HTML', '<html>', 'it is no JSON object'],
    ['nothing', '', 'it is no JSON object'],
    ['a list', '[]', 'it is no JSON object'],
    ['keys twice', '{"keys":[],"keys":[]}', 'names a member twice'],
    ['a member of a key twice', `{"keys":[{"kty":"RSA","kty":"oct"}]}`, 'names a member twice'],
    ['no keys', '{}', 'it has no list "keys"'],
    ['keys that are an object', '{"keys":{}}', 'it has no list "keys"'],
    ['an empty list', '{"keys":[]}', 'none of its 0 keys can be used'],
    ['10⁴ keys', jwks(...Array.from({ length: 1e4 }, () => ({}))), 'it has 10000 keys, more than 256'],
  ])('is not %s', (_, text, reason) => {
    expect(kids(text)).toContain(reason);
  });
});

describe('a key is refused', () => {
  const rsa = jwk(KEYS.rsa) as { n: string; e: string };
  const p256 = jwk(KEYS.p256) as { x: string; y: string };
  it.each([
    ['that is no object', 'x', 'it is no object'],
    ['for encryption', jwk(KEYS.rsa, { use: 'enc' }), 'it is for "enc", not for signatures'],
    ['that may only sign', jwk(KEYS.rsa, { key_ops: ['sign'] }), 'it is not for verifying (key_ops)'],
    ['whose kid is a number', jwk(KEYS.rsa, { kid: 1 }), 'its kid is not a string'],
    ['of another kind than its alg', jwk(KEYS.rsa, { alg: 'ES256' }), 'its alg "ES256" is not for such a key'],
    ['of another curve than its alg', jwk(KEYS.p256, { alg: 'ES384' }), 'its alg "ES384" is not for such a key'],
    ['for an HMAC, though it is public', jwk(KEYS.rsa, { alg: 'HS256' }), 'its alg "HS256" is not for such a key'],
    ['for no algorithm at all', jwk(KEYS.rsa, { alg: 'none' }), 'its alg "none" is not for such a key'],
    ['whose alg is a list', jwk(KEYS.rsa, { alg: ['RS256'] }), 'its alg ["RS256"] is not for such a key'],
    ['that is private', KEYS.rsa.privateKey.export({ format: 'jwk' }), 'it holds a private key, which is private no more'],
    ['that is a private EC key', KEYS.p256.privateKey.export({ format: 'jwk' }), 'it holds a private key, which is private no more'],
    ['that is symmetric', { kty: 'oct', k: 'A'.repeat(43) }, 'it is symmetric, and whoever can fetch it could sign with it'],
    ['of 1024 bits', jwk(rsaKeys(1024)), 'its RSA key has 1024 bits, fewer than 2048'],
    ['with exponent 1', { ...rsa, e: 'AQ' }, 'its RSA key has the exponent 1'],
    ['with an even exponent', { ...rsa, e: 'BA' }, 'its RSA key has the exponent 4'],
    ['whose modulus can be factored', { ...rsa, n: rocaModulus() }, 'its modulus can be factored (CVE-2017-15361)'],
    ['without a modulus', { kty: 'RSA', e: 'AQAB' }, 'it lacks n or e'],
    ['beside its curve', { ...p256, y: p256.x }, 'it cannot be read'],
    ['on an unknown curve', { ...p256, crv: 'P-257' }, 'it cannot be read'],
    ['on a curve of coins', jwk(generateKeyPairSync('ec', { namedCurve: 'secp256k1' })), 'its key is on the curve secp256k1, not on P-256, P-384 or P-521'],
    ['of Ed448', jwk(generateKeyPairSync('ed448')), 'its key is of the kind ed448, not RSA, EC or Ed25519'],
    ['for key agreement', jwk(generateKeyPairSync('x25519')), 'its key is of the kind x25519, not RSA, EC or Ed25519'],
    ['of an unknown kind', { kty: 'AKP' }, 'its kty is "AKP", not RSA, EC or OKP'],
    ['of no kind', {}, 'its kty is undefined, not RSA, EC or OKP'],
  ])('%s', (_, key, reason) => {
    expect(fault(key)).toBe(reason);
  }); // prettier-ignore

  it('symmetric, in the policy itself: if it is shorter than a hash', () => {
    expect(kids(jwks({ kty: 'oct', k: 'A'.repeat(43), kid: 'a' }), 'policy')).toEqual(['a']);
    expect(fault({ kty: 'oct', k: 'A'.repeat(42) }, 'policy')).toBe('it is too short for any algorithm');
    expect(fault({ kty: 'oct', k: 'A'.repeat(43), alg: 'HS512' }, 'policy')).toBe('its alg "HS512" is not for such a key');
    expect(fault({ kty: 'oct', k: '' }, 'policy')).toBe('it has no k');
  });
});
