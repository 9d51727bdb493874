import type { Attribute, AuthorizationPolicy } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { compileAuthorization } from '../inbound/authorization.ts';
import { createLedger } from '../inbound/ledger.ts';
import { PortRbacStats } from '../inbound/rbac-stats.ts';
import type { AuditRecord, AuditSink } from '../ports/audit.ts';
import { fakeClock, testCall, testExchange, testPeer, testProgram, testRuntime, toProgram } from '../testing/index.ts';
import { authorize, custom } from './authorize.ts';

const policy = (action: AuthorizationPolicy['action'], path: string, fields: Partial<AuthorizationPolicy> = {}): AuthorizationPolicy => ({
  namespace: 'shop',
  name: action.toLowerCase(),
  action,
  provider: 'opa',
  dryRun: false,
  rules: [{ from: [], to: [[{ attribute: { name: 'path' } as Attribute, values: [path], notValues: [] }]], when: [] }],
  ...fields,
});

async function called(policies: readonly AuthorizationPolicy[], path: string, wants: AuditSink['wants'][] = []) {
  const clock = fakeClock();
  const records: AuditRecord[][] = wants.map(() => []);
  const sinks = wants.map((what, at): AuditSink => ({ name: what, wants: what, record: (record) => void records[at]!.push(record) }));
  const authorization = compileAuthorization(policies);
  const ledger = createLedger(sinks, authorization, clock);
  const program = testProgram();
  const runtime = testRuntime({ clock });
  const rules = authorization.custom;
  const stats = new PortRbacStats();
  const handler = custom.inbound!(
    { rules, ledger, stats },
    runtime,
  )(authorize.inbound!({ authorization, ledger, stats }, runtime)(toProgram));
  const peer = testPeer({ principal: 'td/ns/shop/sa/web', claims: { iss: 'https://issuer', sub: 'ann' } });
  const run = async () => handler(testExchange({ clock, call: testCall({ path, peer }) }), program);
  const reply = await run().catch((error: unknown) => error);
  return { reply, peer, program, records, stats };
}

describe('authorize', () => {
  it('lets through what a rule allows, and notes which', async () => {
    const { reply, peer } = await called([policy('ALLOW', '/a')], '/a');
    expect(reply).toMatchObject({ value: 'yours' });
    expect(peer.policy).toBe('ns[shop]-policy[allow]-rule[0]');
  });

  it('refuses in Envoy’s words, which name no rule', async () => {
    const refused = await called([policy('DENY', '/a')], '/a');
    expect(refused.reply).toMatchObject({
      code: 'PERMISSION_DENIED',
      status: 403,
      grpcStatus: 7,
      answer: { body: 'RBAC: access denied', headers: [] },
    });
    expect(refused.peer.policy).toBe('ns[shop]-policy[deny]-rule[0]');
    expect(refused.program.received).toEqual([]);
    expect((await called([policy('ALLOW', '/a')], '/b')).reply).toMatchObject({ status: 403, answer: { body: 'RBAC: access denied' } });
  });

  it('refuses whom a CUSTOM policy is for, for nobody can ask its provider', async () => {
    const { reply, peer } = await called([policy('CUSTOM', '/a'), policy('ALLOW', '/*')], '/a');
    expect(reply).toMatchObject({ status: 403, answer: { body: 'RBAC: access denied' } });
    expect(peer.policy).toBe('istio-ext-authz-opa-ns[shop]-policy[custom]-rule[0]');
    expect((await called([policy('CUSTOM', '/a'), policy('ALLOW', '/*')], '/b')).reply).toMatchObject({ value: 'yours' });
  });
});

describe('the ledger', () => {
  const audit = policy('AUDIT', '/a');
  const heard = async (policies: AuthorizationPolicy[], path: string) => {
    const { records } = await called(policies, path, ['audited', 'denied', 'all']);
    return records.map((list) => list.length);
  };

  it('tells each sink what it wants', async () => {
    expect(await heard([audit], '/a')).toEqual([1, 1, 1]);
    expect(await heard([audit], '/b')).toEqual([0, 0, 1]);
    expect(await heard([policy('DENY', '/b')], '/b')).toEqual([0, 1, 1]);
    expect(await heard([policy('CUSTOM', '/b')], '/b')).toEqual([0, 1, 1]);
  });

  it('writes down who asked for what, and what was decided', async () => {
    const dry = [policy('DENY', '/*', { name: 'dry', dryRun: true }), policy('ALLOW', '/x', { name: 'dry2', dryRun: true })];
    const { records } = await called([audit, policy('ALLOW', '/*'), ...dry], '/a', ['audited']);
    expect(records[0]).toEqual([
      {
        time: fakeClock().wall(),
        decision: 'allow',
        status: 0,
        policy: 'ns[shop]-policy[allow]-rule[0]',
        audited: ['ns[shop]-policy[audit]-rule[0]'],
        dryRun: ['deny ns[shop]-policy[dry]-rule[0]', 'deny [none]'],
        principal: 'spiffe://td/ns/shop/sa/web',
        requestPrincipal: 'https://issuer/ann',
        sourceIp: '10.0.0.9',
        method: 'GET',
        authority: 'reviews',
        path: '/a',
        port: 8080,
      },
    ]);
    expect((await called([policy('DENY', '/a')], '/a', ['denied'])).records[0]).toMatchObject([
      { decision: 'deny', status: 403, policy: 'ns[shop]-policy[deny]-rule[0]' },
    ]);
  });

  it('costs nobody a call by a sink that throws', () => {
    const broken: AuditSink = { name: 'broken', wants: 'all', record: () => { throw new Error('disk full'); } }; // prettier-ignore
    const ledger = createLedger([broken], compileAuthorization([]), fakeClock())!;
    expect(() => ledger.decided(testCall({ peer: testPeer() }), { allowed: true, rule: '' })).not.toThrow();
  });

  it('is not kept where nobody listens', () => {
    expect(createLedger([], compileAuthorization([audit]), fakeClock())).toBeUndefined();
  });
});

describe('what is counted', () => {
  const counted = async (policies: readonly AuthorizationPolicy[], path: string) => {
    const { allowed, denied, shadow } = (await called(policies, path)).stats;
    return { allowed, denied, shadow };
  };
  const none = { allow: undefined, deny: undefined };

  it('is every decision, whoever refuses', async () => {
    expect(await counted([policy('ALLOW', '/a')], '/a')).toEqual({ allowed: 1, denied: 0, shadow: none });
    expect(await counted([policy('ALLOW', '/a')], '/b')).toEqual({ allowed: 0, denied: 1, shadow: none });
    expect(await counted([policy('CUSTOM', '/a')], '/a')).toEqual({ allowed: 0, denied: 1, shadow: none });
  });

  it('is what policies in dry run would have decided, each action for itself, without an auditor', async () => {
    const dry = [policy('DENY', '/a', { dryRun: true }), policy('ALLOW', '/b', { dryRun: true })];
    expect(await counted(dry, '/a')).toEqual({
      allowed: 0,
      denied: 0,
      shadow: { deny: { allowed: 0, denied: 1 }, allow: { allowed: 0, denied: 1 } },
    });
    expect((await counted(dry, '/b')).shadow).toEqual({ deny: { allowed: 1, denied: 0 }, allow: { allowed: 1, denied: 0 } });
  });
});
