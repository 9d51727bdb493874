import type { Attribute, AuthorizationPolicy, AuthorizationRule, Condition, CorsRoute, InboundModel, JwtRule } from '@inmesh/policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeshError } from '../errors.ts';
import { readCall } from '../inbound/received.ts';
import { Mesh } from '../mesh.ts';
import { fakeClock, receiveCall, testJwtRule, testModel, testProgram, testTokens } from '../testing/index.ts';
import { connectionOf, receivedOf } from './inbound-caller.ts';
import type { ExplainInboundRequest } from './inbound-explanation.ts';
import { explainInbound } from './inbound.ts';

const attribute = (name: string): Attribute => ({ name }) as Attribute;
const condition = (name: string, values: string[], notValues: string[] = []): Condition => ({
  attribute: attribute(name),
  values,
  notValues,
});
const rule = (fields: Partial<AuthorizationRule> = {}): AuthorizationRule => ({ from: [], to: [], when: [], ...fields });
const policy = (
  action: AuthorizationPolicy['action'],
  name: string,
  rules: AuthorizationRule[],
  fields: Partial<AuthorizationPolicy> = {},
) =>
  ({
    namespace: 'shop',
    name,
    action,
    provider: action === 'CUSTOM' ? 'opa' : '',
    dryRun: false,
    rules,
    ...fields,
  }) satisfies AuthorizationPolicy;
const path = (...values: string[]) => rule({ to: [[condition('path', values)]] });

const WEB = 'cluster.local/ns/shop/sa/web';
const STRICT: InboundModel['mtls'] = { mode: 'STRICT', ports: {}, resources: ['PeerAuthentication shop/strict'] };

async function explained(inbound: Partial<InboundModel>, request: Partial<ExplainInboundRequest> = {}, tools = {}) {
  return explainInbound(testModel(inbound), { port: 8080, url: 'http://orders:8080/', ...request }, tools);
}

