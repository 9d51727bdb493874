import type { AuthorizationPolicy, Workload } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { document, kube, meshConfig, modelOf, problemsOf, resource, run } from './world.ts';

/**
 * Which security policies hold for a workload, and how several become one: ComposePeerAuthentication and the merging of
 * RequestAuthentications (pilot/pkg/security/authn), selection (pilot/pkg/model/policyattachment.go), aliases of the trust
 * domain (pilot/pkg/security/trustdomain), validation (pkg/config/validation).
 */

const app: Partial<Workload> = { namespace: 'foo', labels: { app: 'foo', version: 'v1' } };
const select = (labels: string): string => `selector: { matchLabels: { ${labels} } }`;
const peer = (id: string, spec: string, day = 0): string => resource('PeerAuthentication', id, spec, { day });
const ROOT = 'istio-system';

describe('PeerAuthentication composes as in Istio', () => {
  /** `STRICT 8080:DISABLE` */
  const composed = (documents: readonly string[], who = app): string => {
    const { mode, ports } = modelOf(document(...documents), who).inbound.mtls;
    return [mode, ...Object.entries(ports).map(([port, own]) => `${port}:${own}`)].join(' ');
  };
  const mesh = (mode: string, day = 0, id = 'mesh'): string => peer(`${ROOT}/${id}`, `mtls: { mode: ${mode} }`, day);
  const ns = (mode: string, day = 0, id = 'ns'): string => peer(`foo/${id}`, `mtls: { mode: ${mode} }`, day);
  const own = (mode: string, ports = '', day = 0, id = 'own'): string =>
    peer(`foo/${id}`, `${select('app: foo')}\nmtls: { mode: ${mode} }\n${ports === '' ? '' : `portLevelMtls: { ${ports} }`}`, day);

  it.each<readonly [statement: string, documents: readonly string[], expected: string]>([
    ['no config', [], 'PERMISSIVE'],
    ['mesh only', [mesh('STRICT')], 'STRICT'],
    ['mesh vs namespace', [mesh('STRICT'), ns('PERMISSIVE')], 'PERMISSIVE'],
    [
      'ignore non-empty selector in root namespace',
      [mesh('STRICT'), peer(`${ROOT}/w`, `${select('app: foo')}\nmtls: { mode: DISABLE }`)],
      'STRICT',
    ],
    ['workload vs namespace config', [ns('STRICT'), own('DISABLE')], 'DISABLE'],
    ['multiple mesh policies: the earliest created', [mesh('STRICT', 3, 'b'), mesh('DISABLE', 1, 'c'), mesh('STRICT', 2, 'a')], 'DISABLE'],
    ['multiple namespace policies: the earliest created', [ns('STRICT', 3, 'b'), ns('DISABLE', 1, 'c'), ns('STRICT', 2, 'a')], 'DISABLE'],
    ['multiple workload policies: the earliest created', [own('STRICT', '', 3, 'b'), own('DISABLE', '', 1, 'c')], 'DISABLE'],
    ['inheritance: default mesh', [mesh('UNSET')], 'PERMISSIVE'],
    ['inheritance: mesh to workload', [mesh('STRICT'), ns('UNSET'), own('UNSET')], 'STRICT'],
    ['inheritance: namespace to workload', [mesh('STRICT'), ns('DISABLE'), own('UNSET')], 'DISABLE'],
    ['inheritance: mesh to namespace', [mesh('DISABLE'), ns('UNSET')], 'DISABLE'],
    ['port level', [own('STRICT', '80: { mode: DISABLE }')], 'STRICT 80:DISABLE'],
    [
      'port level and inheritance',
      [mesh('STRICT'), own('UNSET', '80: { mode: UNSET }, 81: { mode: PERMISSIVE }')],
      'STRICT 80:STRICT 81:PERMISSIVE',
    ],
    ['port level of others', [own('STRICT', '80: { mode: DISABLE }').replace('app: foo', 'app: bar'), ns('STRICT')], 'STRICT'],
    ['namespace of others', [peer('bar/ns', 'mtls: { mode: STRICT }')], 'PERMISSIVE'],
  ])('%s', (_, documents, expected) => {
    expect(composed(documents)).toBe(expected);
    expect(composed(documents.toReversed())).toBe(expected);
  });

  it('decides for callers whether an endpoint is called by mutual TLS', async () => {
    const pods = kube('a.foo', { ports: ['http:80', 'http-b:81'], labels: { 'security.istio.io/tlsMode': 'istio' } });
    const called = async (...documents: readonly string[]): Promise<string> => {
      const { call, transport } = await run(document(pods, ...documents), undefined, { who: { namespace: 'bar' } });
      await call('http://a.foo/');
      await call('http://a.foo:81/');
      return transport.attempts.map(({ placement: { endpoint } }) => `${endpoint.port} ${endpoint.mtls ? 'mtls' : 'plaintext'}`).join();
    };
    expect(await called(mesh('STRICT'))).toBe('80 mtls,81 mtls');
    expect(await called(mesh('DISABLE'))).toBe('80 plaintext,81 plaintext');
    expect(await called(mesh('DISABLE'), ns('STRICT'))).toBe('80 mtls,81 mtls');
    expect(await called(peer('foo/w', `${select('app: a')}\nportLevelMtls: { 81: { mode: DISABLE } }`))).toBe('80 mtls,81 plaintext');
    expect(await called(peer('bar/ns', 'mtls: { mode: DISABLE }'))).toBe('80 mtls,81 mtls');
  });
});

