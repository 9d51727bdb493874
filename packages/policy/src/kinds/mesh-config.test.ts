import { describe, expect, it } from 'vitest';
import { documentOf, judge, named, problemsOf, resource, type Row } from '../testing/problems.ts';
import { isKind } from './index.ts';

const rows: readonly Row[] = [
  ['an empty one', {}, null],
  ['Peak EWMA for all', { defaultTrafficPolicy: { loadBalancer: { simple: 'PEAK_EWMA' } } }, null],
  ['an algorithm that is none', { defaultTrafficPolicy: { loadBalancer: { simple: 'FASTEST' } } }, 'spec.defaultTrafficPolicy.loadBalancer.simple', /not one of/],
  ['a retry word that is none', { defaultHttpRetryPolicy: { attempts: 1, retryOn: 'always' } }, 'spec.defaultHttpRetryPolicy.retryOn', /always/],
  ['distribute of 90 %', { localityLbSetting: { distribute: [{ from: 'a', to: { a: 90 } }] } }, 'spec.localityLbSetting.distribute[0].to', /90/],
  ['local failures without split', { defaultTrafficPolicy: { outlierDetection: { consecutiveLocalOriginFailures: 1 } } }, 'spec.defaultTrafficPolicy.outlierDetection.consecutiveLocalOriginFailures', /needs split/],
  ['no connection to an endpoint', { connectionsPerEndpoint: 0 }, 'spec.connectionsPerEndpoint', /1 to/],
  ['a domain that is none', { domain: 'Cluster local' }, 'spec.domain', /DNS-1123/],
  ['a connectTimeout of 0', { connectTimeout: '0s' }, 'spec.connectTimeout', /0 means/],
  ['a field of Istio that is not here', { ingressService: 'istio' }, 'spec.ingressService', /unknown field/],

  ['access logs on the standard output', { accessLogFile: '/dev/stdout', accessLogEncoding: 'JSON', accessLogFormat: '{"code": "%RESPONSE_CODE%"}' }, null],
  ['access logs of no file', { accessLogFile: '' }, null],
  ['an encoding that is none', { accessLogEncoding: 'YAML' }, 'spec.accessLogEncoding', /not one of TEXT, JSON/],
  ['a format that is no JSON', { accessLogEncoding: 'JSON', accessLogFormat: '[%START_TIME%]' }, 'spec.accessLogFormat', /no JSON object/, 'warning'],
  ['a format that is no object', { accessLogEncoding: 'JSON', accessLogFormat: '["a"]' }, 'spec.accessLogFormat', /no JSON object/, 'warning'],
  ['a format of text', { accessLogFormat: '[%START_TIME%] %RESPONSE_CODE%\n' }, null],
  ['sampling above 100', { defaultConfig: { tracing: { sampling: 101 } } }, 'spec.defaultConfig.tracing.sampling', /0 to 100/],
  ['a tag of nothing', { defaultConfig: { tracing: { customTags: { a: {} } } } }, 'spec.defaultConfig.tracing.customTags.a', /needs one of/],
  ['where Zipkin is', { defaultConfig: { tracing: { zipkin: { address: 'zipkin:9411' } } } }, 'spec.defaultConfig.tracing.zipkin', /not honoured/, 'info'],
  ['lines in a file', { extensionProviders: [{ name: 'a', envoyFileAccessLog: { path: '/log', logFormat: { text: '%PROTOCOL%' }, omitEmptyValues: true } }] }, null],
  ['lines of JSON', { extensionProviders: [{ name: 'a', envoyFileAccessLog: { path: '/log', logFormat: { labels: { a: '%PROTOCOL%', b: { c: ['d'] } } } } }] }, null],
  ['lines of text and of JSON', { extensionProviders: [{ name: 'a', envoyFileAccessLog: { logFormat: { text: 'a', labels: { b: 'c' } } } }] }, 'spec.extensionProviders[0].envoyFileAccessLog.logFormat.labels', /excludes labels/],
  ['a provider of no kind', { extensionProviders: [{ name: 'a' }] }, 'spec.extensionProviders[0]', /of no kind/],
  ['a provider of two kinds', { extensionProviders: [{ name: 'a', prometheus: {}, envoyFileAccessLog: {} }] }, 'spec.extensionProviders[0].envoyFileAccessLog', /excludes/],
  ['a provider of an unknown kind', { extensionProviders: [{ name: 'a', prometheus: {}, statsd: {} }] }, 'spec.extensionProviders[0].statsd', /unknown field/],
  ['two providers of one name', { extensionProviders: [{ name: 'a', prometheus: {} }, { name: 'a', prometheus: {} }] }, 'spec.extensionProviders[1].name', /stands twice/],
  ['a provider without a name', { extensionProviders: [{ prometheus: {} }] }, 'spec.extensionProviders[0].name', /required/],
  ['a collector without a port', { extensionProviders: [{ name: 'a', envoyOtelAls: { service: 'otel' } }] }, 'spec.extensionProviders[0].envoyOtelAls.port', /required/],
  ['a kind that is not obeyed', { extensionProviders: [{ name: 'a', datadog: { service: 'dd', port: 8126, any: [1] } }] }, 'spec.extensionProviders[0].datadog', /not honoured/, 'info'],
  ['default providers', { defaultProviders: { metrics: ['prometheus'], accessLogging: ['envoy'] } }, null],
]; // prettier-ignore

describe('MeshConfig', () => {
  it.each(named(rows))('judges $name', ({ row }) => judge('MeshConfig', row));

  it('takes ALLOW_ANY_DYNAMIC_DNS for ALLOW_ANY, which in the process it is', () => {
    const [config] = documentOf(resource('MeshConfig', { outboundTrafficPolicy: { mode: 'ALLOW_ANY_DYNAMIC_DNS' } })).resources.filter(
      isKind('MeshConfig'),
    );
    expect(config?.spec.outboundTrafficPolicy).toEqual({ mode: 'ALLOW_ANY' });
  });

  it('lists every kind of provider that is not obeyed', () => {
    const unheeded = [
      'stackdriver', 'lightstep', 'datadog', 'skywalking', 'opencensus', 'envoyHttpAls', 'envoyTcpAls', 'envoyExtAuthzHttp', 'envoyExtAuthzGrpc', 'sds',
    ]; // prettier-ignore
    const told = problemsOf(resource('MeshConfig', { extensionProviders: unheeded.map((kind) => ({ name: kind, [kind]: { a: 'b' } })) }));
    expect(told.map(({ code, severity, path }) => `${code} ${severity} ${path}`)).toEqual(
      unheeded.map((kind, index) => `INM0301 info spec.extensionProviders[${index}].${kind}`),
    );
  });

  it("fills Istio's defaults and ours", () => {
    const [config] = documentOf(resource('MeshConfig', {})).resources.filter(isKind('MeshConfig'));
    expect(config?.spec).toMatchObject({
      rootNamespace: 'istio-system',
      domain: 'cluster.local',
      trustDomain: 'cluster.local',
      connectTimeout: 10_000,
      outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
      defaultVirtualServiceExportTo: ['*'],
      dnsRefreshRate: 60_000,
      h2UpgradePolicy: 'DO_NOT_UPGRADE',
      pathNormalization: { normalization: 'BASE' },
      enableAutoMtls: true,
      alwaysEjectOne: true,
      connectionsPerEndpoint: 128,
      extensionProviders: [],
      defaultProviders: { metrics: ['prometheus'], tracing: [], accessLogging: [] },
      enableTracing: true,
      accessLogEncoding: 'TEXT',
    });
  });
});
