import { describe, expect, it } from 'vitest';
import type { AuthorizationPolicy, AuthorizationRule, Workload } from '../index.ts';
import { authorizationPolicy, meshConfig, modelOf } from './trying.ts';

const root = { namespace: 'istio-system' };
const forApp = (app: string): object => ({ selector: { matchLabels: { app } } });
const all = (documents: readonly string[], who: Partial<Workload> = { labels: { app: 'a' } }): readonly AuthorizationPolicy[] =>
  modelOf(documents, who).inbound.authorization;
const names = (documents: readonly string[], who?: Partial<Workload>): readonly string[] =>
  all(documents, who).map(({ action, namespace, name }) => `${action} ${namespace}/${name}`);
const ruleOf = (rule: object, more: readonly string[] = []): AuthorizationRule =>
  all([authorizationPolicy('p', { rules: [rule] }), ...more])[0]!.rules[0]!;

describe('the AuthorizationPolicies of a workload', () => {
  it('are those of its namespace and of the root namespace whose selector holds', () => {
    const documents = [
      authorizationPolicy('own', forApp('a')),
      authorizationPolicy('other', forApp('b')),
      authorizationPolicy('far', {}, { namespace: 'far' }),
      authorizationPolicy('mesh', {}, root),
      authorizationPolicy('mesh-a', { ...forApp('a'), action: 'DENY', rules: [{}] }, root),
      authorizationPolicy('mesh-b', { ...forApp('b') }, root),
    ];
    expect(names(documents)).toEqual(['ALLOW default/own', 'ALLOW istio-system/mesh', 'DENY istio-system/mesh-a']);
    expect(names(documents, { namespace: 'far' })).toEqual(['ALLOW far/far', 'ALLOW istio-system/mesh']);
    expect(names(documents, root)).toEqual(['ALLOW istio-system/mesh']);
    expect(names([...documents, meshConfig({ rootNamespace: 'far' })])).toEqual(['ALLOW default/own', 'ALLOW far/far']);
  });

  it('are not those attached to gateways and waypoints', () => {
    const target = { kind: 'Service', name: 'a' };
    const documents = [
      authorizationPolicy('refs', { targetRefs: [target] }),
      authorizationPolicy('ref', { targetRef: target }),
      authorizationPolicy('none', { targetRefs: [] }),
    ];
    expect(names(documents)).toEqual(['ALLOW default/none']);
  });

  it('have their action, provider and whether they run dry', () => {
    const dry = (value: string): object => ({ annotations: { 'istio.io/dry-run': value } });
    expect(
      all([
        authorizationPolicy('c', { action: 'CUSTOM', provider: { name: 'ext' }, rules: [{}] }),
        authorizationPolicy('d', { action: 'DENY', rules: [{}] }, dry('T')),
        authorizationPolicy('e', { action: 'DENY', rules: [{}] }, dry('false')),
        authorizationPolicy('n', {}),
      ]),
    ).toEqual([
      { namespace: 'default', name: 'n', action: 'ALLOW', provider: '', dryRun: false, rules: [] },
      { namespace: 'default', name: 'c', action: 'CUSTOM', provider: 'ext', dryRun: false, rules: [{ from: [], to: [], when: [] }] },
      { namespace: 'default', name: 'd', action: 'DENY', provider: '', dryRun: true, rules: [{ from: [], to: [], when: [] }] },
      { namespace: 'default', name: 'e', action: 'DENY', provider: '', dryRun: false, rules: [{ from: [], to: [], when: [] }] },
    ]);
  });
});

