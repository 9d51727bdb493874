import type { Call, InboundInfo, RouteInfo, Trace } from '@inmesh/core';
import { seededRandom, testCall, testEndedCall, testWorkload } from '@inmesh/core/testing';
import { DEFAULT_TELEMETRY, type TracingRule } from '@inmesh/policy';
import { context, SamplingDecision, SpanKind, trace } from '@opentelemetry/api';
import { InMemorySpanExporter, type Sampler, SimpleSpanProcessor } from '@opentelemetry/sdk-trace';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { policySampler, policySampling } from './sampler.ts';
import { createTracer, type TracerOptions } from './tracer.ts';

const telemetry = (rule: Partial<TracingRule>) => {
  const side = { ...DEFAULT_TELEMETRY.client, tracing: { ...DEFAULT_TELEMETRY.client.tracing, ...rule } };
  return side;
};
const client = (rule: Partial<TracingRule> = {}): RouteInfo => ({
  side: 'client',
  cluster: 'outbound|80||reviews',
  service: 'reviews',
  serviceName: 'reviews',
  serviceNamespace: 'default',
  route: '',
  protocol: 'http',
  telemetry: telemetry(rule),
});
const server = (rule: Partial<TracingRule> = {}): InboundInfo => ({
  side: 'server',
  cluster: 'inbound|80||',
  port: 80,
  service: '',
  serviceName: '',
  serviceNamespace: '',
  route: 'default',
  telemetry: telemetry(rule),
});
const tracer = (options: Partial<TracerOptions> = {}) => createTracer({ workload: testWorkload(), random: seededRandom(7), ...options });
const lineOf = (lines: readonly string[], name: string): string | undefined => lines[lines.indexOf(name) + 1];
const KEPT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