describe('AuthorizationPolicy', () => {
  const policy = (id: string, spec: string): string => resource('AuthorizationPolicy', id, spec);
  const held = (who: Partial<Workload>, ...documents: readonly string[]): readonly AuthorizationPolicy[] =>
    modelOf(document(...documents), who).inbound.authorization;
  const names = (who: Partial<Workload>, ...documents: readonly string[]): string =>
    held(who, ...documents)
      .map(({ namespace, name }) => `${namespace}/${name}`)
      .join(' ');
  const rule = 'rules: [{}]';

  const documents = [
    policy(`${ROOT}/all`, rule),
    policy(`${ROOT}/some`, `${select('app: foo')}\n${rule}`),
    policy('foo/all', rule),
    policy('foo/app', `${select('app: foo')}\n${rule}`),
    policy('foo/both', `${select('app: foo, version: v1')}\n${rule}`),
    policy('foo/other', `${select('app: foo, version: v2')}\n${rule}`),
    policy('foo/waypoint', `targetRefs: [{ kind: Service, name: foo }]\n${rule}`),
    policy('foo/gateway', `targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: foo }]\n${rule}`),
    policy('bar/all', rule),
  ];

  it.each<readonly [statement: string, who: Partial<Workload>, expected: string]>([
    ['of the workload, its namespace and the root namespace', app, `foo/all foo/app foo/both ${ROOT}/all ${ROOT}/some`],
    ['for a workload without labels', { namespace: 'foo' }, `foo/all ${ROOT}/all`],
    ['elsewhere', { namespace: 'baz', labels: { app: 'foo' } }, `${ROOT}/all ${ROOT}/some`],
    ['in the root namespace', { namespace: ROOT }, `${ROOT}/all`],
  ])('holds %s', (_, who, expected) => {
    expect(names(who, ...documents)).toBe(expected);
    expect(names(who, ...documents.toReversed())).toBe(expected);
  });

  it('follows the root namespace of the mesh', () => {
    expect(names(app, meshConfig('rootNamespace: bar'), ...documents)).toBe('bar/all foo/all foo/app foo/both');
  });

  it('knows the trust domain of the mesh by its aliases, in from and in when (td-aliases-source-principal)', () => {
    const td = meshConfig('trustDomain: td1\ntrustDomainAliases: [cluster.local, some-td]');
    const [found] = held(
      app,
      td,
      policy(
        'foo/p',
        'rules: [{ from: [{ source: { principals: [cluster.local/ns/rule/sa/a, other/ns/rule/sa/b, "*-td/ns/rule/sa/c"] } }], when: [{ key: source.principal, notValues: [td1/ns/x/sa/y] }] }]',
      ),
    );
    expect(found?.rules[0]?.from[0]?.[0]?.values).toEqual([
      '*-td/ns/rule/sa/c',
      'cluster.local/ns/rule/sa/a',
      'cluster.local/ns/rule/sa/c',
      'other/ns/rule/sa/b',
      'some-td/ns/rule/sa/a',
      'td1/ns/rule/sa/a',
      'td1/ns/rule/sa/c',
    ]);
    expect(found?.rules[0]?.when[0]?.notValues).toEqual(['cluster.local/ns/x/sa/y', 'some-td/ns/x/sa/y', 'td1/ns/x/sa/y']);
  });

  it('that Istio refuses is refused, and keeps the whole document out', () => {
    const bad = [
      'action: DENY',
      'action: CUSTOM\nrules: [{}]',
      'rules: [{ from: [] }]',
      'rules: [{ to: [] }]',
      'rules: [{ from: [{ source: {} }] }]',
      'rules: [{ to: [{ operation: {} }] }]',
      'rules: [{ from: [{ source: { principals: [""] } }] }]',
      'rules: [{ when: [{ key: source.ip }] }]',
      'rules: [{ when: [{ key: unknown, values: [a] }] }]',
      'action: CUSTOM\nprovider: { name: p }\nrules: [{ from: [{ source: { requestPrincipals: ["*"] } }] }]',
    ];
    for (const spec of bad) {
      expect(
        problemsOf(policy('foo/p', spec)).some(({ severity }) => severity === 'error'),
        spec,
      ).toBe(true);
      expect(() => modelOf(document(policy('foo/q', rule), policy('foo/p', spec)))).toThrow(/foo\/p/);
    }
  });
});

describe('RequestAuthentication', () => {
  const token = (id: string, issuer: string, more = ''): string =>
    resource('RequestAuthentication', id, `${more}\njwtRules: [{ issuer: ${issuer}, jwksUri: "https://issuer.test/keys" }]`);

  it('merges those of the root namespace, the namespace and the workload, by issuer', () => {
    const documents = [
      token(`${ROOT}/all`, 'c'),
      token('foo/all', 'd'),
      token('foo/app', 'a', select('app: foo')),
      token('foo/not', 'b', select('app: bar')),
      token('bar/all', 'e'),
    ];
    const issuers = (given: readonly string[]): readonly string[] =>
      modelOf(document(...given), app).inbound.jwt.map(({ issuer }) => issuer);
    expect(issuers(documents)).toEqual(['a', 'c', 'd']);
    expect(issuers(documents.toReversed())).toEqual(['a', 'c', 'd']);
  });
});
