import type { Attribute, AuthorizationPolicy, AuthorizationRule, Condition } from '@inmesh/policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Call } from '../call.ts';
import type { Peer } from '../peer.ts';
import { type TestCall, testCall } from '../testing/exchange.ts';
import { type TestPeer, testPeer } from '../testing/peer.ts';
import { compileAuthorization, decide } from './authorization.ts';

const condition = (name: string, values: string[], notValues: string[] = []): Condition => ({
  attribute: { name } as Attribute,
  values,
  notValues,
});
const rule = (fields: Partial<AuthorizationRule> = {}): AuthorizationRule => ({ from: [], to: [], when: [], ...fields });
const policy = (action: AuthorizationPolicy['action'], rules: AuthorizationRule[], fields: Partial<AuthorizationPolicy> = {}): AuthorizationPolicy => ({
  namespace: 'foo', name: 'p', action, provider: '', dryRun: false, rules, ...fields,
}); // prettier-ignore

function verdict(policies: readonly AuthorizationPolicy[], call: Call, peer: Peer, protocol: 'http' | 'tcp' = 'http') {
  const { custom, deny, allow } = compileAuthorization(policies, protocol);
  if (custom.some(({ matches }) => matches(call, peer))) return { allowed: false, rule: 'custom' };
  return decide(deny, allow, call, peer);
}
const asked = (policies: readonly AuthorizationPolicy[], call: TestCall = {}, peer: TestPeer = {}) =>
  verdict(policies, testCall(call), testPeer(peer));

const path = (...values: string[]) => rule({ to: [[condition('path', values)]] });

describe('policies together', () => {
  it('allow what nothing speaks of', () => {
    expect(asked([])).toEqual({ allowed: true, rule: '' });
    expect(asked([policy('DENY', [path('/a')])], { path: '/b' })).toEqual({ allowed: true, rule: '' });
  });

  it('deny before they allow, and name the rule', () => {
    const both = [policy('ALLOW', [path('/a'), path('/b')]), policy('DENY', [path('/a')], { name: 'no' })];
    expect(asked(both, { path: '/a' })).toEqual({ allowed: false, rule: 'ns[foo]-policy[no]-rule[0]' });
    expect(asked(both, { path: '/b' })).toEqual({ allowed: true, rule: 'ns[foo]-policy[p]-rule[1]' });
    expect(asked(both, { path: '/c' })).toEqual({ allowed: false, rule: '' });
  });

  it('allow nothing where an ALLOW policy has no rule, everything where it has an empty one', () => {
    expect(asked([policy('ALLOW', [])]).allowed).toBe(false);
    expect(asked([policy('ALLOW', [rule()])]).allowed).toBe(true);
    expect(asked([policy('DENY', [rule()])]).allowed).toBe(false);
  });

  it('allow everything once the last ALLOW policy is gone, and nothing while one without rules is left', () => {
    const last = policy('ALLOW', [path('/a')]);
    expect(asked([last], { path: '/b' }).allowed).toBe(false);
    expect(asked([{ ...last, rules: [] }], { path: '/a' }).allowed).toBe(false);
    expect(asked([], { path: '/b' }).allowed).toBe(true);
  });

  it('obey none in dry run: a lone ALLOW in dry run allows everything', () => {
    expect(asked([policy('ALLOW', [], { dryRun: true }), policy('DENY', [rule()], { dryRun: true })]).allowed).toBe(true);
  });

  it('deny plaintext where a denial is for everybody without an identity, and let it pass an ALLOW of negatives (ISTIO-SECURITY-2021-004)', () => {
    const unknown = rule({ from: [[condition('source.principal', [], ['*'])]] });
    expect(asked([policy('DENY', [unknown])]).allowed).toBe(false);
    expect(asked([policy('DENY', [unknown])], {}, { principal: 'td/ns/a/sa/b' }).allowed).toBe(true);
    expect(asked([policy('ALLOW', [rule({ from: [[condition('source.namespace', [], ['bad'])]] })])]).allowed).toBe(true);
  });
});

describe('of a TCP connection', () => {
  const port = condition('destination.port', ['8080']);
  const both = rule({ to: [[condition('method', ['GET']), port]] });
  const tcp = (policies: AuthorizationPolicy[]) => verdict(policies, testCall({ method: '', path: '' }), testPeer(), 'tcp').allowed;

  it('a rule that allows requests allows nothing', () => {
    expect(tcp([policy('ALLOW', [both])])).toBe(false);
    expect(tcp([policy('ALLOW', [rule({ to: [[condition('path', ['/a'])], [port]] })])])).toBe(false);
    expect(tcp([policy('ALLOW', [rule({ to: [[port]] })])])).toBe(true);
  });

  it('a rule that denies requests denies what is left of it', () => {
    expect(tcp([policy('DENY', [both])])).toBe(false);
    expect(tcp([policy('DENY', [rule({ to: [[condition('method', ['GET']), condition('destination.port', ['9'])]] })])])).toBe(true);
    expect(tcp([policy('DENY', [path('/a')])])).toBe(false);
  });
});

