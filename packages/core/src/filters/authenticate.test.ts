import type { JwtRule } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { applyHeaderOps } from './header-ops.ts';
import type { MeshError } from '../errors.ts';
import {
  type TestCall,
  testCall,
  testExchange,
  testJwtRule,
  testPeer,
  testProgram,
  testRuntime,
  testTokens,
  toProgram,
} from '../testing/index.ts';
import { authenticate } from './authenticate.ts';

const ANN = { iss: 'https://issuer', sub: 'ann', level: 3, admin: true, nested: { team: 'blue' }, odd: 'a\nb' };

interface Sent extends TestCall {
  readonly rules?: JwtRule[];
  readonly later?: boolean;
}

function sent({ rules = [testJwtRule()], later = false, ...fields }: Sent) {
  const tokens = testTokens({ good: ANN, bob: { iss: 'https://other', sub: 'bob', scope: 'read write' } }, { later });
  const refusals: number[] = [];
  const ledger = { everything: false, refused: (_: unknown, status: number) => void refusals.push(status), decided: () => {} };
  const verifier = tokens.prepare(rules, { clock: testRuntime().clock, random: () => 0, onEvent: () => {} });
  const program = testProgram();
  const peer = testPeer();
  const call = testCall({ ...fields, peer });
  const handler = authenticate.inbound!({ rules, verifier, ledger }, testRuntime())(toProgram);
  const run = () => handler(testExchange({ call }), program);
  return { run, peer, program, tokens, refusals, call };
}

async function passed(fields: Sent) {
  const given = sent(fields);
  await given.run();
  const { edits, call } = given.program.received[0]!;
  const written = Object.entries(fields.headers ?? {}).flatMap(([name, value]) =>
    [value].flat().map((line) => [name.toLowerCase(), line] as const),
  );
  return { ...given, headers: Object.fromEntries(applyHeaderOps(written, edits.request)), query: edits.query, seen: call };
}

async function refused(fields: Sent): Promise<MeshError> {
  const given = sent(fields);
  // A refusal may be thrown at once.
  const error = await (async () => given.run())().then(() => undefined, (thrown: MeshError) => thrown); // prettier-ignore
  expect(given.program.received).toEqual([]);
  expect(given.peer.claims).toBeUndefined();
  expect(given.refusals).toEqual([error?.status]);
  return error!;
}

const bearer = (...tokens: string[]) => ({ authorization: tokens.map((token) => `Bearer ${token}`) });

describe('a call without a token', () => {
  it.each([{}, { authorization: 'Basic Z29vZA==' }, { authorization: 'bearer good' }, { 'x-token': 'good' }] as Record<string, string>[])(
    'passes without a request identity: %j',
    async (headers) => expect(await passed({ headers })).toMatchObject({ peer: { claims: undefined }, headers, tokens: { asked: [] } }),
  );

  it('may not bring what only a verified token says', async () => {
    const rules = [testJwtRule({ outputPayloadToHeader: 'x-payload', outputClaimToHeaders: [{ header: 'x-sub', claim: ['sub'] }] })];
    const { headers, seen } = await passed({ rules, headers: { 'X-Payload': 'forged', 'x-sub': ['ann', 'root'], 'x-else': '1' } });
    expect(headers).toEqual({ 'x-else': '1' });
    // Nor may rules see it.
    expect([seen.header('x-sub'), seen.headerValues('x-payload'), seen.header('x-else')]).toEqual([undefined, [], '1']);
  });
});

