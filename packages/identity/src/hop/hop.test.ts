import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Identity, VerifiedPeer } from '@inmesh/core';
import { fakeClock } from '@inmesh/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DAY, type Keys, NOW, rsaKeys, testCrl, testIntermediate, testLeaf, testRoot } from '../testing/pki.ts';
import { toIdentity } from '../certificates/identity.ts';
import { base64url } from '../testing/tokens.ts';
import { peerVerifier } from '../verify/verifier.ts';
import { hopTokenSigner } from './signer.ts';
import { hopTokenVerifier } from './verifier.ts';

const WEB = 'spiffe://td/ns/shop/sa/web';
const SECONDS = NOW / 1000;
const root = testRoot({ notAfter: NOW + 100 * DAY });
const ca = testIntermediate(root, { notAfter: NOW + 50 * DAY });
const web = testLeaf(ca, WEB);

function identityOf(leaf = web, issuer = ca, trusted = root): Identity {
  const privateKey = leaf.keys.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const made = toIdentity({ certificate: leaf.pem + issuer.pem, privateKey, roots: trusted.pem }, NOW);
  if (!made.ok) throw new Error(made.reason);
  return made.identity;
}

const identity = identityOf();
const clock = fakeClock({ wall: NOW });
const token = hopTokenSigner(() => identity, clock)('reviews.shop.svc')!;
const served = new Set(['reviews', 'reviews.shop.svc']);

const told = (peer: VerifiedPeer): string => (peer.ok ? peer.principal.uri : peer.reason);
const verify = (
  text: string,
  { now = NOW, audiences = served as ReadonlySet<string>, trusting = identity as Pick<Identity, 'bundles' | 'crl'> } = {},
): string => told(hopTokenVerifier(peerVerifier())(text, audiences, trusting, now));

const [head, body, signature] = token.split('.') as [string, string, string];
const decode = (part: string): Record<string, unknown> => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;

