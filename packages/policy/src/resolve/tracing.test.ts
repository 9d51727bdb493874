import { describe, expect, it } from 'vitest';
import type { TracingRule } from '../telemetry.ts';
import { meshConfig, modelOf, telemetry } from './trying.ts';

const root = { namespace: 'istio-system' };
const tracing = (...entries: readonly object[]): object => ({ tracing: entries });
const traces = (...documents: readonly string[]): TracingRule => modelOf(documents).telemetry.client.tracing;
const literal = (value: string): object => ({ literal: { value } });

describe('traces', () => {
  it('are sampled as a Telemetry says, else as MeshConfig does, else one in a hundred', () => {
    const mesh = meshConfig({ defaultConfig: { tracing: { sampling: 10 } } });
    expect(traces(meshConfig({})).sampling).toBe(1);
    expect(traces(mesh).sampling).toBe(10);
    expect(traces(mesh, telemetry('a', tracing({ randomSamplingPercentage: 20 }))).sampling).toBe(20);
    expect(traces(mesh, telemetry('a', tracing({ randomSamplingPercentage: 0 }))).sampling).toBe(0);
    expect(traces(mesh, telemetry('a', tracing({ disableSpanReporting: false }))).sampling).toBe(10);
  });

  it('of sampling 0 in MeshConfig are the default, which cannot be told from nothing', () => {
    expect(traces(meshConfig({ defaultConfig: { tracing: { sampling: 0 } } })).sampling).toBe(1);
  });

  it('have the tags of the closest Telemetry that names any, and none of the others', () => {
    const mesh = telemetry('mesh', tracing({ customTags: { a: literal('mesh'), b: literal('mesh') } }), root);
    expect(traces(mesh, telemetry('own', tracing({ customTags: { b: literal('own') } }))).customTags).toEqual({
      b: { kind: 'literal', value: 'own' },
    });
    expect(Object.keys(traces(mesh, telemetry('own', tracing({ randomSamplingPercentage: 5 }))).customTags)).toEqual(['a', 'b']);
  });

  it('have the tags of MeshConfig where no Telemetry names any', () => {
    const mesh = meshConfig({ defaultConfig: { tracing: { customTags: { c: { header: { name: 'x' } } } } } });
    const expected = { c: { kind: 'header', name: 'x', defaultValue: '' } };
    expect(traces(mesh).customTags).toEqual(expected);
    expect(traces(mesh, telemetry('a', tracing({ customTags: {} }))).customTags).toEqual(expected);
  });

  it('have tags of every sort', () => {
    const customTags = {
      a: { literal: { value: 'b' } },
      b: { environment: { name: 'POD', defaultValue: 'none' } },
      c: { header: { name: 'x-user' } },
      d: { formatter: { value: '%RESPONSE_FLAGS%' } },
    };
    expect(traces(telemetry('a', tracing({ customTags }))).customTags).toEqual({
      a: { kind: 'literal', value: 'b' },
      b: { kind: 'environment', name: 'POD', defaultValue: 'none' },
      c: { kind: 'header', name: 'x-user', defaultValue: '' },
      d: { kind: 'formatter', format: '%RESPONSE_FLAGS%' },
    });
  });

  it('turned off above are turned on again below', () => {
    const mesh = telemetry('mesh', tracing({ disableSpanReporting: true, disableContextPropagation: true, enableIstioTags: false }), root);
    expect(traces(mesh)).toMatchObject({ spans: false, propagation: false, istioTags: false });
    expect(
      traces(mesh, telemetry('a', tracing({ disableSpanReporting: false, disableContextPropagation: false, enableIstioTags: true }))),
    ).toMatchObject({ spans: true, propagation: true, istioTags: true });
  });

  it('of enableTracing false make no spans until a provider is named', () => {
    const off = { enableTracing: false, extensionProviders: [{ name: 'otel', opentelemetry: { service: 'a.b', port: 1 } }] };
    expect(traces(meshConfig(off)).spans).toBe(false);
    expect(traces(meshConfig(off), telemetry('a', tracing({ randomSamplingPercentage: 100 }))).spans).toBe(false);
    expect(traces(meshConfig(off), telemetry('a', tracing({ providers: [{ name: 'otel' }] }))).spans).toBe(true);
    expect(traces(meshConfig({ ...off, defaultProviders: { tracing: ['otel'] } })).spans).toBe(true);
    expect(
      traces(meshConfig({ ...off, defaultProviders: { tracing: ['otel'] } }), telemetry('a', tracing({ disableSpanReporting: true })))
        .spans,
    ).toBe(false);
  });
});
