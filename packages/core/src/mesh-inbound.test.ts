import type { Attribute, AuthorizationPolicy } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { Mesh, type MeshOptions } from './mesh.ts';
import type { EndedCall, InboundInfo } from './observer.ts';
import { fakeClock, receiveCall, testCall, testJwtRule, testModel, testPeer, testProgram, testTokens } from './testing/index.ts';

const condition = (name: string, ...values: string[]) => ({ attribute: { name } as Attribute, values, notValues: [] });
const policy = (action: AuthorizationPolicy['action'], ...conditions: ReturnType<typeof condition>[]): AuthorizationPolicy => ({
  namespace: 'shop', name: 'p', action, provider: '', dryRun: false, rules: [{ from: [], to: conditions.length === 0 ? [] : [conditions], when: [] }],
}); // prettier-ignore

const create = (inbound: Parameters<typeof testModel>[0] = {}, options: MeshOptions = {}) =>
  Mesh.create(testModel(inbound), 'one', { clock: fakeClock(), ...options });
const call = (peer = testPeer(), headers: Record<string, string> = {}) => testCall({ peer, headers });

describe('a mesh that receives calls', () => {
  it('puts nothing in the way of a call that no policy speaks of', async () => {
    const program = testProgram();
    expect(await receiveCall(await create(), call(), program)).toMatchObject({ value: 'yours', status: 200 });
    expect(program.received).toHaveLength(1);
  });

  it('has one handler per port, whose mode of mutual TLS is its own', async () => {
    const mesh = await create({ mtls: { mode: 'STRICT', ports: { 9090: 'PERMISSIVE', 9091: 'DISABLE' }, resources: [] } });
    expect(mesh.receive(8080)).toBe(mesh.receive(8080));
    expect([mesh.mtls(8080), mesh.mtls(9090), mesh.mtls(9091)]).toEqual(['STRICT', 'PERMISSIVE', 'DISABLE']);
    expect((await receiveCall(mesh, call())).status).toBe(403);
    expect((await receiveCall(mesh, call(testPeer({ localPort: 9090 })))).status).toBe(200);
    expect((await receiveCall(mesh, call(testPeer({ principal: 'td/ns/a/sa/b' })))).status).toBe(200);
  });

  it('follows the policy in force from call to call', async () => {
    const mesh = await create({ authorization: [policy('DENY')] });
    expect(await receiveCall(mesh, call())).toMatchObject({ status: 403, value: 'RBAC: access denied' });
    mesh.apply(testModel(), 'two');
    expect((await receiveCall(mesh, call())).status).toBe(200);
  });

  it('refuses with 503 once it is closed, and lets no connection in', async () => {
    const mesh = await create();
    await mesh.close(0);
    expect((await receiveCall(mesh, call())).status).toBe(503);
    expect(mesh.admit(testPeer()).allowed).toBe(false);
  });

  it('counts calls that came in among those it waits for', async () => {
    const clock = fakeClock();
    const mesh = await create({}, { clock });
    const life = mesh.life(mesh.receive(8080));
    expect(mesh.status().callsInFlight).toBe(1);
    const closed = mesh.close(10_000);
    life.end(200, -1, clock.now());
    await closed;
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('counts under the service that sends its callers to the port', async () => {
    const told: string[] = [];
    const observer = {
      route: () => ({ ended: () => {} }),
      event: () => {},
      inbound: ({ port, service, serviceName }: InboundInfo) => {
        told.push(`${port} ${service} ${serviceName}`);
        return { ended: () => {} };
      },
    };
    const one = { host: 'one.shop.svc', name: 'one', namespace: 'shop', ports: [8080] };
    const named = { host: 'two.shop.svc', name: 'two', namespace: 'shop', ports: null };
    const mesh = await create({ services: [named, one] }, { observer });
    for (const port of [8080, 9090]) mesh.receive(port);
    (await create({ services: [one] }, { observer })).receive(9090);
    expect(told).toEqual(['8080 one.shop.svc one', '9090 two.shop.svc two', '9090  ']);
  });

  it('counts each call by who made it, refusals too', async () => {
    const ended: string[] = [];
    const observer = {
      route: () => ({ ended: () => {} }),
      event: () => {},
      inbound: ({ port }: { port: number }) => ({
        ended: ({ call: from, status }: EndedCall) =>
          void ended.push(`${port} ${from?.peer?.connection.principal?.serviceAccount ?? 'unknown'} ${status}`),
      }),
    };
    const mesh = await create({ authorization: [policy('ALLOW', condition('source.namespace', 'a'))] }, { observer });
    await receiveCall(mesh, call(testPeer({ principal: 'td/ns/a/sa/web' })));
    await receiveCall(mesh, call());
    expect(ended).toEqual(['8080 web 200', '8080 unknown 403']);
  });
});

it('tells sinks that want every decision also where no policy could make another', async () => {
  const heard: string[] = [];
  const sink = (wants: 'all' | 'denied' | 'audited') => ({
    name: wants,
    wants,
    record: ({ decision, status }: { decision: string; status: number }) => void heard.push(`${wants}: ${decision} ${status}`),
  });
  const audit = [sink('all'), sink('denied'), sink('audited')];
  const mesh = await create({ mtls: { mode: 'PERMISSIVE', ports: { 9090: 'STRICT' }, resources: [] } }, { audit });
  await receiveCall(mesh, call());
  await receiveCall(mesh, call(testPeer({ localPort: 9090 })));
  mesh.apply(testModel({ jwt: [testJwtRule()] }), 'two');
  await receiveCall(mesh, call(testPeer(), { authorization: 'Bearer bad' }));
  expect(heard).toEqual(['all: allow 0', 'all: deny 403', 'denied: deny 403', 'all: deny 401', 'denied: deny 401']);
});

describe('verifiers of tokens', () => {
  const good = { authorization: 'Bearer good' };

  it('are kept while their rules stay, and closed when the last policy that named them is gone', async () => {
    const tokens = testTokens({ good: {} });
    const mesh = await create({ jwt: [testJwtRule()] }, { tokens });
    const life = mesh.life(mesh.receive(8080));
    mesh.apply(testModel({ jwt: [testJwtRule()], authorization: [policy('ALLOW')] }), 'two');
    expect(tokens.counts).toEqual({ made: 1, closed: 0 });
    mesh.apply(testModel({ jwt: [testJwtRule({ issuer: 'https://other' })] }), 'three');
    // A call of the first policy is still under way.
    expect(tokens.counts).toEqual({ made: 2, closed: 0 });
    life.end(200, -1, 0);
    expect(tokens.counts).toEqual({ made: 2, closed: 1 });
    await mesh.close(0);
    expect(tokens.counts).toEqual({ made: 2, closed: 2 });
  });

  it('that are missing let no token pass, and status says so', async () => {
    const mesh = await create({ jwt: [testJwtRule()] });
    expect(mesh.status().inbound).toMatchObject({ tokens: 'refused' });
    expect((await receiveCall(mesh, call(testPeer(), good))).status).toBe(401);
    expect((await receiveCall(mesh, call())).status).toBe(200);
    mesh.apply(testModel(), 'two');
    expect(mesh.status().inbound).toEqual({ mtls: 'PERMISSIVE', mtlsPorts: {}, policies: 0, tokens: 'not looked at' });
  });

  it('refuse before rules do: a bad token is 401 where a denial would have said 403', async () => {
    const inbound = { jwt: [testJwtRule()], authorization: [policy('DENY')] };
    const mesh = await create(inbound, { tokens: testTokens({ good: {} }) });
    expect((await receiveCall(mesh, call(testPeer(), { authorization: 'Bearer bad' }))).status).toBe(401);
    expect((await receiveCall(mesh, call(testPeer(), good))).status).toBe(403);
  });

  it('are asked by explain as by calls', async () => {
    const mesh = await create({ jwt: [testJwtRule()] }, { tokens: testTokens({ good: { iss: 'i', sub: 's' } }) });
    const explained = await mesh.explainInbound({ url: 'http://orders/', port: 8080, token: 'good' });
    expect(explained).toMatchObject({ decision: 'allow', requestPrincipal: 'i/s' });
  });

  it('are not asked for callers that a STRICT port does not hear', async () => {
    const tokens = testTokens({});
    const mesh = await create({ jwt: [testJwtRule()], mtls: { mode: 'STRICT', ports: {}, resources: [] } }, { tokens });
    expect((await receiveCall(mesh, call(testPeer(), { authorization: 'Bearer bad' }))).status).toBe(403);
    expect(tokens.asked).toEqual([]);
  });
});

describe('a TCP connection', () => {
  it('comes in as the rules over connections say', async () => {
    const mesh = await create({ authorization: [policy('DENY', condition('destination.port', '8080'), condition('method', 'GET'))] });
    expect(mesh.admit(testPeer())).toEqual({ allowed: false, rule: 'ns[shop]-policy[p]-rule[0]' });
    expect(mesh.admit(testPeer({ localPort: 9090 })).allowed).toBe(true);
    mesh.apply(testModel({ authorization: [policy('ALLOW', condition('method', 'GET'))] }), 'two');
    expect(mesh.admit(testPeer()).allowed).toBe(false);
    mesh.apply(testModel({ authorization: [policy('CUSTOM', condition('destination.port', '8080'))] }), 'three');
    expect(mesh.admit(testPeer())).toMatchObject({ allowed: false, rule: 'istio-ext-authz--ns[shop]-policy[p]-rule[0]' });
  });

  it('of nobody does not come in where the port is STRICT', async () => {
    const mesh = await create({ mtls: { mode: 'STRICT', ports: {}, resources: [] } });
    expect(mesh.admit(testPeer()).allowed).toBe(false);
    expect(mesh.admit(testPeer({ principal: 'td/ns/a/sa/b' })).allowed).toBe(true);
  });
});

describe('a server that is not attached', () => {
  it.each(['source.principal', 'source.namespace', 'source.serviceAccount', 'source.trustDomain', 'connection.sni'])(
    'cannot judge rules over %s, and must not pretend to',
    async (name) => {
      expect((await create({ authorization: [policy('DENY', condition(name, 'x'))] })).asksForPeer(8080)).toBe(true);
      expect((await create({ authorization: [{ ...policy('DENY', condition(name, 'x')), dryRun: true }] })).asksForPeer(8080)).toBe(false);
    },
  );

  it('can judge what requests and addresses say, and must not be STRICT', async () => {
    for (const name of ['path', 'source.ip', 'request.auth.principal'])
      expect((await create({ authorization: [policy('DENY', condition(name, 'x'))] })).asksForPeer(8080)).toBe(false);
    const mesh = await create({ mtls: { mode: 'PERMISSIVE', ports: { 9090: 'STRICT' }, resources: [] } });
    expect([mesh.asksForPeer(8080), mesh.asksForPeer(9090)]).toEqual([false, true]);
  });
});
