import { describe, expect, it } from 'vitest';
import type { TelemetryModel, Workload } from '../model.ts';
import { DEFAULT_TELEMETRY } from '../telemetry.ts';
import { aged, meshConfig, modelOf, service, telemetry } from './trying.ts';

const root = { namespace: 'istio-system' };
const reviews: Partial<Workload> = { labels: { app: 'reviews', version: 'v1' } };
const forApp = (app: string): object => ({ selector: { matchLabels: { app } } });
const sampled = (percent: number, more: object = {}): object => ({ ...more, tracing: [{ randomSamplingPercentage: percent }] });
const told = (documents: readonly string[], who: Partial<Workload> = reviews): TelemetryModel => modelOf(documents, who).telemetry;
const sampling = (documents: readonly string[], who: Partial<Workload> = reviews): number => told(documents, who).client.tracing.sampling;

describe('what is told of calls', () => {
  it('is Istio’s standard where nobody says anything', () => {
    expect(told([service('reviews')])).toEqual(DEFAULT_TELEMETRY);
    expect(told([meshConfig({})])).toEqual(DEFAULT_TELEMETRY);
  });

  it('is what the workload says, before its namespace, before the mesh', () => {
    const mesh = telemetry('mesh', sampled(2), root);
    const namespace = telemetry('namespace', sampled(3));
    const own = telemetry('own', sampled(4, forApp('reviews')));
    expect(sampling([own, namespace, mesh])).toBe(4);
    expect(sampling([namespace, mesh])).toBe(3);
    expect(sampling([mesh])).toBe(2);
    expect(sampling([own, mesh])).toBe(4);
  });

  it('inherits each field that is not set', () => {
    const { client } = told([
      telemetry('mesh', { tracing: [{ randomSamplingPercentage: 2, enableIstioTags: false }] }, root),
      telemetry('namespace', { tracing: [{ disableSpanReporting: true }] }),
      telemetry('own', { ...forApp('reviews'), tracing: [{ disableContextPropagation: true }] }),
    ]);
    expect(client.tracing).toEqual({ spans: false, sampling: 2, customTags: {}, istioTags: false, propagation: false });
  });

  it('of another namespace, or of other workloads, is none of its business', () => {
    expect(sampling([telemetry('theirs', sampled(5), { namespace: 'other' })])).toBe(1);
    expect(sampling([telemetry('theirs', sampled(5, forApp('ratings')))])).toBe(1);
    expect(sampling([telemetry('two', sampled(5, { selector: { matchLabels: { app: 'reviews', version: 'v2' } } }))])).toBe(1);
  });

  it('of the root namespace reaches all workloads only without a selector', () => {
    const own = telemetry('own', sampled(5, forApp('reviews')), root);
    expect(sampling([own])).toBe(1);
    expect(sampling([own], { ...reviews, ...root })).toBe(5);
  });

  it('is that of the root namespace once, for a workload that lives there', () => {
    const own = telemetry('b', sampled(6, forApp('reviews')), root);
    expect(sampling([telemetry('a', sampled(5), root), own], { ...reviews, ...root })).toBe(6);
    // Read a second time, the override would be one of the provider named below it.
    const metrics = [{ overrides: [{ disabled: true }] }, { providers: [{ name: 'mine' }] }];
    const mine = meshConfig({ extensionProviders: [{ name: 'mine', prometheus: {} }] });
    expect(told([mine, telemetry('a', { metrics }, root)], { ...reviews, ...root }).client.metrics).toEqual({});
  });

  it('follows the root namespace that MeshConfig names', () => {
    const mesh = meshConfig({ rootNamespace: 'mesh' });
    expect(sampling([mesh, telemetry('a', sampled(5), { namespace: 'mesh' }), telemetry('b', sampled(6), root)])).toBe(5);
  });

  it('of two for a whole namespace is the older', () => {
    expect(sampling([telemetry('young', sampled(5), aged(2)), telemetry('old', sampled(6), aged(1))])).toBe(6);
  });

  it('of two that select a workload is both, and where they differ the younger', () => {
    const { tracing } = told([
      telemetry('young', sampled(5, forApp('reviews')), aged(2)),
      telemetry('old', { selector: { matchLabels: { version: 'v1' } }, tracing: [{ randomSamplingPercentage: 6, enableIstioTags: false }] }, aged(1)), // prettier-ignore
    ]).client;
    expect([tracing.sampling, tracing.istioTags]).toEqual([5, false]);
  });

  it('of a selector without labels is for the whole namespace', () => {
    expect(sampling([telemetry('a', sampled(5, { selector: {} }))])).toBe(5);
  });

  it('attached to a gateway or a Service holds for no workload', () => {
    const target = { kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'door' };
    expect(sampling([telemetry('a', sampled(5, { targetRefs: [target] })), telemetry('b', sampled(6, { targetRef: target }))])).toBe(1);
  });

  it('has sides of its own: one is told nothing of what is for the other', () => {
    const { client, server } = told([
      telemetry('a', {
        metrics: [{ overrides: [{ match: { metric: 'REQUEST_COUNT', mode: 'CLIENT' }, disabled: true }] }],
        tracing: [{ match: { mode: 'SERVER' }, randomSamplingPercentage: 50 }],
        accessLogging: [{ match: { mode: 'CLIENT' }, providers: [{ name: 'envoy' }] }],
      }),
    ]);
    expect([Object.keys(client.metrics), client.tracing.sampling, client.accessLogs.length]).toEqual([['REQUEST_COUNT'], 1, 1]);
    expect([Object.keys(server.metrics), server.tracing.sampling, server.accessLogs.length]).toEqual([[], 50, 0]);
  });
});