describe('a good token', () => {
  it.each([false, true])('makes its claims known, and is taken from the call (looked into first: %s)', async (later) => {
    const { peer, headers, seen } = await passed({ headers: { ...bearer('good'), accept: '*/*' }, later });
    expect(peer.claims).toBe(ANN);
    expect(headers).toEqual({ accept: '*/*' });
    expect(seen.header('authorization')).toBeUndefined();
  });

  it('is judged at once where it is known: nobody waits', () => {
    const { run, program } = sent({ headers: bearer('good') });
    void run();
    expect(program.received).toHaveLength(1);
  });

  it('goes on with the call where the rule says so', async () => {
    expect((await passed({ rules: [testJwtRule({ forwardOriginalToken: true })], headers: bearer('good') })).headers).toEqual({
      authorization: 'Bearer good',
    });
  });

  it('puts what it says into headers', async () => {
    const claims = ['sub', 'level', 'admin', 'nested', 'odd', 'none'];
    const outputClaimToHeaders = [
      ...claims.map((claim) => ({ header: `x-${claim}`, claim: [claim] })),
      { header: 'x-team', claim: ['nested', 'team'] },
    ];
    const rules = [testJwtRule({ outputPayloadToHeader: 'x-payload', outputClaimToHeaders })];
    const { headers, seen } = await passed({ rules, headers: { ...bearer('good'), 'x-none': 'forged' } });
    expect(headers).toEqual({
      'x-payload': 'payload-of-good',
      'x-sub': 'ann',
      'x-level': '3',
      'x-admin': 'true',
      'x-nested': btoa('{"team":"blue"}'),
      'x-team': 'blue',
    });
    expect(seen.headerValues('x-sub')).toEqual(['ann']);
  });

  it('passes on a list of words as the token wrote it, though rules see its words', async () => {
    const rules = [testJwtRule({ outputClaimToHeaders: [{ header: 'x-scope', claim: ['scope'] }] })];
    const { headers, peer } = await passed({ rules, headers: bearer('bob') });
    expect(headers).toEqual({ 'x-scope': 'read write' });
    expect(peer.claims).toMatchObject({ scope: ['read', 'write'] });
  });

  it('is found behind its prefix wherever that stands, in a query parameter, in a cookie', async () => {
    expect((await passed({ headers: { authorization: 'Basic x, Bearer  good' } })).peer.claims).toBe(ANN);
    const inQuery = [testJwtRule({ locations: [{ in: 'query', name: 'access_token' }] })];
    for (const query of ['a=1&access_token=good&b=2', 'a=1&access%5ftoken=good&b=2', 'a=1&access_token=g%6fod&b=2']) {
      expect(await passed({ rules: inQuery, query })).toMatchObject({ query: 'a=1&b=2', peer: { claims: ANN } });
    }
    expect((await passed({ rules: [{ ...inQuery[0]!, forwardOriginalToken: true }], query: 'access_token=good' })).query).toBeUndefined();
    const inCookie = [testJwtRule({ locations: [{ in: 'cookie', name: 'session' }] })];
    const { peer, headers } = await passed({ rules: inCookie, headers: { cookie: 'a=b; session=good' } });
    expect(peer.claims).toBe(ANN);
    expect(headers).toEqual({ cookie: 'a=b; session=good' });
  });

  it('of another place is none there', async () => {
    const rules = [testJwtRule({ locations: [{ in: 'header', name: 'x-token', prefix: '' }] })];
    expect((await passed({ rules, headers: bearer('good') })).peer.claims).toBeUndefined();
    expect((await passed({ rules, headers: { 'x-token': 'good' } })).peer.claims).toBe(ANN);
    // `??access_token=…` is a parameter whose name begins with a question mark.
    const inQuery = [testJwtRule({ locations: [{ in: 'query', name: 'access_token' }] })];
    expect((await passed({ rules: inQuery, query: '?access_token=good' })).peer.claims).toBeUndefined();
  });
});

describe('several tokens', () => {
  const rules = [testJwtRule(), testJwtRule({ issuer: 'https://other', locations: [{ in: 'header', name: 'x-token', prefix: '' }] })];

  it('are all verified, each under the rules of its place, and the first is who asks', async () => {
    const { peer, tokens, headers } = await passed({ rules, headers: { ...bearer('good'), 'x-token': 'bob' } });
    expect(tokens.asked).toEqual(['good', 'bob']);
    expect(peer.claims).toBe(ANN);
    expect(headers).toEqual({});
  });

  it('refuse the call if one is bad, in whatever order', async () => {
    expect((await refused({ rules, headers: { ...bearer('good'), 'x-token': 'bad' } })).status).toBe(401);
    expect((await refused({ headers: bearer('good', 'bad') })).status).toBe(401);
    expect((await refused({ headers: bearer('bad', 'good'), later: true })).status).toBe(401);
    const inCookie = [testJwtRule({ locations: [{ in: 'cookie', name: 's' }] })];
    expect((await refused({ rules: inCookie, headers: { cookie: ['s=good', 'x=y; s=bad'] } })).status).toBe(401);
  });

  it('in one query parameter refuse it whatever they are: a program may read the other one', async () => {
    const inQuery = [testJwtRule({ locations: [{ in: 'query', name: 't' }] })];
    for (const query of ['t=good&t=good', 't=good&t=', 't=&%74=good', 't=good&x=1&t=bad'])
      expect(await refused({ rules: inQuery, query })).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
  });
});

describe('a bad token', () => {
  it('is answered with the reason and a challenge', async () => {
    const error = await refused({ authority: 'orders:8080', path: '/a', query: 'access_token=secret', headers: bearer('bad') });
    expect(error).toMatchObject({
      code: 'UNAUTHENTICATED',
      status: 401,
      grpcStatus: 16,
      answer: {
        body: 'Jwt verification fails',
        headers: [['www-authenticate', 'Bearer realm="http://orders:8080/a", error="invalid_token"']],
      },
    });
  });

  it.each(['Bearer ', 'Bearer  ', 'Bearer', 'Bearer ,;'].map((value) => [value]))('is also one that is empty: "%s"', async (value) => {
    if (value === 'Bearer') return expect((await passed({ headers: { authorization: value } })).peer.claims).toBeUndefined();
    return expect((await refused({ headers: { authorization: value } })).status).toBe(401);
  });

  it('keeps its challenge short, and no quote in it', async () => {
    const error = await refused({ path: `/"\\${'x'.repeat(1000)}`, headers: bearer('bad') });
    const [, value] = error.answer!.headers[0]!;
    expect(value).toMatch(/^Bearer realm="[^"\\]{256}", error="invalid_token"$/);
  });

  it('is not asked of a preflight, which cannot carry one', async () => {
    const preflight = {
      method: 'OPTIONS',
      headers: { ...bearer('bad'), origin: 'https://a.example', 'access-control-request-method': 'PUT' },
    };
    expect((await passed(preflight)).peer.claims).toBeUndefined();
    expect((await refused({ method: 'OPTIONS', headers: bearer('bad') })).status).toBe(401);
  });
});
