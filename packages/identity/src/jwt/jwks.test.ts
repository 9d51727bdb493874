import type { MeshEvent, TokenOutcome, TokenVerifier, TokenVerifiers } from '@inmesh/core';
import { type FakeClock, fakeClock } from '@inmesh/core/testing';
import type { JwtRule } from '@inmesh/policy';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { NOW } from '../testing/pki.ts';
import { CLAIMS, jwk, jwks, KEYS, KeyServer, testRule, testToken } from '../testing/tokens.ts';
import { tokenVerifiers } from './verifiers.ts';

const MINUTE = 60_000;
const server = new KeyServer();
let url = '';
let clock: FakeClock;
let events: MeshEvent[];
let verifiers: TokenVerifiers;
let rules: readonly JwtRule[];

beforeEach(async () => {
  url = await server.listen();
  server.asked.length = 0;
  server.serve(jwk(KEYS.rsa, { kid: 'k1' }));
  clock = fakeClock({ wall: NOW });
  events = [];
  verifiers = tokenVerifiers();
  rules = [testRule({ keys: { kind: 'uri', uri: `${url}/keys` } })];
});
afterEach(() => server.close());

const prepare = (): TokenVerifier => verifiers.prepare(rules, { clock, random: () => 0.5, onEvent: (event) => void events.push(event) });
const told = (outcome: TokenOutcome): string => (outcome.ok ? 'ok' : `${outcome.status} ${outcome.reason}`);
const judge = async (verifier: TokenVerifier, token = testToken()): Promise<string> => told(await verifier.verify(token, rules));
/** Until as many events were told. */
const eventsCome = (count: number): Promise<void> => vi.waitFor(() => expect(events).toHaveLength(count));

const rotated = testToken({ header: { alg: 'RS256', kid: 'k2' }, key: KEYS.otherRsa.privateKey });
const NO_KEY = "401 Jwks doesn't have key to match kid or alg from Jwt";
const NO_FETCH = '401 Jwks remote fetch is failed';

