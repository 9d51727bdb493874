import type { MetricRule, TelemetryModel, Workload } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { document, meshConfig, modelOf, problemsOf, resource } from './world.ts';

/**
 * The Telemetry API: the examples of its reference (istio/api telemetry/v1alpha1/telemetry.proto) and of Istio's tasks on metrics, traces
 * and access logs, and how several become one (pilot/pkg/model/telemetry.go).
 */

const telemetry = (id: string, spec: string, day = 0): string => resource('Telemetry', id, spec, { day });
const mesh = (spec: string): string => telemetry('istio-system/mesh-default', spec);
const foo: Partial<Workload> = { namespace: 'bar', labels: { 'service.istio.io/canonical-name': 'foo' } };
const other: Partial<Workload> = { namespace: 'bar', labels: { 'service.istio.io/canonical-name': 'other' } };
const selectFoo = 'selector: { matchLabels: { service.istio.io/canonical-name: foo } }';
const told = (yaml: string, who = foo): TelemetryModel => modelOf(yaml, who).telemetry;

const zipkins = meshConfig(`
  extensionProviders:
  - { name: zipkin, zipkin: { service: zipkin.istio-system.svc.cluster.local, port: 9411 } }
  - { name: zipkin-alternate, zipkin: { service: zipkin.other-system.svc.cluster.local, port: 9411 } }
  defaultProviders: { tracing: [zipkin] }
`);

describe('examples of the reference: traces', () => {
  it('random sampling for 10% of traffic', () => {
    const { client, server } = told(mesh('tracing: [{ randomSamplingPercentage: 10.00 }]'));
    expect([client.tracing.sampling, server.tracing.sampling]).toEqual([10, 10]);
  });

  it('trace reporting turned off for the foo workload, whose context is still propagated', () => {
    const yaml = telemetry('bar/foo-tracing', `${selectFoo}\ntracing: [{ disableSpanReporting: true }]`);
    expect(told(yaml).server.tracing).toMatchObject({ spans: false, propagation: true });
    expect(told(yaml, other).server.tracing.spans).toBe(true);
  });

  it('the alternate zipkin provider', () => {
    const yaml = document(
      zipkins,
      telemetry('bar/foo-tracing-alternate', `${selectFoo}\ntracing: [{ providers: [{ name: zipkin-alternate }], randomSamplingPercentage: 10.00 }]`), // prettier-ignore
    );
    expect(told(yaml).client.tracing).toMatchObject({ spans: true, sampling: 10 });
    expect(problemsOf(yaml).filter(({ severity }) => severity !== 'info')).toEqual([]);
  });

  it('zipkin for client workloads only', () => {
    const { client, server } = told(
      document(
        meshConfig('enableTracing: false\nextensionProviders: [{ name: zipkin, zipkin: { service: zipkin, port: 9411 } }]'),
        mesh('tracing: [{ match: { mode: CLIENT }, providers: [{ name: zipkin }] }]'),
      ),
    );
    expect([client.tracing.spans, server.tracing.spans]).toEqual([true, false]);
  });

  it('a custom tag from a literal value', () => {
    const { client } = told(
      mesh('tracing: [{ randomSamplingPercentage: 10.00, customTags: { my_new_foo_tag: { literal: { value: foo } } } }]'),
    );
    expect(client.tracing).toMatchObject({ sampling: 10, customTags: { my_new_foo_tag: { kind: 'literal', value: 'foo' } } });
  });

  it('tags of the environment, and of a header, with defaults', () => {
    const yaml = mesh(`
      tracing:
      - customTags:
          cluster_id: { environment: { name: ISTIO_META_CLUSTER_ID, defaultValue: Kubernetes } }
          user: { header: { name: x-user, defaultValue: unknown } }
    `);
    expect(told(yaml).server.tracing.customTags).toEqual({
      cluster_id: { kind: 'environment', name: 'ISTIO_META_CLUSTER_ID', defaultValue: 'Kubernetes' },
      user: { kind: 'header', name: 'x-user', defaultValue: 'unknown' },
    });
  });
});

