import type { MeshEvent, TokenOutcome, TokenVerifier } from '@inmesh/core';
import { fakeClock } from '@inmesh/core/testing';
import type { JwtRule } from '@inmesh/policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { base64url, CLAIMS, ISSUER, jwk, jwks, KEYS, type Pair, SECONDS, testRule, testToken, type TokenSpec } from '../testing/tokens.ts';
import { tokenVerifiers } from './verifiers.ts';

const at = (seconds: number) => fakeClock({ wall: seconds * 1000 });

function prepare(rules: readonly JwtRule[], clock = at(SECONDS)): { verifier: TokenVerifier; events: MeshEvent[] } {
  const events: MeshEvent[] = [];
  const tools = { clock, random: () => 0.5, onEvent: (event: MeshEvent) => void events.push(event) };
  return { verifier: tokenVerifiers().prepare(rules, tools), events };
}

/** 'ok', or status and reason. */
const told = (outcome: TokenOutcome): string => (outcome.ok ? 'ok' : `${outcome.status} ${outcome.reason}`);

async function judge(token: string, rules: readonly JwtRule[] = [testRule()], clock = at(SECONDS)): Promise<string> {
  return told(await prepare(rules, clock).verifier.verify(token, rules));
}
const inline = (...keys: readonly unknown[]): Pick<JwtRule, 'keys'> => ({ keys: { kind: 'inline', jwks: jwks(...keys) } });

const FAILS = '401 Jwt verification fails';
const NO_KEY = "401 Jwks doesn't have key to match kid or alg from Jwt";

describe('a good token', () => {
  it('is believed, with what it says', async () => {
    const rules = [testRule({ spaceDelimitedClaims: ['roles', '__proto__'] })];
    const claims = {
      ...CLAIMS,
      scope: 'read  write',
      permission: 'one',
      roles: 'a b',
      other: 'a b',
      groups: ['x y'],
      deep: { scope: 'a b' },
    };
    const token = testToken({ payload: claims });
    const outcome = await prepare(rules).verifier.verify(token, rules);
    expect(outcome).toEqual({
      ok: true, rule: rules[0], payload: token.split('.')[1], original: claims,
      claims: { ...claims, scope: ['read', 'write'], permission: ['one'], roles: ['a', 'b'] },
    }); // prettier-ignore
  });

  it.each([
    ['RS256', KEYS.rsa], ['RS384', KEYS.rsa], ['RS512', KEYS.rsa], ['PS256', KEYS.rsa], ['PS384', KEYS.rsa], ['PS512', KEYS.rsa],
    ['ES256', KEYS.p256], ['ES384', KEYS.p384], ['ES512', KEYS.p521], ['EdDSA', KEYS.ed25519],
  ] as const)('may be signed by %s', async (alg, pair: Pair) => {
    const token = testToken({ header: { alg, kid: 'k1' }, key: pair.privateKey });
    expect(await judge(token, [testRule(inline(jwk(pair, { kid: 'k1' })))])).toBe('ok');
    expect(await judge(token, [testRule(inline(jwk(pair, { kid: 'k1', alg })))])).toBe('ok');
  }); // prettier-ignore

  it('may be signed by a secret that stands in the policy itself', async () => {
    const secret = Buffer.alloc(32, 7);
    const rules = [testRule(inline({ kty: 'oct', k: secret.toString('base64url') }))];
    expect(await judge(testToken({ header: { alg: 'HS256' }, key: secret }), rules)).toBe('ok');
    expect(await judge(testToken({ header: { alg: 'HS256' }, key: Buffer.alloc(32, 8) }), rules)).toBe(FAILS);
    // Too short for that hash (RFC 7518, 3.2).
    expect(await judge(testToken({ header: { alg: 'HS512' }, key: secret }), rules)).toBe(FAILS);
  });

  it('holds within a minute of its times', async () => {
    const token = (fields: object): string => testToken({ payload: { ...CLAIMS, ...fields } });
    expect(await judge(token({ exp: SECONDS - 59 }))).toBe('ok');
    expect(await judge(token({ exp: SECONDS - 60 }))).toBe('ok');
    expect(await judge(token({ exp: SECONDS - 61 }))).toBe('401 Jwt is expired');
    expect(await judge(token({ exp: 0 }))).toBe('401 Jwt is expired');
    expect(await judge(token({ exp: undefined }))).toBe('ok');
    expect(await judge(token({ nbf: SECONDS + 60 }))).toBe('ok');
    expect(await judge(token({ nbf: SECONDS + 61 }))).toBe('401 Jwt not yet valid');
    expect(await judge(token({ iat: SECONDS + 5000 }))).toBe('ok');
  });
});

