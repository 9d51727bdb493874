import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { credentials } from '@grpc/grpc-js';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { echo, echoClient } from '../support/echo-grpc.ts';
import { destinationRule, meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';
import { type KeptSpans, startSdk } from '../support/otel.ts';
import { say, upstream, type Upstream } from '../support/upstream.ts';

const NEXT = 'next.example.com';
const FLAKY = 'flaky.example.com';
const SPLIT = 'split.example.com';
const GONE = 'gone.example.com';
const KEPT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const DROPPED = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';

let sdk: KeptSpans;
let next: Upstream;
let flaky: Upstream;
let mesh: TestMesh;
let port: number;
let serving: () => Promise<unknown>;
let close: () => Promise<void>;

beforeAll(async () => {
  next = await upstream(say('ok'));
  let calls = 0;
  flaky = await upstream((_request, response) => {
    calls += 1;
    response.writeHead(calls % 2 === 1 ? 503 : 200).end('flaky');
  });
  mesh = await meshOf(
    serviceEntry(NEXT, [next.port]) +
      serviceEntry(FLAKY, [flaky.port]) +
      virtualService(FLAKY, `- retries: { attempts: 2, retryOn: 5xx, backoff: 1ms }\n  route: [{ destination: { host: ${FLAKY} } }]`) +
      serviceEntry(SPLIT, [{ port: next.port, labels: { version: 'v2' } }]) +
      destinationRule(SPLIT, 'subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]') +
      virtualService(
        SPLIT,
        `- route:
  - { destination: { host: ${SPLIT}, subset: v1 }, weight: 0 }
  - { destination: { host: ${SPLIT}, subset: v2 }, weight: 100 }`,
      ) +
      serviceEntry(GONE, [1]) +
      virtualService(GONE, `- match: [{ uri: { prefix: /here } }]\n  route: [{ destination: { host: ${GONE} } }]`),
    { workload: { labels: { app: 'shop', version: 'v7' }, cluster: 'east' } },
  );
  // Registered after the mesh was made: it need not be there first.
  sdk = startSdk();
  const listening = await mesh.listen((_incoming, response) => {
    void serving().then(
      () => response.end('done'),
      () => response.writeHead(500).end(),
    );
  }, 0);
  ({ port } = listening);
  close = async () => listening.close();
});

afterAll(async () => {
  await close();
  await mesh.close({ graceMs: 0 });
  await sdk[Symbol.asyncDispose]();
  await next.kill();
  await flaky.kill();
});

beforeEach(() => {
  sdk.reset();
  next.seen.length = 0;
  flaky.seen.length = 0;
});

const call = (url: string, init: RequestInit = {}): Promise<string> => mesh.fetch(url, init as never).then((answer) => answer.text());

/** Serves one request with `program`, and gives the spans it left, by kind and name. */
async function spansOf(program: () => Promise<unknown>, headers: Record<string, string> = { traceparent: KEPT }, count = 2) {
  serving = program;
  await (await fetch(`http://127.0.0.1:${port}/cart?id=7&sig=secret`, { headers })).text();
  await vi.waitFor(() => expect(sdk.spans().length).toBeGreaterThanOrEqual(count));
  const spans = sdk.spans();
  return {
    spans,
    server: spans.find(({ kind }) => kind === SpanKind.SERVER)!,
    client: spans.find(({ kind }) => kind === SpanKind.CLIENT)!,
    inner: spans.find(({ kind }) => kind === SpanKind.INTERNAL)!,
  };
}

const parentOf = ({ parentSpanContext }: ReadableSpan): string | undefined => parentSpanContext?.spanId;

describe('a request that is served, and the call it makes', () => {
  it('are spans of the trace that came in, each the child of the one before, the program’s own between them', async () => {
    const { server, client, inner } = await spansOf(
      () =>
        trace.getTracer('program').startActiveSpan('work', async (span) => {
          await new Promise((resolve) => setTimeout(resolve, 5));
          await call(`http://${NEXT}/price?currency=EUR`);
          span.end();
        }),
      { traceparent: KEPT },
      3,
    );
    for (const span of [server, client, inner]) expect(span.spanContext().traceId).toBe('0af7651916cd43dd8448eb211c80319c');
    expect(parentOf(server)).toBe('b7ad6b7169203331');
    expect(parentOf(inner)).toBe(server.spanContext().spanId);
    expect(parentOf(client)).toBe(inner.spanContext().spanId);
    expect(next.seen[0]!.headers['traceparent']).toBe(`00-0af7651916cd43dd8448eb211c80319c-${client.spanContext().spanId}-01`);
  });

  it('say what OpenTelemetry’s conventions, Envoy and Istio have words for', async () => {
    const { server, client } = await spansOf(() => call(`http://${NEXT}/price?currency=EUR`), {
      traceparent: KEPT,
      'x-request-id': 'a-request',
      'user-agent': 'tests',
    });
    const self = {
      component: 'proxy',
      'istio.canonical_service': 'shop',
      'istio.canonical_revision': 'v7',
      'istio.namespace': 'default',
      'istio.cluster_id': 'east',
      'istio.mesh_id': 'cluster.local',
      response_flags: '-',
      'guid:x-request-id': 'a-request',
    };
    expect(server).toMatchObject({ name: 'GET', status: { code: SpanStatusCode.UNSET } });
    expect(server.attributes).toMatchObject({
      ...self,
      'http.request.method': 'GET',
      'url.scheme': 'http',
      'url.path': '/cart',
      'url.query': 'id=7&sig=REDACTED',
      'server.address': '127.0.0.1',
      'server.port': port,
      'client.address': '127.0.0.1',
      'network.peer.address': '127.0.0.1',
      'user_agent.original': 'tests',
      'http.response.status_code': 200,
      'http.response.body.size': expect.any(Number) as number,
      upstream_cluster: `inbound|${port}||`,
    });
    expect(client).toMatchObject({ name: 'GET', status: { code: SpanStatusCode.UNSET } });
    expect(client.attributes).toMatchObject({
      ...self,
      'http.request.method': 'GET',
      'url.full': `http://${NEXT}/price?currency=EUR`,
      'server.address': NEXT,
      'server.port': 80,
      'http.response.status_code': 200,
      'network.peer.address': '127.0.0.1',
      'network.peer.port': next.port,
      upstream_address: `127.0.0.1:${next.port}`,
      upstream_cluster: `outbound|80||${NEXT}`,
    });
    expect(client.attributes).not.toHaveProperty('http.request.resend_count');
    expect(client.events.map(({ name }) => name)).toEqual(['attempt']);
  });

  it('tell of every attempt, and why there was another', async () => {
    const { client } = await spansOf(() => call(`http://${FLAKY}/`));
    expect(client.attributes).toMatchObject({ 'http.response.status_code': 200, 'http.request.resend_count': 1 });
    const address = `127.0.0.1:${flaky.port}`;
    expect(client.events.map(({ name, attributes }) => ({ name, ...attributes }))).toEqual([
      { name: 'attempt', 'inmesh.attempt': 1, 'network.peer.address': address },
      { name: 'attempt', 'inmesh.attempt': 2, 'network.peer.address': address, 'inmesh.attempt.reason': 'status 503' },
    ]);
    // One call, one span: the server sees both attempts as its children.
    expect(new Set(flaky.seen.map(({ headers }) => headers['traceparent'])).size).toBe(1);
  });

  it('know which destination a split has drawn', async () => {
    const { client } = await spansOf(() => call(`http://${SPLIT}/`));
    expect(client.attributes).toMatchObject({ upstream_cluster: `outbound|80|v2|${SPLIT}` });
  });

  it('know of calls the mesh refuses, those that no route matches too', async () => {
    const refused = await spansOf(() => call(`http://${GONE}/here`));
    expect(refused.client.attributes).toMatchObject({ response_flags: 'UF,URX', 'http.response.status_code': 503, 'error.type': '503' });
    expect(refused.client.status.code).toBe(SpanStatusCode.ERROR);
    sdk.reset();
    const lost = await spansOf(() => call(`http://${GONE}/nowhere`));
    expect(lost.client.attributes).toMatchObject({ response_flags: 'NR', 'http.response.status_code': 404, 'error.type': '404' });
    expect(parentOf(lost.client)).toBe(lost.server.spanContext().spanId);
  });

  it('are errors as the conventions have it: 4xx of the caller’s doing only for the caller', async () => {
    const { server } = await spansOf(() => Promise.reject(new Error('broken')), { traceparent: KEPT }, 1);
    expect(server.attributes).toMatchObject({ 'http.response.status_code': 500, 'error.type': '500' });
    expect(server.status.code).toBe(SpanStatusCode.ERROR);
  });

  it('are no spans where the trace is not kept, but a trace all the same: the program’s spans are not kept either', async () => {
    await spansOf(
      () => trace.getTracer('program').startActiveSpan('work', (span) => call(`http://${NEXT}/`).finally(() => span.end())),
      { traceparent: DROPPED },
      0,
    );
    expect(sdk.spans()).toEqual([]);
    const sent = next.seen[0]!.headers['traceparent'];
    expect(sent).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-00$/);
    expect(sent).not.toBe(DROPPED);
  });

  it('continue B3 as B3, and in W3C’s words beside it', async () => {
    const { server, client } = await spansOf(() => call(`http://${NEXT}/`), { b3: '80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1' });
    expect(parentOf(server)).toBe('e457b5a2e4d86bd1');
    const { traceId, spanId } = client.spanContext();
    expect(next.seen[0]!.headers).toMatchObject({ b3: `${traceId}-${spanId}-1`, traceparent: `00-${traceId}-${spanId}-01` });
  });

  it('let the program read and change baggage through OpenTelemetry’s API', async () => {
    let read: string | undefined;
    await spansOf(
      async () => {
        const baggage = propagation.getBaggage(context.active());
        read = baggage?.getEntry('user')?.value;
        const changed = baggage!.setEntry('plan', { value: 'gold & more' });
        await context.with(propagation.setBaggage(context.active(), changed), () => call(`http://${NEXT}/`));
      },
      { traceparent: KEPT, baggage: 'user=7' },
    );
    expect(read).toBe('7');
    expect(next.seen[0]!.headers['baggage']).toBe('user=7,plan=gold%20%26%20more');
  });
});