// ---- laws ---------------------------------------------------------------------------------------------------------------

const word = fc.constantFrom('a', 'b', 'ab');
const text = fc.oneof(word, word.map((one) => `${one}*`), word.map((one) => `*${one}`), fc.constant('*')); // prettier-ignore
const attribute = fc.constantFrom<Attribute>(
  { name: 'method' }, { name: 'path' }, { name: 'source.namespace' }, { name: 'request.headers', header: 'x' }, { name: 'request.auth.claims', claim: ['c'] }, { name: 'connection.sni' },
); // prettier-ignore
const conditions = fc
  .record({ attribute, values: fc.array(text, { maxLength: 2 }), notValues: fc.array(text, { maxLength: 2 }) })
  .filter(({ values, notValues }) => values.length + notValues.length > 0);
const rules: fc.Arbitrary<AuthorizationRule> = fc.record({
  from: fc.array(fc.array(conditions, { minLength: 1, maxLength: 2 }), { maxLength: 2 }),
  to: fc.array(fc.array(conditions, { minLength: 1, maxLength: 2 }), { maxLength: 2 }),
  when: fc.array(conditions, { maxLength: 2 }),
});
const policies = fc.array(
  fc
    .record({
      action: fc.constantFrom('ALLOW' as const, 'ALLOW' as const, 'DENY' as const, 'AUDIT' as const),
      rules: fc.array(rules, { maxLength: 3 }),
      dryRun: fc.boolean(),
    })
    .map(({ action, rules: list, dryRun }) => policy(action, list, { dryRun: dryRun && action !== 'AUDIT' })),
  { maxLength: 4 },
);
const inbound = fc
  .record({
    method: word,
    path: word,
    x: fc.array(word, { maxLength: 1 }),
    namespace: fc.option(word),
    c: fc.option(fc.oneof(word, fc.array(word), fc.nat())),
    sni: fc.option(word),
  })
  .map(({ method, path: at, x, namespace, c, sni }) => ({
    call: testCall({ method, path: at, headers: x.length === 0 ? {} : { x } }),
    peer: testPeer({
      ...(namespace === null ? {} : { principal: `td/ns/${namespace}/sa/s` }),
      ...(c === null ? {} : { claims: { c } }),
      ...(sni === null ? {} : { sni }),
    }),
  }));
const often = { numRuns: 3000 };
const shuffled = <T>(list: readonly T[], seed: number): T[] => list.map((item, at) => [(at * 7919 + seed) % 31, item] as const).toSorted(([a], [b]) => a - b).map(([, item]) => item); // prettier-ignore

describe('whatever the policies and the call', () => {
  it('another denial never allows more', () =>
    fc.assert(
      fc.property(policies, rules, inbound, (given, more, { call, peer }) => {
        return !verdict([...given, policy('DENY', [more])], call, peer).allowed || verdict(given, call, peer).allowed;
      }),
      often,
    ));

  it('a rule taken from a policy that allows never allows more', () =>
    fc.assert(
      fc.property(policies, fc.nat(), inbound, (given, at, { call, peer }) => {
        const less = given.map((one) => (one.action === 'ALLOW' ? { ...one, rules: one.rules.toSpliced(at % 3, 1) } : one));
        return !verdict(less, call, peer).allowed || verdict(given, call, peer).allowed;
      }),
      often,
    ));

  it('a whole policy that allows, taken away, allows more only where it was the last one', () =>
    fc.assert(
      fc.property(policies, fc.nat(), inbound, (given, at, { call, peer }) => {
        const enforced = given.filter(({ action, dryRun }) => action === 'ALLOW' && !dryRun);
        fc.pre(enforced.length > 1);
        const less = given.filter((one) => one !== enforced[at % enforced.length]);
        return !verdict(less, call, peer).allowed || verdict(given, call, peer).allowed;
      }),
      often,
    ));

  it('a policy in dry run changes nothing', () =>
    fc.assert(
      fc.property(policies, inbound, (given, { call, peer }) => {
        const enforced = given.filter(({ dryRun }) => !dryRun);
        return verdict(given, call, peer).allowed === verdict(enforced, call, peer).allowed;
      }),
      often,
    ));

  it('order means nothing, of policies or of rules', () =>
    fc.assert(
      fc.property(policies, fc.nat(), inbound, (given, seed, { call, peer }) => {
        const other = shuffled(given, seed).map((one) => ({ ...one, rules: shuffled(one.rules, seed) }));
        return verdict(other, call, peer).allowed === verdict(given, call, peer).allowed;
      }),
      often,
    ));

  it('another value matches more, another value not to be matches less', () =>
    fc.assert(
      fc.property(conditions, text, inbound, (one, more, { call, peer }) => {
        const matches = (changed: Condition) => verdict([policy('ALLOW', [rule({ when: [changed] })])], call, peer).allowed;
        const wider = one.values.length === 0 || !matches(one) || matches({ ...one, values: [...one.values, more] });
        return wider && (!matches({ ...one, notValues: [...one.notValues, more] }) || matches(one));
      }),
      often,
    ));
});
