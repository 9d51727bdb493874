import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fetched } from '../support/debian.ts';
import { serviceEntry } from '../support/mesh.ts';
import { say, upstream, type Upstream } from '../support/upstream.ts';

// The whole way: an unchanged program, both modules on its command line, and a collector that decodes what is sent with the published messages.

const HOST = 'next.example.com';
const KEPT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** Where what it imports is found. */
const PROGRAM = join(import.meta.dirname, '../../examples/.readme-otel.mjs');

interface KeyValue {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string };
}
interface Exported {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly {
      readonly scope: { readonly name: string };
      readonly spans: readonly {
        readonly traceId: Buffer;
        readonly spanId: Buffer;
        readonly parentSpanId: Buffer;
        readonly kind: number;
        readonly attributes: readonly KeyValue[];
      }[];
    }[];
  }[];
}

const definition = loadSync(join(import.meta.dirname, '../support/otlp.proto'), { longs: String });
const { Export } = definition['opentelemetry.proto.collector.trace.v1.TraceService'] as ServiceDefinition;
const decode = (body: Buffer): Exported => Export!.requestDeserialize(body) as Exported;
const record = (attributes: readonly KeyValue[]): Record<string, string> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue ?? '']));

let next: Upstream;
let collector: Server;
let folder: string;
const exported: Exported[] = [];
/** Bodies by path, as they came. */
const bodies = new Map<string, Buffer[]>();
const protoc = fetched('protoc', 'scripts/get-protoc.sh');

beforeAll(async () => {
  next = await upstream(say('hello'));
  folder = mkdtempSync(join(tmpdir(), 'inmesh-otel-'));
  writeFileSync(join(folder, 'policy.yaml'), serviceEntry(HOST, [next.port]));
  collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const plain = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
      bodies.set(request.url!, [...(bodies.get(request.url!) ?? []), plain]);
      if (request.url === '/v1/traces') exported.push(decode(plain));
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  collector.close();
  rmSync(folder, { recursive: true });
  rmSync(PROGRAM, { force: true });
  await next.kill();
});

beforeEach(() => {
  exported.length = next.seen.length = 0;
  bodies.clear();
});

/** Runs a program as an operator starts it. */
async function run(program: string, flags: readonly string[], env: Record<string, string> = {}): Promise<string> {
  writeFileSync(PROGRAM, program);
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@inmesh/source', '--no-warnings', ...flags, PROGRAM], {
    cwd: join(import.meta.dirname, '..'),
    env: {
      ...process.env,
      INMESH_POLICY: join(folder, 'policy.yaml'),
      INMESH_LABELS: 'app=cart,version=v3',
      POD_NAME: 'cart-1',
      POD_NAMESPACE: 'shop',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_LOGS_EXPORTER: 'none',
      OTEL_BSP_SCHEDULE_DELAY: '20',
      OTEL_LOG_LEVEL: 'error',
      ...env,
    },
    timeout: 20_000,
  });
  return stdout;
}

const both = ['--import', 'inmesh/otel', '--import', 'inmesh/register'];
const calls = `
for (const traceparent of ['${KEPT}', '${KEPT.slice(0, -1)}0'])
  console.log(await (await fetch('http://${HOST}/', { headers: { traceparent } })).text());
await new Promise((resolve) => setTimeout(resolve, 300));
process.exit(0);
`;