describe('a call outside any request', () => {
  it('is the child of the span the program works in', async () => {
    const sampled = trace.setSpanContext(context.active(), {
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      traceFlags: 1,
    });
    await context.with(sampled, () => call(`http://${NEXT}/`));
    await vi.waitFor(() => expect(sdk.spans()).toHaveLength(1));
    expect(parentOf(sdk.spans()[0]!)).toBe('b7ad6b7169203331');
  });

  it('is the child of what its own header says, before all else', async () => {
    const { client } = await spansOf(() =>
      call(`http://${NEXT}/`, { headers: { traceparent: '00-11111111111111111111111111111111-2222222222222222-01' } }),
    );
    expect(client.spanContext().traceId).toBe('1'.repeat(32));
    expect(parentOf(client)).toBe('2222222222222222');
    expect(next.seen[0]!.headers['traceparent']).toBe(`00-${'1'.repeat(32)}-${client.spanContext().spanId}-01`);
  });
});

it('gRPC: both sides, by the conventions for RPC', async () => {
  await using behind = await echo('behind');
  await using grpcMesh = await meshOf(serviceEntry('behind.example.com', [behind.port], { protocol: 'GRPC' }));
  await using onwards = echoClient('mesh:///behind.example.com', grpcMesh.grpc.credentials(), grpcMesh.grpc.options());
  await using front = await echo('front', {
    server: grpcMesh.grpc.server(),
    methods: {
      Say: (_call: unknown, callback: (error: object | null, answer?: object) => void) => {
        void onwards.say('on').then(({ code }) => callback({ code, details: 'as behind' }));
      },
    },
  });
  behind.fail = { code: 5, times: 1 };
  await using caller = echoClient(`127.0.0.1:${front.port}`, credentials.createInsecure());
  await caller.say('hello', { traceparent: KEPT });
  await vi.waitFor(() => expect(sdk.spans()).toHaveLength(2));
  const [client, server] = sdk.spans();
  expect(client).toMatchObject({ kind: SpanKind.CLIENT, name: 'test.Echo/Say', status: { code: SpanStatusCode.ERROR } });
  expect(client!.attributes).toMatchObject({
    'rpc.system.name': 'grpc',
    'rpc.method': 'test.Echo/Say',
    'rpc.status_code': 'NOT_FOUND',
    'error.type': 'NOT_FOUND',
    'server.address': 'behind.example.com',
  });
  // Of a server it is no error to say that there is nothing.
  expect(server).toMatchObject({ kind: SpanKind.SERVER, name: 'test.Echo/Say', status: { code: SpanStatusCode.UNSET } });
  expect(server!.attributes).toMatchObject({ 'rpc.status_code': 'NOT_FOUND' });
  expect(parentOf(server!)).toBe('b7ad6b7169203331');
  expect(parentOf(client!)).toBe(server!.spanContext().spanId);
  expect(behind.seen[0]!.metadata['traceparent']).toContain(client!.spanContext().spanId);
});