describe('explainInbound says', () => {
  it('what a caller of gRPC sees', async () => {
    const url = 'grpc://ratings:9080/shop.Ratings/Get';
    const authorization = [policy('DENY', 'no', [path('/shop.Ratings/Get')])];
    const denied = await explained({ authorization }, { url });
    expect(denied).toMatchObject({ decision: 'deny', status: 403, grpcStatus: 'PERMISSION_DENIED', body: 'RBAC: access denied' });
    const other = await explained({ authorization }, { url: 'mesh:///ratings:9080/shop.Ratings/Put', headers: { 'X-User': 'ann' } });
    expect(other).toMatchObject({
      decision: 'allow',
      status: null,
      grpcStatus: null,
      request: {
        method: 'POST',
        authority: 'ratings:9080',
        path: '/shop.Ratings/Put',
        headers: { 'x-user': 'ann', 'content-type': 'application/grpc', te: 'trailers' },
      },
    });
    expect(await explained({}, { url, headers: { 'grpc-timeout': '0m' } })).toMatchObject({ status: 504, grpcStatus: 'DEADLINE_EXCEEDED' });
    // As it was before: to a caller of HTTP there is no such thing.
    expect(await explained({ authorization }, { url: 'http://ratings/shop.Ratings/Get' })).not.toHaveProperty('grpcStatus');
    await expect(explained({}, { url, method: 'GET' })).rejects.toThrow('every call of gRPC is a POST');
    await expect(explained({}, { url: 'grpc://ratings' })).rejects.toThrow('names no method');
  });

  it('that a caller in plaintext is not heard on a STRICT port', async () => {
    expect(await explained({ mtls: STRICT })).toMatchObject({
      decision: 'deny',
      status: null,
      policy: null,
      action: null,
      resource: 'PeerAuthentication shop/strict',
      why: [
        'port 8080 is STRICT (PeerAuthentication shop/strict): callers must come by mutual TLS, and this one comes in plaintext',
        'the connection is closed without an answer',
      ],
    });
    expect(await explained({ mtls: { ...STRICT, ports: { 8080: 'PERMISSIVE' } } })).toMatchObject({
      decision: 'allow',
      mtls: 'PERMISSIVE',
    });
  });

  it('which rule denied, and what it saw', async () => {
    const policies = [policy('DENY', 'no-admin', [path('/nothing'), path('/admin*')]), policy('ALLOW', 'all', [rule()])];
    expect(await explained({ authorization: policies }, { url: 'http://orders/x/../admin', principal: WEB })).toMatchObject({
      decision: 'deny',
      status: 403,
      policy: 'ns[shop]-policy[no-admin]-rule[1]',
      action: 'DENY',
      resource: 'AuthorizationPolicy shop/no-admin',
      body: 'RBAC: access denied',
      request: null,
      why: [
        `port 8080 is PERMISSIVE (no PeerAuthentication says otherwise), and the caller proves to be spiffe://${WEB}`,
        'the path "/x/../admin" is read as "/admin" (pathNormalization BASE)',
        'no RequestAuthentication holds: tokens are not looked at',
        'DENY policy shop/no-admin, rule 0, does not match: path is "/admin" (must be "/nothing")',
        'DENY policy shop/no-admin, rule 1, matches: path is "/admin" (must be "/admin*")',
        'a denial that matches decides: policies that allow are not asked',
      ],
    });
  });

  it('why no policy allows', async () => {
    const web = rule({
      from: [[condition('source.principal', [WEB])], [condition('source.namespace', ['ops'])]],
      to: [[condition('method', ['GET'])]],
    });
    const result = await explained({ authorization: [policy('ALLOW', 'web', [web]), policy('ALLOW', 'nobody', [])] }, { method: 'POST' });
    expect(result).toMatchObject({ decision: 'deny', status: 403, policy: null, action: 'ALLOW', resource: null });
    expect(result.why.slice(-3)).toEqual([
      `ALLOW policy shop/web, rule 0, does not match: method is "POST" (must be "GET"); and source.principal is absent (must be "${WEB}"), or source.namespace is absent (must be "ops")`,
      'ALLOW policy shop/nobody has no rules: it matches nothing',
      'there are policies that allow, and none of them matches: denied',
    ]);
  });

  it('which policy allowed, and what the program will see', async () => {
    const jwt = [testJwtRule({ outputPayloadToHeader: 'x-payload', outputClaimToHeaders: [{ header: 'x-sub', claim: ['sub'] }] })];
    const authorization = [policy('ALLOW', 'ann', [rule({ when: [condition('request.auth.principal', ['https://issuer/ann'])] })])];
    const tools = { tokens: testTokens({ good: { iss: 'https://issuer', sub: 'ann' } }), clock: fakeClock() };
    expect(
      await explained(
        { jwt, authorization },
        { token: 'good', headers: { 'X-Sub': 'forged', accept: '*/*' }, url: 'http://orders/a?b=c' },
        tools,
      ),
    ).toMatchObject({
      decision: 'allow',
      status: null,
      policy: 'ns[shop]-policy[ann]-rule[0]',
      action: 'ALLOW',
      requestPrincipal: 'https://issuer/ann',
      request: {
        method: 'GET',
        authority: 'orders',
        path: '/a?b=c',
        headers: { accept: '*/*', 'x-payload': 'payload-of-good', 'x-sub': 'ann' },
      },
    });
    expect(tools.tokens.counts).toEqual({ made: 1, closed: 1 });
  });

  it('that a token nobody can verify lets nobody pass, and that one nobody looks for is none', async () => {
    const jwt = [testJwtRule()];
    const refused = await explained({ jwt }, { token: 'good' });
    expect(refused).toMatchObject({ decision: 'deny', status: 401, resource: 'RequestAuthentication default/tokens', action: null });
    expect(refused.body).toContain('without a verifier of tokens');
    const elsewhere = [testJwtRule({ locations: [{ in: 'cookie', name: 'session' }] })];
    const passed = await explained({ jwt: elsewhere }, { token: 'good' });
    expect(passed).toMatchObject({ decision: 'allow', requestPrincipal: null });
    expect(passed.why).toContain('no token in cookie session: the call goes on without a request identity');
  });

  it('what becomes of a preflight', async () => {
    const cors: CorsRoute = {
      resource: 'VirtualService shop/orders',
      domains: ['orders'],
      match: { path: null, method: null, scheme: null, authority: null, headers: [], query: [] },
      cors: { allowOrigins: [{ kind: 'exact', value: 'https://a.example' }], allowMethods: ['GET'], allowHeaders: [], exposeHeaders: [], maxAgeSeconds: null, allowCredentials: false, unmatchedPreflights: 'IGNORE' },
    }; // prettier-ignore
    const denyAll = { cors: [cors], authorization: [policy('DENY', 'all', [rule()])] };
    const ask = (origin: string) => explained(denyAll, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'GET' } });
    expect(await ask('https://a.example')).toMatchObject({ decision: 'allow', status: 200, resource: 'VirtualService shop/orders' });
    expect(await ask('https://b.example')).toMatchObject({ decision: 'deny', status: 200, resource: 'VirtualService shop/orders' });
    expect(await explained(denyAll, { headers: { origin: 'https://a.example' } })).toMatchObject({ decision: 'deny', status: 403 });
  });

  it('that CUSTOM comes before tokens and refuses', async () => {
    expect(await explained({ jwt: [testJwtRule()], authorization: [policy('CUSTOM', 'ask', [path('/')])] }, { token: 'bad' })).toMatchObject({
      decision: 'deny', status: 403, action: 'CUSTOM', policy: 'istio-ext-authz-opa-ns[shop]-policy[ask]-rule[0]', resource: 'AuthorizationPolicy shop/ask',
    }); // prettier-ignore
  });

  it('what audits and policies in dry run make of it', async () => {
    const authorization = [
      policy('AUDIT', 'log', [rule()]),
      policy('DENY', 'later', [rule()], { dryRun: true }),
      policy('ALLOW', 'soon', [], { dryRun: true }),
    ];
    expect(await explained({ authorization })).toMatchObject({
      decision: 'allow', audited: ['ns[shop]-policy[log]-rule[0]'], dryRun: ['deny ns[shop]-policy[later]-rule[0]', 'deny [none]'],
    }); // prettier-ignore
  });

  it('what cannot be read', async () => {
    expect(await explained({}, { url: 'http://orders/a%00' })).toMatchObject({ decision: 'deny', status: 400, body: 'Bad Request' });
    expect(await explained({}, { headers: [['host', 'a'], ['host', 'b']] })).toMatchObject({ decision: 'deny', status: 400 }); // prettier-ignore
    for (const wrong of [{ url: 'orders' }, { url: '/x' }, { principal: 'web' }, { principal: 'a/ns/b/sa/c/d' }])
      await expect(explained({}, wrong)).rejects.toThrow(MeshError);
  });

  it('that a caller who waits no more is not served', async () => {
    expect(await explained({}, { headers: { 'x-inmesh-deadline': '0' } })).toMatchObject({ decision: 'deny', status: 504 });
    const patient = await explained({}, { headers: { 'grpc-timeout': '2S' } });
    expect(patient.why).toContain('the caller waits 2000 ms: work that takes longer is ended');
  });

  it('what rules over requests mean to a TCP connection', async () => {
    const get = rule({ to: [[condition('method', ['GET']), condition('destination.port', ['8080'])]] });
    const tcp = (...authorization: AuthorizationPolicy[]) => explained({ authorization }, { protocol: 'tcp' });
    const denied = await tcp(policy('DENY', 'get', [get]));
    expect(denied).toMatchObject({ decision: 'deny', status: null, body: null, policy: 'ns[shop]-policy[get]-rule[0]', action: 'DENY' });
    expect(denied.why).toContain(
      'DENY policy shop/get, rule 0, matches: destination.port is "8080" (must be "8080") (method left aside, which a TCP connection has not)',
    );
    const skipped = await tcp(policy('ALLOW', 'get', [get]));
    expect(skipped).toMatchObject({ decision: 'deny', status: null, action: 'ALLOW', policy: null });
    expect(skipped.why).toContain('ALLOW policy shop/get, rule 0, speaks of method, which a TCP connection has not: it allows none');
  });
});