describe('without an SDK', () => {
  it('does nothing where the policy wants neither spans nor contexts', () => {
    expect(tracer().outbound(client({ spans: false, propagation: false }))).toBeUndefined();
  });

  it('makes no context go out where the policy says so (disableContextPropagation)', () => {
    const mine = tracer();
    const inbound = mine.inbound(server())!(testCall({ headers: { traceparent: KEPT } }), false)!;
    inbound.run(() => {
      expect(mine.outbound(client({ propagation: false }))!(testCall(), false)).toBeUndefined();
      expect(mine.outbound(client())!(testCall(), false)!.headers(true)).toContain(KEPT);
    });
  });

  it('tells logs which trace a request is of', () => {
    const told = tracer().inbound(server())!(testCall({ headers: { traceparent: KEPT, 'x-request-id': 'r' } }), false)!;
    expect(told).toMatchObject({ traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', sampled: true, requestId: 'r' });
  });

  it('hands on nothing that a header cannot carry everywhere', () => {
    const mine = tracer({ forward: ['tenant'] });
    const inbound = mine.inbound(server())!(testCall({ headers: { 'x-request-id': 'r\xe9', baggage: 'a=\xe9', tenant: '\xe9' } }), false)!;
    inbound.run(() => {
      const lines = mine.outbound(client())!(testCall(), false)!.headers(true);
      expect(lines.join()).toMatch(/^x-request-id,[0-9a-f-]{36}$/);
      expect(mine.forwarded()).toEqual([]);
    });
  });
});

describe('with an SDK', () => {
  let exporter: InMemorySpanExporter;
  let sdk: NodeSDK;

  const start = (sampler?: Sampler): void => {
    exporter = new InMemorySpanExporter();
    const spanProcessors = [new SimpleSpanProcessor({ exporter })];
    sdk = new NodeSDK({ autoDetectResources: false, metricReaders: [], spanProcessors, ...(sampler === undefined ? {} : { sampler }) });
    sdk.start();
  };

  beforeEach(() => start());

  afterEach(async () => {
    await sdk.shutdown();
    trace.disable();
    context.disable();
  });

  /** Ends a call as the mesh would. */
  const end = (mine: ReturnType<typeof tracer>, info: RouteInfo, call: Call, begun: Trace): void =>
    mine.observer.route(info).ended(testEndedCall({ call, trace: begun }));

  it('begins of a thousand traces those that the policy’s percentage draws; the rest are ids and nothing else', () => {
    const mine = tracer();
    const info = client({ sampling: 10 });
    const begin = mine.outbound(info)!;
    const begun = Array.from({ length: 1000 }, () => begin(testCall(), false)!);
    for (const one of begun) end(mine, info, testCall(), one);
    const kept = begun.filter(({ sampled }) => sampled);
    expect(kept.length).toBeGreaterThan(70);
    expect(kept.length).toBeLessThan(130);
    expect(exporter.getFinishedSpans()).toHaveLength(kept.length);
    for (const one of begun) {
      const traceparent = lineOf(one.headers(true), 'traceparent');
      expect(traceparent).toBe(`00-${one.traceId}-${one.spanId}-${one.sampled ? '01' : '00'}`);
    }
    expect(new Set(begun.map(({ traceId }) => traceId)).size).toBe(1000);
  });

  it('keeps to a decision that came in, whatever the percentage', () => {
    const mine = tracer();
    const headers = { traceparent: KEPT };
    expect(mine.inbound(server({ sampling: 0 }))!(testCall({ headers }), false)!.sampled).toBe(true);
    const dropped = mine.inbound(server({ sampling: 100 }))!(testCall({ headers: { traceparent: KEPT.replace(/1$/, '0') } }), false)!;
    expect(dropped.sampled).toBe(false);
    expect(dropped.traceId).toBe('0af7651916cd43dd8448eb211c80319c');
  });

  it('draws for B3 that leaves the decision to whoever comes first', () => {
    const headers = { b3: '80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1' };
    expect(tracer().inbound(server({ sampling: 100 }))!(testCall({ headers }), false)!.sampled).toBe(true);
    expect(tracer().inbound(server({ sampling: 0 }))!(testCall({ headers }), false)!.sampled).toBe(false);
    expect(tracer().inbound(server({ sampling: 100 }))!(testCall({ headers: { b3: '0' } }), false)!.sampled).toBe(false);
  });

  it('lets a sampler of the program’s say no to what the policy has drawn', async () => {
    await sdk.shutdown();
    trace.disable();
    start({ shouldSample: () => ({ decision: SamplingDecision.NOT_RECORD }), toString: () => 'never' });
    const mine = tracer();
    const info = client({ sampling: 100 });
    const begun = mine.outbound(info)!(testCall(), false)!;
    end(mine, info, testCall(), begun);
    expect(begun.sampled).toBe(false);
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it('makes no span where the policy turns them off, and hands on (disableSpanReporting)', () => {
    const mine = tracer();
    const inbound = mine.inbound(server({ spans: false }))!(testCall({ headers: { traceparent: KEPT } }), false)!;
    inbound.run(() => expect(mine.outbound(client({ spans: false }))!(testCall(), false)!.headers(true)).toContain(KEPT));
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it('makes spans, but tells nobody of them, where contexts shall not go out', () => {
    const mine = tracer();
    const info = client({ sampling: 100, propagation: false });
    const begun = mine.outbound(info)!(testCall(), false)!;
    expect(begun.headers(true)).toEqual([]);
    end(mine, info, testCall(), begun);
    expect(exporter.getFinishedSpans()).toHaveLength(1);
  });

  it('leaves a server’s span to whoever instruments it', () => {
    const mine = tracer();
    const info = server({ sampling: 100 });
    const call = testCall();
    const begun = mine.inbound(info)!(call, true)!;
    mine.observer.inbound!(info).ended(testEndedCall({ call, trace: begun }));
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it('makes a span of a request that is served within another, unless somebody else has made one', () => {
    const mine = tracer();
    const info = server({ sampling: 100 });
    const outer = mine.inbound(info)!(testCall(), false)!;
    const inner = outer.run(() => mine.inbound(info)!(testCall(), false)!);
    expect(inner.traceId).not.toBe('');
    expect(inner.traceId).not.toBe(outer.traceId);
    const theirs = trace.getTracer('theirs').startSpan('GET', { kind: SpanKind.SERVER });
    const kept = context.with(trace.setSpan(context.active(), theirs), () => mine.inbound(info)!(testCall(), false)!);
    expect(kept.traceId).toBe('');
  });

  it('says nothing of calls made for the exporter itself', () => {
    const suppressed = context.active().setValue(Symbol.for('OpenTelemetry SDK Context Key SUPPRESS_TRACING'), true);
    expect(context.with(suppressed, () => tracer().outbound(client({ sampling: 100 }))!(testCall(), false))).toBeUndefined();
  });

  it('puts the policy’s tags on spans: fixed, of the environment, of headers, and what a formatter makes', () => {
    vi.stubEnv('ZONE', 'z1');
    try {
      const customTags: TracingRule['customTags'] = {
        fixed: { kind: 'literal', value: 'yes' },
        zone: { kind: 'environment', name: 'ZONE', defaultValue: 'none' },
        region: { kind: 'environment', name: 'NO_SUCH_REGION', defaultValue: 'anywhere' },
        tenant: { kind: 'header', name: 'X-Tenant', defaultValue: '' },
        plan: { kind: 'header', name: 'x-plan', defaultValue: 'free' },
        flags: { kind: 'formatter', format: '%RESPONSE_FLAGS%' },
        nothing: { kind: 'formatter', format: '-' },
      };
      const mine = tracer({ formatter: (format) => () => (format === '-' ? '-' : `<${format}>`) });
      const info = client({ sampling: 100, customTags, istioTags: false });
      const call = testCall({ headers: { 'x-tenant': 'acme' } });
      end(mine, info, call, mine.outbound(info)!(call, false)!);
      const { attributes } = exporter.getFinishedSpans()[0]!;
      expect(attributes).toMatchObject({
        fixed: 'yes',
        zone: 'z1',
        region: 'anywhere',
        tenant: 'acme',
        plan: 'free',
        flags: '<%RESPONSE_FLAGS%>',
      });
      expect(Object.keys(attributes).filter((name) => name === 'nothing' || name.startsWith('istio.'))).toEqual([]);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('counts methods that strangers make up as one', () => {
    const mine = tracer();
    const info = client({ sampling: 100 });
    const call = testCall({ method: 'BREW' });
    end(mine, info, call, mine.outbound(info)!(call, false)!);
    const [span] = exporter.getFinishedSpans();
    expect(span!.name).toBe('HTTP');
    expect(span!.attributes).toMatchObject({ 'http.request.method': '_OTHER', 'http.request.method_original': 'BREW' });
  });

  it('with the policy’s sampler: what the mesh has drawn is not drawn again, what the program begins has the same share', async () => {
    await sdk.shutdown();
    trace.disable();
    start(policySampler() as Sampler);
    const mine = tracer();
    const info = client({ sampling: 20 });
    const begin = mine.outbound(info)!;
    expect(policySampling.percent).toBe(20);
    const kept = Array.from({ length: 500 }, () => begin(testCall(), false)!).filter(({ sampled }) => sampled).length;
    expect(kept).toBeGreaterThan(70);
    const program = trace.getTracer('program');
    const own = Array.from({ length: 500 }, () => program.startSpan('work')).filter((span) => span.isRecording()).length;
    expect(own).toBeGreaterThan(60);
    expect(own).toBeLessThan(140);
  });
});
