import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ISTIO_METRICS } from '../kinds/telemetry.ts';
import type { TelemetryModel } from '../telemetry.ts';
import { meshConfig, modelOf, telemetry } from './trying.ts';

const some = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> => fc.option(arbitrary, { nil: undefined });
const match = { mode: fc.constantFrom('CLIENT', 'SERVER', 'CLIENT_AND_SERVER') };
const providers = (...names: readonly string[]) => some(fc.subarray(names.map((name) => ({ name }))));

const override = fc.record({
  match: some(fc.record({ ...match, metric: some(fc.constantFrom('ALL_METRICS', ...ISTIO_METRICS)) })),
  disabled: some(fc.boolean()),
  tagOverrides: some(
    fc.dictionary(
      fc.constantFrom('source_app', 'response_flags', 'mine'),
      fc.constantFrom({ operation: 'REMOVE' }, { value: "'a'" }, { value: 'b' }),
    ),
  ),
});
const metrics = fc.record({
  providers: providers('prometheus', 'mine', 'gone'),
  overrides: some(fc.array(override, { maxLength: 3 })),
  reportingInterval: some(fc.constantFrom('1s', '10s')),
});
const tracing = fc.record({
  match: some(fc.record(match)),
  providers: providers('zipkin', 'otel'),
  randomSamplingPercentage: some(fc.constantFrom(0, 5, 100)),
  disableSpanReporting: some(fc.boolean()),
  customTags: some(fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom({ literal: { value: 'x' } }, { header: { name: 'y' } }))),
  enableIstioTags: some(fc.boolean()),
  disableContextPropagation: some(fc.boolean()),
});
const accessLogging = fc.record({
  match: some(fc.record(match)),
  providers: providers('envoy', 'lines', 'gone'),
  disabled: some(fc.boolean()),
  filter: some(fc.constantFrom({ expression: 'a' }, { expression: 'b' })),
});
const spec = fc.record({
  metrics: some(fc.array(metrics, { maxLength: 2 })),
  tracing: some(fc.array(tracing, { maxLength: 2 })),
  accessLogging: some(fc.array(accessLogging, { maxLength: 3 })),
});

const config = meshConfig({
  extensionProviders: [
    { name: 'mine', prometheus: {} },
    { name: 'lines', envoyFileAccessLog: { path: '/log' } },
  ],
  accessLogFile: '/dev/stdout',
});
const root = { namespace: 'istio-system' };
const forApp = { selector: { matchLabels: { app: 'a' } } };
const told = (mesh: object, namespace: object, own: object): TelemetryModel =>
  modelOf([config, telemetry('mesh', mesh, root), telemetry('namespace', namespace), telemetry('own', { ...own, ...forApp })], {
    labels: { app: 'a' },
  }).telemetry;

describe('telemetry, whatever is asked for', () => {
  it('is changed by no empty Telemetry, nor by empty sections, wherever they stand', () => {
    const empty = fc.constantFrom({}, { metrics: [{}], tracing: [{}] }, { metrics: [], tracing: [], accessLogging: [] });
    fc.assert(
      fc.property(spec, empty, empty, (given, one, other) => {
        const alone = modelOf([config, telemetry('own', given)]).telemetry;
        expect(told(given, one, other)).toEqual(alone);
        expect(told(one, given, other)).toEqual(alone);
        expect(told(one, other, given)).toEqual(alone);
      }),
    );
  });

  it('of metrics and traces depends on the order of entries alone, not on the level they stand at', () => {
    const entries = fc.record({ metrics: fc.array(metrics, { maxLength: 5 }), tracing: fc.array(tracing, { maxLength: 5 }) });
    fc.assert(
      fc.property(entries, fc.nat(5), fc.nat(5), (given, a, b) => {
        const [first, second] = [Math.min(a, b), Math.max(a, b)];
        const part = (from: number, to: number): object => ({
          metrics: given.metrics.slice(from, to),
          tracing: given.tracing.slice(from, to),
        });
        expect(told(part(0, first), part(first, second), part(second, 5))).toEqual(told({}, {}, given));
      }),
    );
  });

  it('of one side never depends on what is for the other', () => {
    const forServers = (entry: { readonly match?: object | undefined }): object => ({
      ...entry,
      match: { ...entry.match, mode: 'SERVER' },
    });
    fc.assert(
      fc.property(spec, (given) => {
        const servers = {
          metrics: (given.metrics ?? []).map(({ overrides }) => ({ overrides: (overrides ?? []).map(forServers) })),
          tracing: (given.tracing ?? []).map(forServers),
          accessLogging: (given.accessLogging ?? []).map(forServers),
        };
        expect(told({}, servers, {}).client).toEqual(told({}, {}, {}).client);
      }),
    );
  });

  it('is plain data, with each label once and in order', () => {
    fc.assert(
      fc.property(spec, spec, spec, (mesh, namespace, own) => {
        const model = told(mesh, namespace, own);
        expect(JSON.parse(JSON.stringify(model))).toEqual(model);
        for (const side of [model.client, model.server]) {
          for (const { disabled, tags } of Object.values(side.metrics)) {
            expect(disabled || tags.length > 0).toBe(true);
            expect(tags.map(({ name }) => name)).toEqual([...new Set(tags.map(({ name }) => name))].sort());
          }
          const logged = side.accessLogs.map(({ provider }) => provider);
          expect(logged).toEqual([...new Set(logged)].sort());
        }
      }),
    );
  });
});
