import { describe, expect, it } from 'vitest';
import { base64url, CLAIMS, testToken } from '../testing/tokens.ts';
import { LONGEST_TOKEN, parseToken } from './token.ts';

const HEADER = { alg: 'RS256', kid: 'k1' };

const outcome = (text: string): string => {
  const token = parseToken(text);
  return typeof token === 'string' ? token : 'read';
};
const header = (fields: unknown): string => outcome(testToken({ header: fields, alg: 'RS256' }));
const payload = (fields: unknown): string => outcome(testToken({ payload: fields }));
const claims = (fields: object): string => payload({ ...CLAIMS, ...fields });

const FORM = 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections';
const [head, body, signature] = testToken().split('.') as [string, string, string];

describe('a token', () => {
  it('is read', () => {
    expect(parseToken(testToken())).toMatchObject({
      algorithm: { name: 'RS256' }, kid: 'k1', issuer: CLAIMS.iss, audiences: ['shop'], expires: CLAIMS.exp, notBefore: undefined, payload: body, claims: CLAIMS,
    }); // prettier-ignore
  });

  it('need say nothing of itself but its algorithm', () => {
    expect(parseToken(testToken({ header: { alg: 'ES256' }, payload: {}, alg: 'RS256' }))).toMatchObject({
      kid: '', issuer: '', audiences: [], expires: undefined, notBefore: undefined, claims: {},
    }); // prettier-ignore
  });

  it.each([
    ['nothing', '', FORM],
    ['two parts', `${head}.${body}`, FORM],
    ['four parts', `${head}.${body}.${signature}.`, FORM],
    ['five parts, as an encrypted one', 'a.b.c.d.e', FORM],
    ['a JSON serialization', JSON.stringify({ payload: body, protected: head, signature }), FORM],
    ['no header', `.${body}.${signature}`, 'Jwt header is an invalid Base64url encoded'],
    ['no payload', `${head}..${signature}`, 'Jwt payload is an invalid Base64url encoded'],
    ['no signature', `${head}.${body}.`, 'Jwt signature is an invalid Base64url encoded'],
    ['padding', `${head}.${body}.${signature}==`, 'Jwt signature is an invalid Base64url encoded'],
    ['a space at the end', `${testToken()} `, 'Jwt signature is an invalid Base64url encoded'],
    ['a space in the header', `${head.slice(0, 4)} ${head.slice(4)}.${body}.${signature}`, 'Jwt header is an invalid Base64url encoded'],
    ['a question mark in the payload', `${head}.${body}?.${signature}`, 'Jwt payload is an invalid Base64url encoded'],
    ['a header that is no JSON', `${base64url('alg')}.${body}.${signature}`, 'Jwt header is an invalid JSON'],
    ['a header that is a list', `${base64url(['RS256'])}.${body}.${signature}`, 'Jwt header is an invalid JSON'],
    ['a payload that is another token', testToken({ payload: testToken() }), 'Jwt payload is an invalid JSON'],
    ['8 KiB', `${head}.${body}.${'A'.repeat(LONGEST_TOKEN)}`, `Jwt is longer than ${LONGEST_TOKEN} characters`],
  ])('is not %s', (_, text, reason) => {
    expect(outcome(text)).toBe(reason);
  });

  it('of 10⁵ claims or 500 levels is refused before it costs anything', () => {
    const deep = `${'{"a":'.repeat(500)}1${'}'.repeat(500)}`;
    expect(payload(deep)).toBe('Jwt payload is an invalid JSON');
    expect(payload(Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`c${index}`, 1])))).toBe('Jwt payload is an invalid JSON');
    const huge = testToken({ payload: Object.fromEntries(Array.from({ length: 1e5 }, (_, index) => [`c${index}`, 1])) });
    // The quickest of a few: what the machine does besides is not its cost.
    const took = Array.from({ length: 5 }, () => {
      const begun = performance.now();
      expect(outcome(huge)).toContain('longer than');
      return performance.now() - begun;
    });
    expect(Math.min(...took)).toBeLessThan(5);
  });
});