// ---- it tells what happens -------------------------------------------------------------------------------------------------

const word = fc.constantFrom('a', 'b', 'ab');
const pattern = fc.oneof(word, word.map((one) => `${one}*`), word.map((one) => `*${one}`), fc.constant('*')); // prettier-ignore
const attributes = fc.constantFrom<Attribute>(
  attribute('path'), attribute('method'), attribute('host'), attribute('source.namespace'), attribute('request.auth.principal'), attribute('remote.ip'),
  { name: 'request.headers', header: 'x' }, { name: 'request.headers', header: 'authorization' }, { name: 'request.auth.claims', claim: ['c'] },
); // prettier-ignore
const conditions = fc
  .record({ attribute: attributes, values: fc.array(pattern, { maxLength: 2 }), notValues: fc.array(pattern, { maxLength: 1 }) })
  .filter(({ values, notValues }) => values.length + notValues.length > 0)
  .map((one) =>
    one.attribute.name === 'path' ? { ...one, values: one.values.map((value) => (value.startsWith('*') ? value : `/${value}`)) } : one,
  )
  .map((one) => (one.attribute.name === 'remote.ip' ? { ...one, values: ['10.0.0.0/8'], notValues: [] } : one));
const rules: fc.Arbitrary<AuthorizationRule> = fc.record({
  from: fc.array(fc.array(conditions, { minLength: 1, maxLength: 2 }), { maxLength: 2 }),
  to: fc.array(fc.array(conditions, { minLength: 1, maxLength: 2 }), { maxLength: 2 }),
  when: fc.array(conditions, { maxLength: 1 }),
});
const actions = fc.constantFrom('ALLOW', 'ALLOW', 'DENY', 'AUDIT', 'CUSTOM') satisfies fc.Arbitrary<AuthorizationPolicy['action']>;
const policies = fc
  .array(fc.record({ action: actions, list: fc.array(rules, { maxLength: 2 }), dryRun: fc.boolean() }), { maxLength: 4 })
  .map((given) =>
    given.map(({ action, list, dryRun }, at) =>
      policy(action, `p${at}`, list, { dryRun: dryRun && (action === 'ALLOW' || action === 'DENY') }),
    ),
  );
