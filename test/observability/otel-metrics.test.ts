import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import {
  AggregationTemporality,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { afterEach, describe, expect, it } from 'vitest';
import type { CreateMeshOptions } from 'inmesh';
import { echo, echoClient } from '../support/echo-grpc.ts';
import { meshOf, serviceEntry, type TestMesh } from '../support/mesh.ts';
import { shown } from '../support/metrics.ts';
import { say, upstream } from '../support/upstream.ts';

// What the mesh counts, as OpenTelemetry's own readers and exporters take it, and with Node's metrics on the admin port.

const HOST = 'shop.example.com';
const CLUSTER = `outbound|80||${HOST}`;

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** A mesh that has made three calls of a shop. */
async function busy(options: CreateMeshOptions = {}): Promise<TestMesh> {
  const shop = await upstream(say('ok'));
  const mesh = await meshOf(serviceEntry(HOST, [shop.port]), options);
  left.push(shop, mesh);
  for (let call = 0; call < 3; call += 1) await mesh.request(`http://${HOST}/`);
  return mesh;
}

/** One export of a mesh by a periodic reader, by name. */
async function exported(mesh: TestMesh): Promise<ReadonlyMap<string, MetricData>> {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 60_000, metricProducers: [mesh.metricProducer()] });
  const provider = new MeterProvider({ readers: [reader] });
  provider.getMeter('own').createCounter('own.things').add(1);
  await provider.forceFlush();
  const [resource] = exporter.getMetrics();
  await provider.shutdown();
  return new Map(resource!.scopeMetrics.flatMap(({ metrics }) => metrics.map((metric) => [metric.descriptor.name, metric])));
}

const points = (metric: MetricData | undefined): [attributes: object, value: unknown][] =>
  (metric?.dataPoints ?? []).map(({ attributes, value }) => [attributes, value]);

describe('a periodic reader of OpenTelemetry', () => {
  it('exports clusters, health and Node beside what the program counts itself', async () => {
    const mesh = await busy();
    const metrics = await exported(mesh);
    expect(metrics.has('own.things')).toBe(true);
    expect(points(metrics.get('envoy_cluster_upstream_rq_total'))).toEqual([[{ cluster_name: CLUSTER }, 3]]);
    expect(metrics.get('envoy_cluster_upstream_rq_total')).toMatchObject({ dataPointType: DataPointType.SUM, isMonotonic: true });
    expect(points(metrics.get('envoy_cluster_membership_total'))).toEqual([[{ cluster_name: CLUSTER }, 1]]);
    expect(points(metrics.get('inmesh_policy_info'))).toEqual([[{ version: mesh.status().version }, 1]]);
    const [[, took] = []] = points(metrics.get('envoy_cluster_upstream_cx_connect_ms'));
    const [connections] = points(metrics.get('envoy_cluster_upstream_cx_total'));
    expect(took).toMatchObject({ count: connections![1], buckets: { boundaries: expect.arrayContaining([0.5, 60_000]) } });
    expect(metrics.get('process_cpu_seconds_total')?.dataPointType).toBe(DataPointType.SUM);
    expect(metrics.get('nodejs_eventloop_lag_p99_seconds')?.dataPointType).toBe(DataPointType.GAUGE);
    const started = metrics.get('envoy_cluster_upstream_rq_total')!.dataPoints[0]!.startTime[0];
    expect(Math.abs(started - Date.now() / 1000)).toBeLessThan(60);
  });

  it('exports no metrics of Node where they are turned off', async () => {
    const metrics = await exported(await busy({ metrics: { runtime: false } }));
    expect([...metrics.keys()].filter((name) => /^(?:nodejs|process)_/.test(name))).toEqual([]);
    expect(metrics.has('envoy_cluster_upstream_rq_total')).toBe(true);
  });
});

