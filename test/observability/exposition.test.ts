import { createDevCa, devCertificates } from '@inmesh/identity/dev';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Echo, echo, type EchoClient, echoClient } from '../support/echo-grpc.ts';
import { readExposition } from '../support/exposition.ts';
import { destinationRule, meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';
import { noPrometheus, promtool, REAL_PROMETHEUS } from '../support/prometheus.ts';
import { denyPaths } from '../support/raw.ts';
import { say, type Upstream, upstream } from '../support/upstream.ts';

const [SHOP, RATINGS, SELF] = ['shop.example.com', 'ratings.example.com', 'self.example.com'];

describe('the page of a process that did everything', () => {
  let [mesh, bad, rated, stub] = [undefined as unknown as TestMesh, undefined as unknown as Upstream, undefined as unknown as Echo, undefined as unknown as EchoClient]; // prettier-ignore
  let page = '';

  beforeAll(async () => {
    const ca = createDevCa();
    mesh = await meshOf('apiVersion: v1\nkind: List\nitems: []\n', {
      identity: devCertificates(ca, { namespace: 'default', serviceAccount: 'self' }),
      workload: { name: 'self', serviceAccount: 'self', labels: { app: 'self' } },
      admin: 0,
      metrics: { semanticConventions: true },
    });
    bad = await upstream(say('bad', 503));
    rated = await echo('ratings', { server: mesh.grpc.server() });
    const { port } = await mesh.listen((request, response) => void request.resume().on('end', () => response.end('mine')), { port: 0, host: '127.0.0.1' }); // prettier-ignore
    const member = (host: string, to: number, protocol: string): string =>
      serviceEntry(host, [{ port: to, labels: { app: 'self' } }], { protocol }).replace('"address"', '"serviceAccount":"self","address"');
    const policy =
      serviceEntry(SHOP, [bad.port]) +
      virtualService(SHOP, `- retries: { attempts: 2, retryOn: 5xx }\n  route: [{ destination: { host: ${SHOP} } }]`) +
      destinationRule(SHOP, 'trafficPolicy: { outlierDetection: { consecutive5xxErrors: 2, baseEjectionTime: 600s, maxEjectionPercent: 100 } }') +
      member(SELF, port, 'HTTP') + member(RATINGS, rated.port, 'GRPC') +
      denyPaths('/denied') +
      [`{ apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: { name: jwt, namespace: default }, spec: { jwtRules: [{ issuer: me, jwks: '{"keys":[]}' }] } }`,
        `{ apiVersion: inmesh.dev/v1, kind: MeshConfig, metadata: { name: mesh, namespace: istio-system }, spec: { accessLogFile: /dev/full } }`,
        ...[SHOP, SELF].map((host) => `{ apiVersion: inmesh.dev/v1, kind: ServiceLevelObjective, metadata: { name: ${host.split('.')[0]}, namespace: default }, spec: { service: ${host}, indicator: { availability: {} }, objective: 99 } }`),
      ].map((resource) => `---\n${resource}\n`).join(''); // prettier-ignore
    mesh.set(policy);
    stub = echoClient(`mesh:///${RATINGS}:80`, mesh.grpc.credentials(), mesh.grpc.options());
    for (let call = 0; call < 4; call += 1) await mesh.request(`http://${SHOP}/`);
    const statuses = [];
    for (const path of ['/', '/denied']) statuses.push((await mesh.request(`http://${SELF}${path}`)).status);
    statuses.push((await mesh.request(`http://${SELF}/`, { headers: { authorization: 'Bearer nonsense' } })).status);
    statuses.push((await stub.say('x')).code, (await mesh.request(`http://127.0.0.1:${bad.port}/`)).status);
    expect(statuses).toEqual([200, 403, 401, 0, 503]);
    // One that means the same, and one that nobody can obey.
    mesh.set(policy.replace('attempts: 2', 'attempts: 1'));
    mesh.set('kind: [');
    // Lines of logs are written later, and what could not be is known later still.
    await vi.waitFor(async () => {
      page = await (await fetch(new URL('/metrics', mesh.adminUrl))).text();
      for (const late of ['inmesh_access_log_dropped_total{', 'inmesh_policy_rejected_total 1']) expect(page).toContain(late);
    }, 10_000);
  }, 30_000);

  afterAll(async () => {
    await stub?.[Symbol.asyncDispose]();
    for (const one of [rated, bad, mesh]) await one?.[Symbol.asyncDispose]();
  });

  it('has each family once, of one type, and each series once', () => {
    const families = readExposition(page);
    // It did everything: whoever tells something has told it.
    for (const name of [
      'istio_requests_total', 'istio_request_duration_milliseconds', 'istio_request_bytes', 'istio_request_messages_total', 'istio_build',
      'http_server_request_duration_seconds', 'http_client_request_duration_seconds',
      'envoy_cluster_upstream_rq_retry', 'envoy_cluster_outlier_detection_ejections_active', 'envoy_http_rbac_denied',
      'inmesh_policy_info', 'inmesh_policy_applied_total', 'inmesh_policy_rejected_total', 'inmesh_identity_expiry_timestamp_seconds',
      'inmesh_access_log_dropped_total', 'inmesh_slo_events_total', 'inmesh_metrics_series', 'nodejs_eventloop_lag_seconds', 'process_cpu_seconds_total',
    ]) expect(families.get(name)?.series.length ?? 0, name).toBeGreaterThan(0); // prettier-ignore
    const both = (name: string): readonly string[] => [...new Set(families.get(name)!.series.map((series) => /reporter="(\w+)"/.exec(series)![1]!))].sort(); // prettier-ignore
    expect(both('istio_requests_total')).toEqual(['destination', 'source']);
    expect(both('inmesh_slo_events_total')).toEqual(['destination', 'source']);
    expect([...families].filter(([, { type, series }]) => !['counter', 'gauge', 'histogram', 'summary'].includes(type) || series.length === 0)).toEqual([]); // prettier-ignore
  });

  it.skipIf(noPrometheus)(`can be read by promtool of ${REAL_PROMETHEUS}, whose only complaints are about names`, async () => {
    const { output } = await promtool(['check', 'metrics'], page);
    const names =
      /^(istio|envoy|nodejs|rpc)_\w+ (use base unit|(counter|non-counter) metrics should|metric names should not contain abbreviated)/;
    expect(output.split('\n').filter((line) => line !== '' && !names.test(line))).toEqual([]);
  });
});

it('the reader of these tests finds what is told twice', () => {
  const family = '# HELP a_total x\n# TYPE a_total counter\n';
  const page =
    (more: string): (() => unknown) =>
    () =>
      readExposition(`${family}a_total{b="1",c="2"} 1\n${more}`);
  expect(page('a_total{b="1",c="3"} 1\n')).not.toThrow();
  expect(page('a_total{c="2",b="1"} 1\n')).toThrow('twice');
  expect(page(family)).toThrow('a second HELP');
  expect(page('b_total 1\n')).toThrow('stands among');
});