describe('examples of the reference: metrics', () => {
  /** `REQUEST_COUNT -source_app +request_host=request.host`, `REQUEST_SIZE off`. */
  const short = (rules: Readonly<Partial<Record<string, MetricRule>>>): readonly string[] =>
    Object.entries(rules).map(([metric, rule]) =>
      [
        metric,
        ...(rule?.disabled === true ? ['off'] : []),
        ...(rule?.tags ?? []).map(({ name, expression }) => (expression === null ? `-${name}` : `+${name}=${expression}`)),
      ].join(' '),
    );
  const METRICS = [
    'GRPC_REQUEST_MESSAGES', 'GRPC_RESPONSE_MESSAGES', 'REQUEST_COUNT', 'REQUEST_DURATION', 'REQUEST_SIZE', 'RESPONSE_SIZE',
    'TCP_CLOSED_CONNECTIONS', 'TCP_OPENED_CONNECTIONS', 'TCP_RECEIVED_BYTES', 'TCP_SENT_BYTES',
  ]; // prettier-ignore

  it('server-side metrics turned off for an entire mesh', () => {
    const { client, server } = told(
      mesh(`
        metrics:
        - providers:
          - name: prometheus
          overrides:
          - match: { metric: ALL_METRICS, mode: SERVER }
            disabled: true
      `),
    );
    expect(short(client.metrics)).toEqual([]);
    expect(short(server.metrics).toSorted()).toEqual(METRICS.map((metric) => `${metric} off`));
  });

  it('dimensions added to all metrics of a namespace', () => {
    const yaml = telemetry(
      'bar/namespace-metrics',
      `
        metrics:
        - providers:
          - name: prometheus
          overrides:
          # match clause left off matches all istio metrics, client and server
          - tagOverrides:
              request_method: { value: "request.method" }
              request_host: { value: "request.host" }
      `,
    );
    const expected = METRICS.map((metric) => `${metric} +request_host=request.host +request_method=request.method`);
    expect(short(told(yaml).client.metrics)).toEqual(expected);
    expect(short(told(yaml).server.metrics)).toEqual(expected);
    expect(short(told(yaml, { ...foo, namespace: 'foo' }).client.metrics)).toEqual([]);
  });

  it('response_code removed from some metrics of a workload', () => {
    const remove = (metric: string): string => `{ match: { metric: ${metric} }, tagOverrides: { response_code: { operation: REMOVE } } }`;
    const yaml = telemetry(
      'bar/remove-response-code',
      `
        ${selectFoo}
        metrics:
        - providers: [{ name: prometheus }]
          overrides: [${['REQUEST_COUNT', 'REQUEST_DURATION', 'REQUEST_SIZE', 'RESPONSE_SIZE'].map(remove).join(', ')}]
      `,
    );
    expect(short(told(yaml).client.metrics)).toEqual([
      'REQUEST_COUNT -response_code',
      'REQUEST_DURATION -response_code',
      'REQUEST_SIZE -response_code',
      'RESPONSE_SIZE -response_code',
    ]);
  });

  it('dimensions of one metric, and one less of all (task: Customizing Istio Metrics)', () => {
    const yaml = mesh(`
      metrics:
      - providers:
        - name: prometheus
        overrides:
        - match: { metric: REQUEST_COUNT }
          tagOverrides:
            destination_port: { value: "string(destination.port)" }
            request_host: { value: "request.host" }
        - tagOverrides:
            grpc_response_status: { operation: REMOVE }
    `);
    expect(problemsOf(yaml)).toEqual([]);
    expect(short(told(yaml).server.metrics)).toEqual(
      METRICS.map((metric) =>
        metric === 'REQUEST_COUNT'
          ? 'REQUEST_COUNT +destination_port=string(destination.port) -grpc_response_status +request_host=request.host'
          : `${metric} -grpc_response_status`,
      ),
    );
  });

  it('the mesh turns all off, a namespace on again', () => {
    const yaml = document(
      mesh('metrics: [{ overrides: [{ match: { metric: ALL_METRICS }, disabled: true }] }]'),
      telemetry('bar/on', 'metrics: [{ overrides: [{ match: { metric: ALL_METRICS, mode: CLIENT }, disabled: false }] }]'),
    );
    expect(short(told(yaml).client.metrics)).toEqual([]);
    expect(short(told(yaml).server.metrics)).toHaveLength(10);
  });
});