describe('OpenTelemetry’s exporter to Prometheus', () => {
  it('shows the names that the mesh’s own page has, Envoy’s counters without _total too', async () => {
    const mesh = await busy();
    const exporter = new PrometheusExporter({
      preventServerStart: true,
      withoutScopeInfo: true,
      withoutTargetInfo: true,
      metricProducers: [mesh.metricProducer()],
    });
    const provider = new MeterProvider({ readers: [exporter] });
    const server = createServer((request, response) => exporter.getMetricsRequestHandler(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const text = await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`)).text();
    server.close();
    await provider.shutdown();
    const named = { cluster_name: CLUSTER };
    expect(shown(text, 'envoy_cluster_upstream_rq_total')).toEqual([{ labels: named, value: 3 }]);
    expect(shown(text, 'envoy_cluster_upstream_rq_retry')).toEqual([{ labels: named, value: 0 }]);
    expect(shown(text, 'envoy_cluster_upstream_rq')).toEqual([{ labels: { response_code: '200', ...named }, value: 3 }]);
    const own = (page: string) => new Set([...page.matchAll(/^(envoy_cluster_\w+|inmesh_\w+)/gm)].map(([, name]) => name));
    expect(own(text)).toEqual(own(mesh.metrics()));
  });
});

describe('semantic conventions', () => {
  it('are there where they are asked for, as Prometheus text and for OpenTelemetry', async () => {
    const mesh = await busy({ metrics: { semanticConventions: true } });
    const { port } = await mesh.listen((_request, response) => void response.writeHead(503).end(), 0);
    await fetch(`http://127.0.0.1:${port}/x`, { method: 'POST' });
    await expect.poll(() => shown(mesh.metrics(), 'http_server_request_duration_seconds_count')).toHaveLength(1);
    expect(shown(mesh.metrics(), 'http_client_request_duration_seconds_count')).toEqual([
      { labels: { http_request_method: 'GET', server_address: HOST, server_port: '80', http_response_status_code: '200' }, value: 3 },
    ]);
    expect(shown(mesh.metrics(), 'http_server_request_duration_seconds_count')).toEqual([
      { labels: { http_request_method: 'POST', url_scheme: 'http', http_response_status_code: '503', error_type: '503' }, value: 1 },
    ]);
    const metrics = await exported(mesh);
    const client = metrics.get('http.client.request.duration');
    expect(client?.descriptor).toMatchObject({ unit: 's' });
    expect(points(client)).toEqual([
      [
        { 'http.request.method': 'GET', 'server.address': HOST, 'server.port': 80, 'http.response.status_code': 200 },
        expect.objectContaining({ count: 3 }),
      ],
    ]);
  });

  it('of RPCs, by their status’s name', async () => {
    const ratings = await echo('one', { port: 0 });
    const mesh = await meshOf(serviceEntry(HOST, [ratings.port], { port: 9080, protocol: 'GRPC' }), {
      metrics: { semanticConventions: true },
    });
    const client = echoClient(`mesh:///${HOST}:9080`, mesh.grpc.credentials(), mesh.grpc.options());
    left.push(ratings, mesh, client);
    await client.say('x');
    const [found] = shown(mesh.metrics(), 'rpc_client_call_duration_seconds_count');
    expect(found).toMatchObject({
      labels: {
        rpc_system_name: 'grpc',
        rpc_method: expect.stringMatching(/^\w[\w.]*\/Say$/),
        rpc_status_code: 'OK',
        server_address: HOST,
      },
      value: 1,
    });
    expect(found!.labels).not.toHaveProperty('error_type');
  });

  it('are left out by default', async () => {
    expect((await busy()).metrics()).not.toContain('http_client_request');
  });
});

describe('the admin port', () => {
  it('shows Node’s metrics too, each name once', async () => {
    const mesh = await busy({ admin: 0 });
    const page = await (await fetch(`${mesh.adminUrl}/metrics`)).text();
    for (const name of ['nodejs_eventloop_lag_seconds', 'nodejs_heap_size_used_bytes', 'process_resident_memory_bytes', 'process_start_time_seconds', 'nodejs_version_info', 'envoy_cluster_upstream_rq_total'])
      expect(page.match(new RegExp(`^# TYPE ${name} `, 'gm')), name).toHaveLength(1);
    expect(mesh.metrics()).not.toContain('nodejs_');
    const families = [...page.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(new Set(families).size).toBe(families.length);
  }); // prettier-ignore

  it('leaves them out where they are turned off', async () => {
    const mesh = await busy({ admin: 0, metrics: { runtime: false } });
    expect(await (await fetch(`${mesh.adminUrl}/metrics`)).text()).not.toContain('nodejs_');
  });

  it('keeps no process alive, Node’s metrics measured and shown', async () => {
    const program = `
      import { createMesh, memorySource } from 'inmesh';
      const mesh = await createMesh({ policy: memorySource([]), admin: 0, identity: false });
      mesh.metricProducer();
      const page = await (await fetch(mesh.adminUrl + '/metrics')).text();
      console.log(page.includes('nodejs_eventloop_lag_seconds') ? 'measured' : page);
    `;
    const run = promisify(execFile);
    const args = ['--conditions=@inmesh/source', '--no-warnings', '--input-type=module', '-e', program];
    const { stdout } = await run(process.execPath, args, { timeout: 20_000 });
    expect(stdout).toBe('measured\n');
  });
});