const jwtRules: fc.Arbitrary<JwtRule[]> = fc.subarray([
  testJwtRule({ outputClaimToHeaders: [{ header: 'x', claim: ['c'] }] }),
  testJwtRule({ forwardOriginalToken: true, locations: [{ in: 'query', name: 't' }, { in: 'header', name: 'x', prefix: '' }] }),
]); // prettier-ignore
const cors: fc.Arbitrary<CorsRoute[]> = fc
  .array(fc.record({ origin: fc.constantFrom('a', 'b'), unmatchedPreflights: fc.constantFrom('FORWARD' as const, 'IGNORE' as const) }), { maxLength: 1 })
  .map((given) => given.map(({ origin, unmatchedPreflights }) => ({
    resource: 'VirtualService shop/v', domains: ['a', 'b', 'ab'], match: { path: null, method: null, scheme: null, authority: null, headers: [], query: [] },
    cors: { allowOrigins: [{ kind: 'exact', value: origin }], allowMethods: [], allowHeaders: [], exposeHeaders: [], maxAgeSeconds: null, allowCredentials: false, unmatchedPreflights },
  }))); // prettier-ignore
const models = fc.record({ authorization: policies, jwt: jwtRules, cors, mtls: fc.constantFrom<InboundModel['mtls']>(STRICT, { ...STRICT, mode: 'PERMISSIVE' }), trustedHops: fc.nat(1) }); // prettier-ignore
const token = fc.constantFrom('good', 'other', 'bad');
const headers = fc
  .record({ x: fc.array(fc.oneof(word, token), { maxLength: 2 }), origin: fc.option(fc.constantFrom('a', 'b'), { freq: 3 }), asks: fc.boolean(), forwarded: fc.boolean(), deadline: fc.option(fc.nat(1), { freq: 2 }) })
  .map(({ x, origin, asks, forwarded, deadline }): [string, string][] => [
    ...x.map((value): [string, string] => ['X', value]),
    ...(origin === null ? [] : [['origin', origin] as [string, string]]),
    ...(asks ? [['access-control-request-method', 'PUT'] as [string, string]] : []),
    ...(forwarded ? [['x-forwarded-for', '10.1.1.1'] as [string, string]] : []),
    ...(deadline === null ? [] : [['x-inmesh-deadline', String(deadline)] as [string, string]]),
  ]); // prettier-ignore