describe('examples of the reference: access logs', () => {
  /** `envoy /dev/stdout`, with a filter `envoy /dev/stdout if …`. */
  const logs = (yaml: string, side: 'client' | 'server' = 'client', who = foo): readonly string[] =>
    told(yaml, who)[side].accessLogs.map(({ provider, sink, filter }) =>
      [provider, sink.kind === 'file' ? sink.path : sink.logName, ...(filter === null ? [] : ['if', filter])].join(' '),
    );
  const envoy = mesh('accessLogging: [{ providers: [{ name: envoy }] }]');

  it('access logging for the entire mesh', () => {
    expect([logs(envoy), logs(envoy, 'server')]).toEqual([['envoy /dev/stdout'], ['envoy /dev/stdout']]);
  });

  it('access logging turned off for the foo workload', () => {
    const yaml = document(envoy, telemetry('bar/foo-logging', `${selectFoo}\naccessLogging: [{ disabled: true }]`));
    expect(logs(yaml)).toEqual([]);
    expect(logs(yaml, 'client', other)).toEqual(['envoy /dev/stdout']);
  });

  it('access logging turned off in the mesh, and on for one workload', () => {
    const yaml = document(
      mesh('accessLogging: [{ providers: [{ name: envoy }], disabled: true }]'),
      telemetry('bar/foo-logging', `${selectFoo}\naccessLogging: [{ providers: [{ name: envoy }], disabled: false }]`),
    );
    expect(logs(yaml)).toEqual(['envoy /dev/stdout']);
    expect(logs(yaml, 'client', other)).toEqual([]);
  });

  it('logs of servers turned off', () => {
    const yaml = document(envoy, telemetry('bar/no-server-logs', 'accessLogging: [{ match: { mode: SERVER }, disabled: true }]'));
    expect([logs(yaml), logs(yaml, 'server')]).toEqual([['envoy /dev/stdout'], []]);
  });

  it.each([
    'response.code >= 400',
    "connection.mtls && request.url_path.contains('v1beta3')",
    "!has(request.useragent) || !(request.useragent.startsWith('Amazon-Route53-Health-Check-Service'))",
  ])('a filter: %s', (expression) => {
    const filter = `filter: { expression: ${JSON.stringify(expression)} }`;
    expect(logs(mesh(`accessLogging: [{ providers: [{ name: envoy }], ${filter} }]`))).toEqual([`envoy /dev/stdout if ${expression}`]);
    expect(logs(document(envoy, telemetry('bar/errors', `accessLogging: [{ ${filter} }]`)))).toEqual([
      `envoy /dev/stdout if ${expression}`,
    ]);
  });

  it('records of OpenTelemetry (task: OpenTelemetry)', () => {
    const yaml = document(
      meshConfig(`
        extensionProviders:
        - name: otel
          envoyOtelAls:
            service: opentelemetry-collector.istio-system.svc.cluster.local
            port: 4317
            logFormat: { labels: { route: "%ROUTE_NAME%" } }
      `),
      mesh('accessLogging: [{ providers: [{ name: otel }] }]'),
    );
    expect(logs(yaml)).toEqual(['otel otel_envoy_accesslog']);
    expect(told(yaml).client.accessLogs[0]?.sink).toMatchObject({ kind: 'otel', attributes: { route: '%ROUTE_NAME%' } });
  });

  it.each([
    ['accessLogFile: /dev/stdout', { kind: 'text', format: null, omitEmptyValues: false }],
    ['accessLogFile: /dev/stdout\naccessLogEncoding: JSON', { kind: 'json', fields: null, omitEmptyValues: false }],
    ['accessLogFile: /dev/stdout\naccessLogFormat: "%PROTOCOL%"', { kind: 'text', format: '%PROTOCOL%', omitEmptyValues: false }],
  ])('MeshConfig without any Telemetry: %s', (spec, format) => {
    const { client, server } = told(meshConfig(spec));
    expect(client.accessLogs).toEqual([{ provider: 'accessLogFile', sink: { kind: 'file', path: '/dev/stdout', format }, filter: null }]);
    expect(server.accessLogs).toEqual(client.accessLogs);
  });
});

describe('which Telemetries hold', () => {
  const sampled = (id: string, percent: number, select = '', day = 0): string =>
    telemetry(id, `${select}\ntracing: [{ randomSamplingPercentage: ${percent} }]`, day);
  const sampling = (yaml: string, who = foo): number => told(yaml, who).client.tracing.sampling;
  const [inMesh, inNamespace, own] = [sampled('istio-system/a', 2), sampled('bar/b', 3), sampled('bar/c', 4, selectFoo)];

  it.each<readonly [statement: string, documents: readonly string[], expected: number]>([
    ['none: the default of Istio', [mesh('{}')], 1],
    ['mesh only', [inMesh], 2],
    ['namespace over mesh', [inNamespace, inMesh], 3],
    ['workload over namespace over mesh', [own, inNamespace, inMesh], 4],
    ['another workload', [sampled('bar/c', 4, selectFoo.replace('foo', 'baz')), inNamespace], 3],
    ['a selector in the root namespace', [sampled('istio-system/c', 4, selectFoo)], 1],
    ['two for a namespace: the earliest created', [sampled('bar/x', 5, '', 2), sampled('bar/y', 6, '', 1)], 6],
    ['ProxyConfig below every Telemetry', [meshConfig('defaultConfig: { tracing: { sampling: 50 } }')], 50],
    ['a Telemetry above ProxyConfig', [meshConfig('defaultConfig: { tracing: { sampling: 50 } }'), inMesh], 2],
  ])('%s', (_, documents, expected) => {
    expect(sampling(document(...documents))).toBe(expected);
  });

  it('says so where two claim the same', () => {
    expect(problemsOf(document(inNamespace, sampled('bar/x', 5))).map(({ code }) => code)).toEqual(['IST0160']);
  });

  it('takes v1alpha1 for v1', () => {
    expect(sampling(inMesh.replace('telemetry.istio.io/v1', 'telemetry.istio.io/v1alpha1'))).toBe(2);
  });
});