describe('the issuer', () => {
  it.each([
    ['another', 'https://evil.test'], ['with a slash more', `${ISSUER}/`], ['in upper case', ISSUER.toUpperCase()], ['a prefix', ISSUER.slice(0, -1)], ['with more behind', `${ISSUER}.evil.test`],
    ['empty', ''], ['none', undefined],
  ])('%s is not configured', async (_, iss) => {
    expect(await judge(testToken({ payload: { ...CLAIMS, iss } }))).toBe('401 Jwt issuer is not configured');
  }); // prettier-ignore

  it('may be any where the rule names none', async () => {
    expect(await judge(testToken({ payload: { ...CLAIMS, iss: 'anyone' } }), [testRule({ issuer: '' })])).toBe('ok');
    expect(await judge(testToken({ payload: {} }), [testRule({ issuer: '' })])).toBe('ok');
  });

  it('counts only where its rule looks for tokens', async () => {
    const here = testRule();
    const elsewhere = testRule({ issuer: 'https://other.test', locations: [{ in: 'query', name: 't' }] });
    const { verifier } = prepare([here, elsewhere]);
    const token = testToken({ payload: { ...CLAIMS, iss: 'https://other.test' } });
    expect(told(await verifier.verify(token, [here]))).toBe('401 Jwt issuer is not configured');
    expect(told(await verifier.verify(token, [elsewhere]))).toBe('ok');
    expect(told(await verifier.verify(token, [here]))).toBe('401 Jwt issuer is not configured');
  });

  it('may have two rules: one that holds is enough, and none may lend its key to another', async () => {
    const rules = [testRule({ audiences: ['shop'], ...inline(jwk(KEYS.otherRsa)) }), testRule({ audiences: ['bank'] })];
    const token = (aud: string, pair: Pair): string =>
      testToken({ header: { alg: 'RS256' }, payload: { ...CLAIMS, aud }, key: pair.privateKey });
    expect(await judge(token('shop', KEYS.otherRsa), rules)).toBe('ok');
    expect(await judge(token('bank', KEYS.rsa), rules)).toBe('ok');
    expect(await judge(token('shop', KEYS.rsa), rules)).toBe(FAILS);
    expect(await judge(token('bank', KEYS.otherRsa), rules)).toBe(FAILS);
    expect(await judge(token('elsewhere', KEYS.rsa), rules)).toBe('403 Audiences in Jwt are not allowed');
  });

  it('of a rule nobody prepared is unknown', async () => {
    const { verifier } = prepare([testRule()]);
    expect(told(await verifier.verify(testToken(), [testRule({ audiences: ['shop'] })]))).toBe('401 Jwt issuer is not configured');
    expect(told(await verifier.verify(testToken(), []))).toBe('401 Jwt issuer is not configured');
  });
});

describe('audiences', () => {
  const judged = (aud: unknown, ...audiences: readonly string[]): Promise<string> =>
    judge(testToken({ payload: { ...CLAIMS, aud } }), [testRule({ audiences })]);
  const NOT = '403 Audiences in Jwt are not allowed';

  it.each([
    ['any', 'x', []], ['any, and none is named', undefined, []], ['the one', 'shop', ['shop']], ['one of two', 'b', ['a', 'b']], ['one of the two of the token', ['x', 'b'], ['a', 'b']],
    ['but for its scheme', 'https://shop.test', ['shop.test']], ['but for the scheme of the rule', 'shop.test', ['http://shop.test']],
    ['but for both schemes', 'http://shop.test', ['https://shop.test']], ['but for a slash', 'https://shop.test/', ['shop.test']], ['but for the slash of the rule', 'shop.test', ['https://shop.test/']],
  ] as const)('%s', async (_, aud, audiences) => {
    expect(await judged(aud, ...audiences)).toBe('ok');
  }); // prettier-ignore

  it.each([
    ['another', 'x', ['shop']], ['none', undefined, ['shop']], ['an empty list', [], ['shop']], ['two slashes', 'shop//', ['shop']], ['another scheme', 'ftp://shop', ['shop']],
    ['upper case', 'SHOP', ['shop']], ['a longer one', 'shop.evil', ['shop']], ['a path more', 'shop/x', ['shop']],
  ] as const)('not %s', async (_, aud, audiences) => {
    expect(await judged(aud, ...audiences)).toBe(NOT);
  }); // prettier-ignore
});