describe('a rule', () => {
  it('asks for each attribute its fields name, with what fits and what does not', () => {
    const source = {
      principals: ['td/ns/a/sa/b'],
      notPrincipals: ['td/ns/a/sa/c'],
      requestPrincipals: ['iss/sub'],
      namespaces: ['a'],
      notNamespaces: ['b*'],
      ipBlocks: ['10.0.0.0/8'],
      remoteIpBlocks: ['1.2.3.4'],
      notTrustDomains: ['x'],
    };
    const operation = { hosts: ['A.b:*'], notHosts: ['c'], ports: ['080'], methods: ['GET'], paths: ['/a/{*}'], notPaths: ['/b'] };
    const { from, to, when } = ruleOf({ from: [{ source }], to: [{ operation }] });
    expect(from).toEqual([
      [
        { attribute: { name: 'remote.ip' }, values: ['1.2.3.4'], notValues: [] },
        { attribute: { name: 'request.auth.principal' }, values: ['iss/sub'], notValues: [] },
        { attribute: { name: 'source.ip' }, values: ['10.0.0.0/8'], notValues: [] },
        { attribute: { name: 'source.namespace' }, values: ['a'], notValues: ['b*'] },
        { attribute: { name: 'source.principal' }, values: ['td/ns/a/sa/b'], notValues: ['td/ns/a/sa/c'] },
        { attribute: { name: 'source.trustDomain' }, values: [], notValues: ['x'] },
      ],
    ]);
    expect(to).toEqual([
      [
        { attribute: { name: 'destination.port' }, values: ['80'], notValues: [] },
        { attribute: { name: 'host' }, values: ['A.b:*'], notValues: ['c'] },
        { attribute: { name: 'method' }, values: ['GET'], notValues: [] },
        { attribute: { name: 'path' }, values: ['/a/{*}'], notValues: ['/b'] },
      ],
    ]);
    expect(when).toEqual([]);
  });

  it.each<readonly [key: string, attribute: object]>([
    ['source.principal', { name: 'source.principal' }],
    ['source.namespace', { name: 'source.namespace' }],
    ['source.ip', { name: 'source.ip' }],
    ['remote.ip', { name: 'remote.ip' }],
    ['destination.ip', { name: 'destination.ip' }],
    ['connection.sni', { name: 'connection.sni' }],
    ['request.auth.principal', { name: 'request.auth.principal' }],
    ['request.auth.audiences', { name: 'request.auth.audiences' }],
    ['request.auth.presenter', { name: 'request.auth.presenter' }],
    ['request.headers[X-User]', { name: 'request.headers', header: 'x-user' }],
    ['request.auth.claims[a/b.c]', { name: 'request.auth.claims', claim: ['a/b.c'] }],
    ['request.auth.claims[a][b][c]', { name: 'request.auth.claims', claim: ['a', 'b', 'c'] }],
    ['experimental.envoy.filters.a.b[c]', { name: 'experimental.envoy.filters', key: 'a.b[c]' }],
  ])('asks by %s', (key, attribute) => {
    const values = key.endsWith('.ip') ? ['1.1.1.1'] : ['x'];
    expect(ruleOf({ when: [{ key, values }] }).when).toEqual([{ attribute, values, notValues: [] }]);
  });

  it('completes service accounts with the namespace of the policy', () => {
    const name = 'source.serviceAccount';
    const accounts = [{ attribute: { name }, values: ['default/sa', 'far/sa'], notValues: ['default/x'] }];
    expect(ruleOf({ from: [{ source: { serviceAccounts: ['sa', 'far/sa'], notServiceAccounts: ['x'] } }] }).from).toEqual([accounts]);
    expect(ruleOf({ when: [{ key: name, values: ['far/sa', 'sa'], notValues: ['x'] }] }).when).toEqual(accounts);
    const fromRoot = authorizationPolicy('p', { rules: [{ from: [{ source: { serviceAccounts: ['sa'] } }] }] }, root);
    expect(all([fromRoot])[0]?.rules[0]?.from).toEqual([[{ attribute: { name }, values: ['istio-system/sa'], notValues: [] }]]);
  });

  it('means a trust domain by all its names', () => {
    const mesh = meshConfig({ trustDomain: 'td1', trustDomainAliases: ['td2'] });
    const { from, when } = ruleOf(
      {
        from: [{ source: { principals: ['cluster.local/ns/a/sa/b'], notPrincipals: ['td2/ns/a/sa/c'], trustDomains: ['td1'] } }],
        when: [{ key: 'source.principal', notValues: ['td1/ns/a/sa/d'] }],
      },
      [mesh],
    );
    expect(from[0]).toEqual([
      {
        attribute: { name: 'source.principal' },
        values: ['td1/ns/a/sa/b', 'td2/ns/a/sa/b'],
        notValues: ['td1/ns/a/sa/c', 'td2/ns/a/sa/c'],
      },
      { attribute: { name: 'source.trustDomain' }, values: ['td1', 'td2'], notValues: [] },
    ]);
    expect(when).toEqual([{ attribute: { name: 'source.principal' }, values: [], notValues: ['td1/ns/a/sa/d', 'td2/ns/a/sa/d'] }]);
  });

  it('is the same in whatever order its parts stand, and keeps its place among the rules', () => {
    const source = (principals: string[]): object => ({ source: { principals } });
    const rule = (reverse: boolean): object => {
      const turned = <T>(...list: T[]): T[] => (reverse ? list.toReversed() : list);
      return {
        from: turned(source(turned('a', 'b')), source(['c'])),
        to: turned({ operation: { ports: turned('80', '81') } }, { operation: { methods: ['GET'] } }),
        when: turned({ key: 'source.namespace', values: ['x'] }, { key: 'request.headers[a]', values: turned('1', '2') }),
      };
    };
    expect(ruleOf(rule(true))).toEqual(ruleOf(rule(false)));
    const two = all([authorizationPolicy('p', { rules: [{ from: [source(['z'])] }, { from: [source(['a'])] }] })])[0]!.rules;
    expect(two.map(({ from }) => from[0]?.[0]?.values)).toEqual([['z'], ['a']]);
  });

  it('asks twice for what is asked for twice', () => {
    const key = 'request.headers[a]';
    expect(
      ruleOf({
        when: [
          { key, values: ['a*'] },
          { key, values: ['*b'] },
        ],
      }).when,
    ).toHaveLength(2);
  });
});