describe('keys over the wire', () => {
  it('are on their way before the first token comes, which waits for them', async () => {
    const verifier = prepare();
    expect(await Promise.all(Array.from({ length: 50 }, () => judge(verifier)))).toEqual(Array(50).fill('ok'));
    expect(server.asked).toEqual(['/keys']);
    expect(events).toEqual([{ type: 'keys.changed', source: `${url}/keys`, total: 1 }]);
    verifier.close();
    expect(clock.pending).toBe(0);
  });

  it('are fetched once for all rules and policies that name them', async () => {
    const first = prepare();
    await judge(first);
    rules = [testRule({ keys: { kind: 'uri', uri: `${url}/keys` }, audiences: ['shop'] }), ...rules];
    const second = prepare();
    first.close();
    expect(await judge(second)).toBe('ok');
    expect(server.asked).toEqual(['/keys']);
  });

  it("a slow server: the token is refused when its rule's time is over, and good once the keys are there", async () => {
    let release: () => void = () => {};
    server.answer = (_, response) => (release = () => response.end(jwks(jwk(KEYS.rsa, { kid: 'k1' }))));
    rules = [testRule({ keys: { kind: 'uri', uri: `${url}/keys` }, timeoutMs: 10 })];
    const verifier = prepare();
    const judged = judge(verifier);
    await vi.waitFor(() => expect(server.asked).toHaveLength(1));
    await clock.pass(10);
    expect(await judged).toBe(NO_FETCH);
    await eventsCome(1);
    expect(events[0]).toMatchObject({ type: 'keys.failed', reason: 'no whole answer within 10 ms' });
    await clock.pass(1000);
    await vi.waitFor(() => expect(server.asked).toHaveLength(2));
    release();
    await eventsCome(2);
    expect(await judge(verifier)).toBe('ok');
  });

  it.each([
    ['500', 500, 'x'],
    ['HTML', 200, '<html>'],
    ['no keys', 200, '{"keys":[]}'],
    ['private keys', 200, jwks(KEYS.rsa.privateKey.export({ format: 'jwk' }))],
    ['10⁴ keys', 200, jwks(...Array.from({ length: 10_000 }, () => ({ kty: 'x' })))],
  ])('a server that answers with %s: no token is believed, and what was known before stays', async (_, status, body) => {
    const good = server.answer;
    server.answer = (__, response) => response.writeHead(status).end(body);
    const verifier = prepare();
    expect(await judge(verifier)).toBe(NO_FETCH);
    expect(events).toMatchObject([{ type: 'keys.failed' }]);
    server.answer = good;
    await clock.pass(1000);
    await eventsCome(2);
    expect(await judge(verifier)).toBe('ok');
    server.answer = (__, response) => response.writeHead(status).end(body);
    await clock.pass(20 * MINUTE);
    await eventsCome(3);
    expect(events[2]).toMatchObject({ type: 'keys.failed' });
    expect(await judge(verifier)).toBe('ok');
    expect(await judge(verifier, testToken({ payload: { ...CLAIMS, sub: 'new' } }))).toBe('ok');
  });

  it('a server that is gone and comes back changes nothing for tokens it signed', async () => {
    const verifier = prepare();
    expect(await judge(verifier)).toBe('ok');
    await server.close();
    await clock.pass(20 * MINUTE);
    await eventsCome(2);
    expect(await judge(verifier, testToken({ payload: { ...CLAIMS, sub: 'new' } }))).toBe('ok');
  });

  it('a new key is found by the first token it signs', async () => {
    const verifier = prepare();
    expect(await judge(verifier)).toBe('ok');
    server.serve(jwk(KEYS.rsa, { kid: 'k1' }), jwk(KEYS.otherRsa, { kid: 'k2' }));
    await clock.pass(MINUTE);
    expect(await judge(verifier, rotated)).toBe('ok');
    expect(server.asked).toHaveLength(2);
    expect(events.at(-1)).toEqual({ type: 'keys.changed', source: `${url}/keys`, total: 2 });
  });

  it('a key that was withdrawn takes the tokens with it that were known', async () => {
    const verifier = prepare();
    expect(await judge(verifier)).toBe('ok');
    expect(verifier.verify(testToken(), rules)).toMatchObject({ ok: true });
    server.serve(jwk(KEYS.otherRsa, { kid: 'k2' }));
    await clock.pass(20 * MINUTE);
    await eventsCome(2);
    expect(await judge(verifier)).toBe(NO_KEY);
    server.serve(jwk(KEYS.otherRsa, { kid: 'k1' }));
    await clock.pass(20 * MINUTE);
    await eventsCome(3);
    expect(await judge(verifier)).toBe('401 Jwt verification fails');
  });

  it('a flood of unknown keys is one question to the issuer in thirty seconds, and costs known ones nothing', async () => {
    const verifier = prepare();
    expect(await judge(verifier)).toBe('ok');
    await clock.pass(MINUTE);
    const flood = (): Promise<string[]> =>
      Promise.all(
        Array.from({ length: 300 }, (_, index) =>
          judge(verifier, testToken({ header: { alg: 'RS256', kid: `x${index}` }, key: KEYS.otherRsa.privateKey })),
        ),
      );
    expect(new Set(await flood())).toEqual(new Set([NO_KEY]));
    expect(server.asked).toHaveLength(2);
    await clock.pass(29_000);
    // The quickest of a few: what the machine does besides is not its cost.
    const took: number[] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      const begun = performance.now();
      await judge(verifier, rotated);
      took.push(performance.now() - begun);
    }
    expect(Math.min(...took)).toBeLessThan(5);
    await flood();
    expect(server.asked).toHaveLength(2);
    expect(verifier.verify(testToken(), rules)).toMatchObject({ ok: true });
    await clock.pass(1000);
    await flood();
    expect(server.asked).toHaveLength(3);
  });

  it('are never asked for at a metadata address, whoever points there', async () => {
    const redirecting = `${url}/keys`;
    server.answer = (_, response) => response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end();
    verifiers = tokenVerifiers({
      lookup: (_, options, callback) =>
        callback(null, options.all === true ? [{ address: '169.254.169.254', family: 4 }] : '169.254.169.254', 4),
    });
    for (const uri of ['http://169.254.169.254/keys', 'http://innocent.test/keys', redirecting]) {
      rules = [testRule({ keys: { kind: 'uri', uri } })];
      expect(await judge(prepare())).toBe(NO_FETCH);
    }
    expect(events.map((event) => (event.type === 'keys.failed' ? event.reason : event.type))).toEqual([
      '169.254.169.254 is an address that must not be asked',
      'innocent.test is 169.254.169.254, an address that must not be asked',
      'it redirects to another origin, http://169.254.169.254: name that URL instead',
    ]);
  });
});