describe('the order of what is looked at', () => {
  it('form, issuer, time, audience, signature', async () => {
    const rules = [testRule({ audiences: ['shop'] })];
    const wrong = { iss: 'x', exp: 1, aud: 'x' };
    const forged = (payload: object): Promise<string> => judge(testToken({ payload, key: KEYS.otherRsa.privateKey }), rules);
    expect(await judge(testToken({ header: { alg: 'none' }, payload: wrong }), rules)).toBe('401 Jwt header [alg] is not supported');
    expect(await forged(wrong)).toBe('401 Jwt issuer is not configured');
    expect(await forged({ ...wrong, iss: ISSUER })).toBe('401 Jwt is expired');
    expect(await forged({ iss: ISSUER, aud: 'x' })).toBe('403 Audiences in Jwt are not allowed');
    expect(await forged({ iss: ISSUER, aud: 'shop' })).toBe(FAILS);
  });
});

describe('attacks', () => {
  const PEM = KEYS.rsa.publicKey.export({ type: 'spki', format: 'pem' }) as string;
  const attacker = jwk(KEYS.otherRsa);
  const byAttacker = (header: object): TokenSpec => ({ header: { alg: 'RS256', ...header }, key: KEYS.otherRsa.privateKey });
  const [head, body, signature] = testToken().split('.') as [string, string, string];

  it.each<readonly [string, string, string]>([
    ...['none', 'None', 'NONE', 'nOnE'].map((alg) => [`alg ${alg}`, `${base64url({ alg, kid: 'k1' })}.${body}.`, '401 Jwt header [alg] is not supported'] as const),
    ['alg none, with a signature', `${base64url({ alg: 'none' })}.${body}.${signature}`, '401 Jwt header [alg] is not supported'],
    ['no signature', `${head}.${body}.`, '401 Jwt signature is an invalid Base64url encoded'],
    ['a signature of one byte', `${head}.${body}.AA`, FAILS],
    ['the public key as a secret (CVE-2016-10555)', testToken({ header: { alg: 'HS256', kid: 'k1' }, key: PEM }), FAILS],
    ['the public key as a secret, without its last line', testToken({ header: { alg: 'HS256' }, key: PEM.trim() }), FAILS],
    ['the modulus as a secret', testToken({ header: { alg: 'HS256' }, key: Buffer.from((jwk(KEYS.rsa) as { n: string }).n, 'base64url') }), FAILS],
    ['an empty secret (CVE-2019-20933)', testToken({ header: { alg: 'HS256', kid: 'k1' }, key: '' }), FAILS],
    ['a known secret', testToken({ header: { alg: 'HS512', kid: 'k1' }, key: 'secret' }), FAILS],
    ['an RSA key where an EC key is claimed', testToken({ header: { alg: 'ES256', kid: 'k1' }, key: KEYS.p256.privateKey }), FAILS],
    ['a key in the header (CVE-2018-0114)', testToken(byAttacker({ jwk: attacker })), FAILS],
    ['a key in the header, under our name', testToken(byAttacker({ kid: 'k1', jwk: { ...attacker, kid: 'k1' } })), FAILS],
    ['the address of keys in the header', testToken(byAttacker({ kid: 'k1', jku: 'http://evil.test/keys' })), FAILS],
    ['a certificate in the header', testToken(byAttacker({ kid: 'k1', x5c: ['AAAA'], x5u: 'http://evil.test/cert' })), FAILS],
    ['the signature of another token', `${testToken({ payload: { ...CLAIMS, sub: 'admin' } }).split('.').slice(0, 2).join('.')}.${signature}`, FAILS],
    ['another algorithm of the same key', `${base64url({ alg: 'PS256', kid: 'k1' })}.${body}.${signature}`, FAILS],
    ...['', '../../dev/null', '/dev/null', "' OR 1=1 --", '|sleep 10', '\0', '__proto__', 'x'.repeat(4000)].map((kid) => [`the kid ${JSON.stringify(kid.slice(0, 20))}`, testToken(byAttacker({ kid })), kid === '' ? FAILS : NO_KEY] as const),
  ])('%s', async (_, token, reason) => {
    expect(await judge(token)).toBe(reason);
  }); // prettier-ignore

  it('a kid of ten thousand characters', async () => {
    expect(await judge(testToken(byAttacker({ kid: 'x'.repeat(10_000) })))).toContain('401 Jwt is longer than');
  });

  it('psychic signatures (CVE-2022-21449), and those of another length or form', async () => {
    for (const [alg, pair, bytes] of [['ES256', KEYS.p256, 64], ['ES384', KEYS.p384, 96], ['ES512', KEYS.p521, 132], ['EdDSA', KEYS.ed25519, 64]] as const) {
      const rules = [testRule(inline(jwk(pair)))];
      const signed = `${base64url({ alg })}.${body}`;
      const good = Buffer.from(testToken({ header: { alg }, key: pair.privateKey }).split('.')[2]!, 'base64url');
      for (const wrong of [Buffer.alloc(bytes), Buffer.alloc(bytes, 255), Buffer.alloc(1), good.subarray(1), Buffer.concat([good, Buffer.alloc(1)]), Buffer.concat([good, good])])
        expect(await judge(`${signed}.${wrong.toString('base64url')}`, rules)).toBe(FAILS);
    }
  }); // prettier-ignore

  it('a key of one algorithm for tokens of another', async () => {
    const rules = [testRule(inline(jwk(KEYS.rsa, { kid: 'k1', alg: 'RS256' })))];
    expect(await judge(testToken({ header: { alg: 'PS256', kid: 'k1' } }), rules)).toBe(NO_KEY);
    expect(await judge(testToken({ header: { alg: 'RS512', kid: 'k1' } }), rules)).toBe(NO_KEY);
    expect(await judge(testToken(), rules)).toBe('ok');
  });

  it('a secret beside public keys serves neither for the other', async () => {
    const secret = Buffer.alloc(32, 7);
    const rules = [testRule(inline({ kty: 'oct', k: secret.toString('base64url'), kid: 'k1' }, jwk(KEYS.rsa, { kid: 'k1' })))];
    expect(await judge(testToken({ header: { alg: 'HS256', kid: 'k1' }, key: PEM }), rules)).toBe(FAILS);
    expect(await judge(testToken({ header: { alg: 'HS256', kid: 'k1' }, key: secret }), rules)).toBe('ok');
    expect(await judge(testToken(), rules)).toBe('ok');
  });

  it('a token without the name of its key is tried against all of them, one with a name only against that', async () => {
    const rules = [testRule(inline(jwk(KEYS.p256, { kid: 'a' }), jwk(KEYS.otherRsa, { kid: 'b' }), jwk(KEYS.rsa, { kid: 'c' })))];
    expect(await judge(testToken({ header: { alg: 'RS256' } }), rules)).toBe('ok');
    expect(await judge(testToken({ header: { alg: 'RS256', kid: 'c' } }), rules)).toBe('ok');
    expect(await judge(testToken({ header: { alg: 'RS256', kid: 'b' } }), rules)).toBe(FAILS);
    expect(await judge(testToken({ header: { alg: 'RS256', kid: 'd' } }), rules)).toBe(NO_KEY);
    expect(await judge(testToken({ header: { alg: 'RS256', kid: 'd' } }), [testRule(inline(jwk(KEYS.rsa)))])).toBe('ok');
  });

  it('keys of a policy that cannot be used: nobody is believed, and it is told', async () => {
    const rules = [testRule(inline(KEYS.rsa.privateKey.export({ format: 'jwk' })))];
    const { verifier, events } = prepare(rules);
    expect(told(await verifier.verify(testToken(), rules))).toBe("401 Jwks doesn't have any valid public key");
    expect(events).toEqual([
      {
        type: 'keys.failed',
        source: 'RequestAuthentication default/jwt',
        reason: expect.stringContaining('it holds a private key') as string,
      },
    ]);
  });
});