/** A token signed by whoever, saying whatever. */
function forge({ header = {}, payload = {}, key = web.keys.privateKey, hash = 'sha256' }: {
  readonly header?: object; readonly payload?: object; readonly key?: KeyObject; readonly hash?: string | null;
}): string {
  const signed = `${base64url({ ...decode(head), ...header })}.${base64url({ ...decode(body), ...payload })}`;
  return `${signed}.${sign(hash, Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
} // prettier-ignore

describe('a hop token', () => {
  it('proves who calls', () => {
    expect(verify(token)).toBe(WEB);
    expect(verify(forge({}))).toBe(WEB);
  });

  it.each([
    ['EC P-384', generateKeyPairSync('ec', { namedCurve: 'P-384' }), 'ES384'],
    ['EC P-521', generateKeyPairSync('ec', { namedCurve: 'P-521' }), 'ES512'],
    ['RSA', rsaKeys(2048), 'PS256'],
    ['Ed25519', generateKeyPairSync('ed25519'), 'EdDSA'],
  ] as const)('is signed by %s keys too', (_, keys: Keys, alg) => {
    const other = identityOf(testLeaf(ca, WEB, { keys }));
    const made = hopTokenSigner(() => other, clock)('reviews')!;
    expect(decode(made.split('.')[0]!)['alg']).toBe(alg);
    expect(verify(made)).toBe(WEB);
  });

  it('fits into a header', () => {
    expect(token.length).toBeLessThan(3000);
    expect(token).toMatch(/^[\w.-]+$/);
  });

  it('is for one service, whatever the port and case it is called by', () => {
    const signer = hopTokenSigner(() => identity, clock);
    expect(verify(signer('Reviews:8080')!)).toBe(WEB);
    expect(verify(signer('details')!)).toBe('hop token: it is for "details", which is not served here');
    expect(verify(token, { audiences: new Set() })).toContain('which is not served here');
  });

  it('holds for a minute, and ten seconds more for clocks that differ', () => {
    expect(verify(token, { now: NOW + 69_999 })).toBe(WEB);
    expect(verify(token, { now: NOW + 70_000 })).toBe('hop token: it ended 10 s ago');
    expect(verify(token, { now: NOW - 10_000 })).toBe(WEB);
    expect(verify(token, { now: NOW - 11_000 })).toBe(
      'hop token: it was issued 11 s in the future: are the clocks of both workloads right?',
    );
  });

  it.each([
    ['for two minutes', { exp: SECONDS + 120 }, 'it holds for 120 s, where 1 to 60 are allowed'],
    ['for no time', { exp: SECONDS }, 'it holds for 0 s'],
    ['backwards', { exp: SECONDS - 5 }, 'it holds for -5 s'],
    ['for ever', { exp: undefined }, 'its aud, iat, exp or jti is missing or malformed'],
    ['from a text on', { iat: String(SECONDS) }, 'its aud, iat, exp or jti is missing or malformed'],
    ['from a fraction on', { iat: SECONDS + 0.5 }, 'its aud, iat, exp or jti is missing or malformed'],
    ['for several services', { aud: ['reviews', 'details'] }, 'its aud, iat, exp or jti is missing or malformed'],
    ['without a number', { jti: undefined }, 'its aud, iat, exp or jti is missing or malformed'],
    ['and says more than it may', { admin: true }, 'it has an unknown member "admin"'],
  ])('its own workload cannot make one that holds %s', (_, payload, reason) => {
    expect(verify(forge({ payload }))).toContain(reason);
  });
});

describe('whom it proves', () => {
  const chain = (...parts: readonly { readonly der: Uint8Array }[]): { x5c: string[] } => ({
    x5c: parts.map(({ der }) => Buffer.from(der).toString('base64')),
  });

  it('a chain of another root is nobody', () => {
    const otherRoot = testRoot();
    const otherCa = testIntermediate(otherRoot);
    const evil = testLeaf(otherCa, WEB);
    const made = hopTokenSigner(() => identityOf(evil, otherCa, otherRoot), clock)('reviews')!;
    expect(verify(made)).toMatch(/^spiffe:\/\/td\/ns\/shop\/sa\/web: /);
  });

  it('a trust domain that is not trusted is nobody', () => {
    const foreign = testLeaf(ca, 'spiffe://other/ns/shop/sa/web');
    expect(verify(forge({ header: chain(foreign, ca), key: foreign.keys.privateKey }))).toContain(
      'trust domain "other" is not trusted here',
    );
  });

  it('a stolen chain is of no use without its key', () => {
    const mine = testLeaf(ca, 'spiffe://td/ns/shop/sa/mine');
    expect(verify(forge({ key: mine.keys.privateKey }))).toBe('hop token: its signature is not by the key of its certificate');
    expect(verify(forge({ header: chain(mine, web, ca) }))).toBe('hop token: its signature is not by the key of its certificate');
    expect(verify(forge({ header: chain(web, ca), key: ca.keys.privateKey }))).toBe(
      'hop token: its signature is not by the key of its certificate',
    );
  });

  it('a CA is nobody', () => {
    expect(verify(forge({ header: chain(ca), key: ca.keys.privateKey }))).not.toMatch(/^spiffe:\/\/td\/ns\/shop\/sa\/web$/);
  });

  it('an expired certificate, a revoked one and a root no longer trusted are nobody, known token or not', () => {
    const verifier = hopTokenVerifier(peerVerifier());
    expect(told(verifier(token, served, identity, NOW))).toBe(WEB);
    expect(told(verifier(token, served, { bundles: new Map([['td', testRoot().pem]]), crl: '' }, NOW))).not.toBe(WEB);
    expect(told(verifier(token, served, { ...identity, crl: testCrl(ca, [web]) + testCrl(root, []) }, NOW))).toContain('revoked');
    const brief = testLeaf(ca, WEB, { notAfter: NOW + 5000 });
    const made = hopTokenSigner(() => identityOf(brief), clock)('reviews')!;
    expect(told(verifier(made, served, identity, NOW))).toBe(WEB);
    expect(told(verifier(made, served, identity, NOW + 6000))).toContain('expired');
  });

  it.each([
    ['none', 'none'], ['a hash of another length', 'ES384'], ['an HMAC', 'HS256'], ['another kind', 'RS256'], ['a number', 1],
  ])('alg confusion: %s', (_, alg) => {
    expect(verify(forge({ header: { alg } }))).toBe('hop token: its alg is not that of its key');
  }); // prettier-ignore

  it.each([
    ['no text', '', 'it is not three parts of base64url'],
    ['two parts', `${head}.${body}`, 'it is not three parts of base64url'],
    ['padding', `${token}=`, 'it is not three parts of base64url'],
    ['no signature', `${head}.${body}.`, 'it is not three parts of base64url'],
    ['no header', `${base64url('x')}.${body}.${signature}`, 'its header or payload is no JSON object'],
    ['a payload with a name twice', `${head}.${base64url('{"aud":"reviews","aud":"details"}')}.${signature}`, 'its header or payload is no JSON object'],
    ['another type', forge({ header: { typ: 'JWT' } }), 'its typ is not inmesh-hop+jwt'],
    ['no type', forge({ header: { typ: undefined } }), 'its typ is not inmesh-hop+jwt'],
    ['a critical extension', forge({ header: { crit: ['exp'] } }), 'it has an unknown member "crit"'],
    ['a key of its own', forge({ header: { jwk: {} } }), 'it has an unknown member "jwk"'],
    ['no chain', forge({ header: { x5c: [] } }), 'its x5c is not a list of 1 to 8 certificates'],
    ['a chain that is a text', forge({ header: { x5c: 'AAAA' } }), 'its x5c is not a list of 1 to 8 certificates'],
    ['nine certificates', forge({ header: { x5c: Array(9).fill('AAAA') } }), 'its x5c is not a list of 1 to 8 certificates'],
    ['a certificate that is no base64', forge({ header: { x5c: ['*'] } }), 'its x5c holds something that is not base64'],
    ['a certificate that is none', forge({ header: { x5c: ['AAAA'] } }), 'its certificate: '],
    ['a megabyte', 'x'.repeat(2 ** 20), 'it has 1048576 characters, more than 12288'],
  ])('%s is no token', (_, text, reason) => {
    expect(verify(text)).toContain(`hop token: ${reason}`);
  }); // prettier-ignore

  it("one changed character makes it nobody's, and no text makes it throw", () => {
    const verifier = hopTokenVerifier(peerVerifier());
    expect(verifier(token, served, identity, NOW).ok).toBe(true);
    fc.assert(
      fc.property(
        fc.nat(token.length - 1),
        fc.oneof(fc.constantFrom(...Array.from('AZaz09-_.=')), fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })),
        (index, one) => {
          const changed = token.slice(0, index) + one + token.slice(index + 1);
          expect(verifier(changed, served, identity, NOW).ok).toBe(changed === token);
        },
      ),
      { numRuns: 500 },
    );
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !verifier(text, served, identity, NOW).ok));
  });
});

describe('signing', () => {
  it('happens once in half a minute per service', () => {
    const time = fakeClock({ wall: NOW });
    const signer = hopTokenSigner(() => identity, time);
    const first = signer('reviews');
    expect(signer('reviews:80')).toBe(first);
    expect(signer('details')).not.toBe(first);
    time.advance(29_999);
    expect(signer('reviews')).toBe(first);
    time.advance(1);
    const second = signer('reviews')!;
    expect(second).not.toBe(first);
    expect(verify(second, { now: NOW + 89_000 })).toBe(WEB);
  });

  it('follows a rotation at once, and stops where there is nothing to prove', () => {
    const time = fakeClock({ wall: NOW });
    const held: { current?: Identity } = {};
    const signer = hopTokenSigner(() => held.current, time);
    expect(signer('reviews')).toBeUndefined();
    held.current = identity;
    const first = signer('reviews');
    held.current = identityOf(testLeaf(ca, 'spiffe://td/ns/shop/sa/web2'));
    const second = signer('reviews')!;
    expect(second).not.toBe(first);
    expect(verify(second)).toBe('spiffe://td/ns/shop/sa/web2');
    held.current = { ...identity, version: 'broken', privateKey: 'no key' };
    expect(signer('reviews')).toBeUndefined();
  });

  it('never beyond the certificate', () => {
    const time = fakeClock({ wall: NOW });
    const brief = identityOf(testLeaf(ca, WEB, { notAfter: NOW + 10_000 }));
    const signer = hopTokenSigner(() => brief, time);
    expect(decode(signer('reviews')!.split('.')[1]!)['exp']).toBe(SECONDS + 10);
    time.advance(10_000);
    expect(signer('reviews')).toBeUndefined();
  });

  it('a clock set back makes a new token', () => {
    let wall = NOW;
    const signer = hopTokenSigner(() => identity, { ...clock, wall: () => wall });
    const first = signer('reviews');
    wall -= 3600_000;
    expect(decode(signer('reviews')!.split('.')[1]!)['iat']).toBe(SECONDS - 3600);
    expect(first).toBeDefined();
  });

  it('says nothing that is secret', () => {
    expect(createPrivateKey(identity.privateKey).type).toBe('private');
    expect(Object.keys(decode(head)).sort()).toEqual(['alg', 'typ', 'x5c']);
    expect(Object.keys(decode(body)).sort()).toEqual(['aud', 'exp', 'iat', 'jti']);
  });
});