const requests: fc.Arbitrary<ExplainInboundRequest> = fc
  .record({
    method: fc.constantFrom('a', 'OPTIONS'),
    at: fc.constantFrom('/a', '/b/../ab', '//a', '/%00', '', '/a?t=good', '/b?t=bad&t=good'),
    host: word,
    headers,
    principal: fc.option(word),
    token: fc.option(token),
    sourceIp: fc.constantFrom('10.0.0.1', '192.0.2.1'),
  })
  .map(({ at, host, principal, token: carried, ...rest }) => ({
    ...rest,
    port: 8080,
    url: `http://${host}${at}`,
    ...(principal === null ? {} : { principal: `td/ns/${principal}/sa/s` }),
    ...(carried === null ? {} : { token: carried }),
  }));

it('explains exactly what happens, whatever the policies and the call', async () => {
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(models, requests, async (inbound, request) => {
      const model = testModel(inbound);
      const believed = { good: { iss: 'a', sub: 'b', c: 'ab' }, other: { iss: 'b', c: ['a', 1] } };
      const told = await explainInbound(model, request, { tokens: testTokens(believed, { later: true }) });
      const mesh = await Mesh.create(model, 'v', { clock: fakeClock(), tokens: testTokens(believed) });
      const connection = connectionOf(request, inbound.mtls.mode);
      const program = testProgram();
      const happened = await (async () => {
        try {
          const call = readCall(receivedOf(request, connection.tls), connection, model);
          const { status } = await receiveCall(mesh, call, program);
          return { status, policy: call.peer.policy };
        } catch (error) {
          return { status: (error as MeshError).status, policy: '' };
        }
      })();
      const [through] = program.received;
      // Where the connection is closed, a call on one that was open before is refused.
      const unheard = inbound.mtls.mode === 'STRICT' && request.principal === undefined;
      if (unheard) expect([told.status, told.decision]).toEqual([null, 'deny']);
      else {
        expect([told.status ?? 200, told.policy ?? ''], told.why.join('\n')).toEqual([happened.status, happened.policy]);
        expect(told.request === null).toBe(through === undefined);
        expect(through?.call.headerValues('x').join(',')).toBe(through === undefined ? undefined : (told.request?.headers['x'] ?? ''));
      }
      const kind = `${told.decision} ${told.status} ${told.action}`;
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
      await mesh.close(0);
    }),
    { numRuns: 1500, seed: 3 },
  );
  // The property says nothing unless every ending is met.
  for (const kind of ['allow null null', 'allow null ALLOW', 'allow 200 null', 'deny null null', 'deny 400 null', 'deny 401 null', 'deny 403 ALLOW', 'deny 403 DENY', 'deny 403 CUSTOM', 'deny 504 null'])
    expect(seen.get(kind) ?? 0, kind).toBeGreaterThan(3); // prettier-ignore
});
