import { describe, expect, it } from 'vitest';
import { ask, cluster, destinationRule, document, fate, meshConfig, modelOf, resource, WORLD } from './world.ts';

/** Settings of the mesh that change routing: istio/api mesh/v1alpha1 MeshConfig, defaults of istio pkg/config/mesh. */

const settings = (spec: string) => modelOf(spec === '' ? WORLD : document(WORLD, meshConfig(spec))).settings;
const ratings = (spec: string, more = '') => cluster(modelOf(document(WORLD, spec === '' ? '' : meshConfig(spec), more)), '80||ratings');

describe('defaults', () => {
  it("are Istio's", () => {
    expect(settings('')).toMatchObject({
      rootNamespace: 'istio-system',
      domain: 'cluster.local',
      trustDomain: 'cluster.local',
      trustDomainAliases: [],
      outboundTrafficPolicy: 'ALLOW_ANY',
      enableAutoMtls: true,
      dnsRefreshRateMs: 60_000,
      pathNormalization: 'BASE',
      alwaysEjectOne: true,
    });
  });

  it('an empty MeshConfig changes nothing', () => {
    expect(settings('{}')).toEqual(settings(''));
    expect(modelOf(document(WORLD, meshConfig('{}'))).clusters).toEqual(modelOf(WORLD).clusters);
  });
});

describe('settings', () => {
  it.each<readonly [spec: string, expected: object]>([
    ['rootNamespace: mesh-root', { rootNamespace: 'mesh-root' }],
    ['trustDomain: example.org', { trustDomain: 'example.org' }],
    ['trustDomainAliases: [old.org]', { trustDomainAliases: ['old.org'] }],
    ['outboundTrafficPolicy: { mode: REGISTRY_ONLY }', { outboundTrafficPolicy: 'REGISTRY_ONLY' }],
    ['enableAutoMtls: false', { enableAutoMtls: false }],
    ['dnsRefreshRate: 5s', { dnsRefreshRateMs: 5000 }],
    ['pathNormalization: { normalization: NONE }', { pathNormalization: 'NONE' }],
    ['pathNormalization: { normalization: MERGE_SLASHES }', { pathNormalization: 'MERGE_SLASHES' }],
    ['pathNormalization: { normalization: DECODE_AND_MERGE_SLASHES }', { pathNormalization: 'DECODE_AND_MERGE_SLASHES' }],
    ['pathNormalization: { normalization: DEFAULT }', { pathNormalization: 'BASE' }],
    ['alwaysEjectOne: false', { alwaysEjectOne: false }],
  ])('%s', (spec, expected) => {
    expect(settings(spec)).toMatchObject(expected);
  });

  it('connectTimeout: 10 s by default, beaten by a rule', () => {
    const own = destinationRule('dr', 'host: ratings\ntrafficPolicy: { connectionPool: { tcp: { connectTimeout: 1s } } }');
    expect([
      ratings('').connection.connectTimeoutMs,
      ratings('connectTimeout: 3s').connection.connectTimeoutMs,
      ratings('connectTimeout: 3s', own).connection.connectTimeoutMs,
    ]).toEqual([10_000, 3000, 1000]);
  });

  it('defaultHttpRetryPolicy replaces the built-in default everywhere', () => {
    const yaml = document(WORLD, meshConfig('defaultHttpRetryPolicy: { attempts: 9, retryOn: "5xx", perTryTimeout: 1s, backoff: 10ms }'));
    const expected = { attempts: 9, retryOn: ['5xx'], perTryTimeoutMs: 1000, backoffMs: { base: 10, max: 100 } };
    expect(ask(yaml, 'http://ratings/').retries).toMatchObject(expected);
    const routed = document(
      yaml,
      resource('VirtualService', 'vs', 'hosts: [reviews]\nhttp: [{ route: [{ destination: { host: reviews } }] }]'),
    );
    expect(ask(routed, '/').retries).toMatchObject(expected);
    const gateway = document(
      yaml,
      resource(
        'HTTPRoute',
        'r',
        'parentRefs: [{ group: "", kind: Service, name: reviews }]\nrules: [{ backendRefs: [{ name: ratings, port: 80 }] }]',
      ),
    );
    expect(ask(gateway, '/').retries).toMatchObject(expected);
  });

  it('defaultTrafficPolicy: blocks for those without', () => {
    const policy = ratings(
      'defaultTrafficPolicy: { connectionPool: { http: { maxRetries: 4 } }, outlierDetection: { consecutive5xxErrors: 2 } }',
    );
    expect([policy.limits.retries, policy.outlier?.consecutive5xx]).toEqual([4, 2]);
  });

  it('localityLbSetting: on by default, so outlier detection alone switches failover on', () => {
    const outlier = destinationRule('dr', 'host: ratings\ntrafficPolicy: { outlierDetection: {} }');
    expect([
      ratings('').locality,
      ratings('', outlier).locality.kind,
      ratings('localityLbSetting: { enabled: false }', outlier).locality,
    ]).toEqual([{ kind: 'off' }, 'failover', { kind: 'off' }]);
  });

  it('localityLbSetting: distribute for all', () => {
    expect(ratings('localityLbSetting: { distribute: [{ from: "*", to: { eu: 100 } }] }').locality).toEqual({
      kind: 'distribute',
      to: [{ pattern: 'eu', percent: 100 }],
    });
  });

  it('h2UpgradePolicy', () => {
    expect([ratings('').http, ratings('h2UpgradePolicy: UPGRADE').http]).toEqual(['http1', 'http2']);
  });

  it('the oldest of several holds', () => {
    const config = (name: string, domain: string, day: number): string => resource('MeshConfig', name, `trustDomain: ${domain}`, { day });
    expect(modelOf(document(config('young', 'young.org', 2), config('old', 'old.org', 1))).settings.trustDomain).toBe('old.org');
  });

  it('zoneAwareLbSetting and inbound retries are taken, and listed as not honoured', () => {
    const yaml = document(WORLD, meshConfig('zoneAwareLbSetting: { enabled: true }\ndefaultInboundHttpRetryPolicy: { attempts: 1 }'));
    expect(fate(yaml, 'http://ratings/')).toBe('80||ratings');
  });
});