describe('properties', () => {
  it('one changed, added or missing character makes a good token a bad one', async () => {
    for (const [alg, pair] of [['RS256', KEYS.rsa], ['ES256', KEYS.p256], ['EdDSA', KEYS.ed25519]] as const) {
      const rules = [testRule(inline(jwk(pair)))];
      const { verifier } = prepare(rules);
      const token = testToken({ header: { alg }, key: pair.privateKey });
      expect(told(await verifier.verify(token, rules))).toBe('ok');
      const character = fc.oneof(fc.constantFrom(...Array.from('AZaz09-_.=+/ \n\0')), fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }));
      await fc.assert(
        fc.asyncProperty(fc.nat(token.length - 1), character, fc.constantFrom('change', 'add', 'remove'), async (index, one, what) => {
          const changed = token.slice(0, index) + (what === 'remove' ? '' : one) + token.slice(what === 'add' ? index : index + 1);
          if (changed === token) return;
          expect(await verifier.verify(changed, rules)).toMatchObject({ ok: false, status: 401 });
        }),
        { numRuns: 400 },
      );
    }
  }); // prettier-ignore

  it('no text is believed, and none makes it throw', async () => {
    const rules = [testRule({ issuer: '' })];
    const { verifier } = prepare(rules);
    const part = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.json().map(base64url),
      fc.string().map(base64url),
      fc.constantFrom(...testToken().split('.')),
    );
    const json = fc.record({ alg: fc.constantFrom('RS256', 'ES256', 'HS256', 'EdDSA'), kid: fc.anything() }, { requiredKeys: ['alg'] });
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 100 }),
      fc.array(part, { maxLength: 5 }).map((parts) => parts.join('.')),
      fc.tuple(json, fc.json(), fc.base64String()).map(([header, payload, tail]) => `${base64url(JSON.stringify(header))}.${base64url(payload)}.${tail}`),
    ); // prettier-ignore
    const good = testToken();
    await fc.assert(
      fc.asyncProperty(text, async (token) => {
        if (token === good) return;
        expect(await verifier.verify(token, rules)).toMatchObject({ ok: false });
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a token that was seen before', () => {
  it('is judged at once, with the same outcome', async () => {
    const rules = [testRule()];
    const { verifier } = prepare(rules);
    const first = await verifier.verify(testToken(), rules);
    expect(verifier.verify(testToken(), rules)).toBe(first);
  });

  it('has its times looked at again', async () => {
    const rules = [testRule()];
    const clock = at(SECONDS);
    const { verifier } = prepare(rules, clock);
    const token = testToken();
    await verifier.verify(token, rules);
    clock.advance(3660_000);
    expect(verifier.verify(token, rules)).toMatchObject({ ok: true });
    clock.advance(1000);
    expect(verifier.verify(token, rules)).toMatchObject({ ok: false, reason: 'Jwt is expired' });
  });

  it('is a new one for another rule: another audience, another issuer, other keys, other lists', async () => {
    const clock = at(SECONDS);
    const verifiers = tokenVerifiers();
    const tools = { clock, random: () => 0.5, onEvent: () => {} };
    const judged = async (rule: JwtRule): Promise<string> => told(await verifiers.prepare([rule], tools).verify(testToken(), [rule]));
    expect(await judged(testRule())).toBe('ok');
    expect(await judged(testRule({ audiences: ['bank'] }))).toBe('403 Audiences in Jwt are not allowed');
    expect(await judged(testRule({ issuer: 'https://other.test' }))).toBe('401 Jwt issuer is not configured');
    expect(await judged(testRule(inline(jwk(KEYS.otherRsa))))).toBe(FAILS);
    const split = testRule({ spaceDelimitedClaims: ['sub'] });
    expect(await verifiers.prepare([split], tools).verify(testToken(), [split])).toMatchObject({ claims: { sub: ['alice'] } });
    expect(await judged(testRule())).toBe('ok');
  });

  it('is known to the next policy with the same rule', async () => {
    const verifiers = tokenVerifiers();
    const tools = { clock: at(SECONDS), random: () => 0.5, onEvent: () => {} };
    const before = verifiers.prepare([testRule()], tools);
    await before.verify(testToken(), [testRule()]);
    const after = verifiers.prepare([testRule(), testRule({ issuer: 'https://other.test' })], tools);
    before.close();
    expect(after.verify(testToken(), [testRule()])).toMatchObject({ ok: true });
  });

  it('bad ones are not remembered, nor do they push out good ones', async () => {
    const rules = [testRule()];
    const verifier = tokenVerifiers({ rememberedTokens: 2 }).prepare(rules, { clock: at(SECONDS), random: () => 0.5, onEvent: () => {} });
    const numbered = (sub: string, key = KEYS.rsa): string => testToken({ payload: { ...CLAIMS, sub }, key: key.privateKey });
    await verifier.verify(numbered('a'), rules);
    for (const sub of ['b', 'c', 'd']) await verifier.verify(numbered(sub, KEYS.otherRsa), rules);
    expect(verifier.verify(numbered('a'), rules)).not.toBeInstanceOf(Promise);
    await verifier.verify(numbered('b'), rules);
    await verifier.verify(numbered('c'), rules);
    expect(verifier.verify(numbered('a'), rules)).toBeInstanceOf(Promise);
  });

  it('cannot be changed by whoever was given its claims', async () => {
    const rules = [testRule()];
    const { verifier } = prepare(rules);
    const token = testToken({ payload: { ...CLAIMS, groups: ['users'], realm: { roles: ['user'] } } });
    const outcome = await verifier.verify(token, rules);
    if (!outcome.ok) throw new Error(outcome.reason);
    const claims = outcome.claims as { sub: string; groups: string[]; realm: { roles: string[] } };
    expect(() => (claims.sub = 'admin')).toThrow(TypeError);
    expect(() => claims.groups.push('admins')).toThrow(TypeError);
    expect(() => claims.realm.roles.push('admin')).toThrow(TypeError);
  });
});