describe('node --import inmesh/otel --import inmesh/register', () => {
  it('exports the spans of kept traces over OTLP, with the workload as their resource', async () => {
    expect(await run(calls, both)).toBe('hello\nhello\n');
    const spans = exported.flatMap(({ resourceSpans }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans: some }) => some)),
    );
    expect(spans).toHaveLength(1);
    const [span] = spans;
    expect(span!.traceId.toString('hex')).toBe('0af7651916cd43dd8448eb211c80319c');
    expect(span!.parentSpanId.toString('hex')).toBe('b7ad6b7169203331');
    // CLIENT, as OTLP counts.
    expect(span!.kind).toBe(3);
    expect(record(span!.attributes)).toMatchObject({
      'http.request.method': 'GET',
      'http.response.status_code': '200',
      upstream_cluster: `outbound|80||${HOST}`,
    });
    expect(next.seen[0]!.headers['traceparent']).toBe(`00-0af7651916cd43dd8448eb211c80319c-${span!.spanId.toString('hex')}-01`);
    expect(next.seen[1]!.headers['traceparent']).toMatch(/-00$/);
    const [{ resource }] = exported[0]!.resourceSpans as [Exported['resourceSpans'][number]];
    expect(record(resource.attributes)).toMatchObject({
      'service.name': 'cart',
      'service.namespace': 'shop',
      'service.version': 'v3',
      'service.instance.id': 'shop.cart-1',
      'k8s.pod.name': 'cart-1',
      'k8s.namespace.name': 'shop',
    });
  });

  it('lets the operator’s own variables win: names, and the ways traces are written', async () => {
    await run(calls, both, { OTEL_SERVICE_NAME: 'basket', OTEL_RESOURCE_ATTRIBUTES: 'service.version=9', OTEL_PROPAGATORS: 'b3' });
    const [{ resource }] = exported[0]!.resourceSpans as [Exported['resourceSpans'][number]];
    expect(record(resource.attributes)).toMatchObject({ 'service.name': 'basket', 'service.version': '9', 'service.namespace': 'shop' });
    expect(next.seen[0]!.headers['b3']).toMatch(/^0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-1$/);
  });

  it('keeps of what the program begins the share the policy says: one in a hundred', async () => {
    await run(
      `
for (let at = 0; at < 400; at += 1) await (await fetch('http://${HOST}/')).text();
await new Promise((resolve) => setTimeout(resolve, 300));
process.exit(0);
`,
      both,
    );
    const kept = next.seen.filter(({ headers }) => String(headers['traceparent']).endsWith('-01')).length;
    const spans = exported.flatMap(({ resourceSpans }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans: some }) => some)),
    );
    expect(kept).toBeLessThan(20);
    // Not drawn twice, which would leave one in ten thousand.
    expect(spans).toHaveLength(kept);
  });
});

describe.skipIf(protoc.skip)(`what is sent, as ${protoc.title} reads it`, () => {
  const read = (message: string, body: Buffer): string =>
    execFileSync(protoc.path, [`--decode=opentelemetry.proto.collector.trace.v1.${message}`, '--proto_path', join(import.meta.dirname, '../support'), 'otlp.proto'], { input: body }).toString(); // prettier-ignore

  it('is the metrics of the mesh under Istio’s names, beside the spans', async () => {
    await run(calls, both, { OTEL_METRICS_EXPORTER: 'otlp', OTEL_METRIC_EXPORT_INTERVAL: '150' });
    const metrics = read('ExportMetricsServiceRequest', bodies.get('/v1/metrics')!.at(-1)!);
    const [, counted = ''] = /metrics \{\s+name: "istio_requests_total"([\s\S]*?)\n    \}/.exec(metrics) ?? [];
    expect(counted).toContain('is_monotonic: true');
    expect(counted).toMatch(/key: "destination_service"\s+value \{\s+string_value: "next\.example\.com"/);
    expect(counted).toMatch(/as_double: 2\n/);
    for (const name of [
      'istio_request_duration_milliseconds',
      'envoy_cluster_upstream_rq_total',
      'inmesh_policy_info',
      'process_resident_memory_bytes',
    ])
      expect(metrics).toContain(`name: "${name}"`);
    expect(metrics).toMatch(/key: "service.name"\s+value \{\s+string_value: "cart"/);
    expect(read('ExportTraceServiceRequest', bodies.get('/v1/traces')![0]!)).toMatch(/trace_id: "\\n\\367e\\031/);
  });

  it('is no metrics where none are asked for', async () => {
    await run(calls, both, { OTEL_METRIC_EXPORT_INTERVAL: '50' });
    expect(bodies.has('/v1/metrics')).toBe(false);
  });
});

describe('inmesh/otel', () => {
  it('starts nothing by being imported, and once when it is told to', async () => {
    const program = `
import { trace } from '@opentelemetry/api';
import { startOtel } from 'inmesh/otel';
const record = () => {
  const span = trace.getTracer('test').startSpan('work');
  const recording = span.isRecording();
  span.end();
  return recording;
};
const before = record();
const otel = await startOtel({ sdk: { sampler: { shouldSample: () => ({ decision: 2 }), toString: () => 'all' } } });
const after = record();
await otel.shutdown();
console.log(before, after);
`;
    expect(await run(program, [])).toBe('false true\n');
    // Sent when the SDK shut down.
    expect(exported).toHaveLength(1);
  });

  it('says what to install where the SDK is not', async () => {
    const without = `import { registerHooks } from 'node:module';
registerHooks({ resolve: (name, context, next) => { if (name === '@opentelemetry/sdk-node') throw new Error('Cannot find package'); return next(name, context); } });`;
    const flags = ['--import', `data:text/javascript,${encodeURIComponent(without)}`, '--import', 'inmesh/otel'];
    await expect(run('console.log(1)', flags)).rejects.toMatchObject({
      stderr: expect.stringContaining('npm install @opentelemetry/sdk-node@0.301') as string,
    });
  });
});