describe('its header', () => {
  it.each(['none', 'None', 'NONE', 'nOnE', '', 'HS1', 'RS1', 'rs256', 'ES256K', 'dir', 'RSA-OAEP', 'Ed25519', '__proto__', 'constructor'])('alg %s is not supported', (alg) => {
    expect(header({ alg })).toBe('Jwt header [alg] is not supported');
  }); // prettier-ignore

  it.each([
    ['no alg', {}, 'Jwt header [alg] field is required and must be a string'],
    ['an alg that is a number', { alg: 256 }, 'Jwt header [alg] field is required and must be a string'],
    ['an alg that is a list', { alg: ['RS256'] }, 'Jwt header [alg] field is required and must be a string'],
    ['an alg that is null', { alg: null }, 'Jwt header [alg] field is required and must be a string'],
    ['an alg twice', '{"alg":"none","alg":"RS256"}', 'Jwt header is an invalid JSON'],
    ['a kid that is a number', { ...HEADER, kid: 1 }, 'Jwt header [kid] field is not a string'],
    ['a kid that is null', { ...HEADER, kid: null }, 'Jwt header [kid] field is not a string'],
    ['critical extensions', { ...HEADER, crit: ['exp'] }, 'Jwt header [crit] names extensions that are not supported'],
    ['an empty list of critical extensions', { ...HEADER, crit: [] }, 'Jwt header [crit] names extensions that are not supported'],
    ['an unencoded payload', { ...HEADER, b64: false, crit: ['b64'] }, 'Jwt header [crit] names extensions that are not supported'],
    ['an unencoded payload nobody calls critical', { ...HEADER, b64: false }, 'Jwt header [b64] is not supported'],
    ['another purpose', { ...HEADER, typ: 'dpop+jwt' }, 'Jwt header [typ] is not that of an access token'],
    ['another purpose in full', { ...HEADER, typ: 'application/Logout+JWT' }, 'Jwt header [typ] is not that of an access token'],
    ['a typ that is a list', { ...HEADER, typ: ['JWT'] }, 'Jwt header [typ] is not that of an access token'],
    ['a nested token', { ...HEADER, cty: 'JWT' }, 'Jwt header [cty] says that it holds another token, which is not supported'],
  ])('with %s is refused', (_, fields, reason) => {
    expect(header(fields)).toBe(reason);
  });

  it.each(['JWT', 'at+jwt', 'application/at+jwt', 'JOSE'])('may say that it is a %s', (typ) => {
    expect(header({ ...HEADER, typ })).toBe('read');
  });
});

describe('its payload', () => {
  it.each([
    ['iss is a list', { iss: ['x'] }, 'Jwt payload [iss] field is not a string'],
    ['sub is null', { sub: null }, 'Jwt payload [sub] field is not a string'],
    ['jti is a number', { jti: 7 }, 'Jwt payload [jti] field is not a string'],
    ['exp is a text', { exp: '9999999999' }, 'Jwt payload [exp] field is not an integer'],
    ['exp has a fraction', { exp: 9999999999.5 }, 'Jwt payload [exp] field is not an integer'],
    ['exp is true', { exp: true }, 'Jwt payload [exp] field is not an integer'],
    ['exp is null', { exp: null }, 'Jwt payload [exp] field is not an integer'],
    ['exp is beyond what a number can hold exactly', { exp: 2 ** 53 }, 'Jwt payload [exp] field is not an integer'],
    ['exp is negative', { exp: -1 }, 'Jwt payload [exp] field must be a positive integer'],
    ['nbf is a text', { nbf: '0' }, 'Jwt payload [nbf] field is not an integer'],
    ['iat is a list', { iat: [1] }, 'Jwt payload [iat] field is not an integer'],
    ['iat is negative', { iat: -5 }, 'Jwt payload [iat] field must be a positive integer'],
    ['aud is an object', { aud: {} }, 'Jwt payload [aud] field is not a string or string list'],
    ['aud is a list of numbers', { aud: [1] }, 'Jwt payload [aud] field is not a string or string list'],
    ['aud has one that is no text', { aud: ['shop', null] }, 'Jwt payload [aud] field is not a string or string list'],
  ])('where %s is refused', (_, fields, reason) => {
    expect(claims(fields)).toBe(reason);
  });

  it.each([
    ['a number no double can hold', '{"exp":1e400}', 'Jwt payload [exp] field is not an integer'],
    ['an issuer twice', '{"iss":"good","iss":"evil"}', 'Jwt payload is an invalid JSON'],
    ['a claim twice further down', '{"a":{"role":"user","role":"admin"}}', 'Jwt payload is an invalid JSON'],
    ['a list', '[]', 'Jwt payload is an invalid JSON'],
    ['null', 'null', 'Jwt payload is an invalid JSON'],
    ['a text', '"x"', 'Jwt payload is an invalid JSON'],
  ])('with %s is refused', (_, text, reason) => {
    expect(payload(text)).toBe(reason);
  });
});
