import { describe, expect, it } from 'vitest';
import { ISTIO_METRICS } from '../kinds/telemetry.ts';
import { DEFAULT_TELEMETRY } from '../telemetry.ts';
import { meshConfig, modelOf, service, telemetry } from './trying.ts';

const root = { namespace: 'istio-system' };
const forApp = { selector: { matchLabels: { app: 'a' } } };
const told = (...documents: readonly string[]) => modelOf([service('a'), ...documents], { labels: { app: 'a' } }).telemetry;
const metrics = (...entries: readonly object[]): object => ({ metrics: entries });
const overrides = (...list: readonly object[]): object => metrics({ overrides: list });
const off = (metric?: string, mode?: string): object => ({ match: { metric, mode }, disabled: true });
const on = (metric?: string, mode?: string): object => ({ match: { metric, mode }, disabled: false });
const tags = (tagOverrides: object, metric?: string, mode?: string): object => ({ match: { metric, mode }, tagOverrides });
const disabled = (side: Readonly<Record<string, { readonly disabled: boolean }>>): readonly string[] =>
  Object.keys(side).filter((metric) => side[metric]?.disabled === true); // prettier-ignore
const all = ISTIO_METRICS.toSorted();

describe('metrics', () => {
  it('are turned off by name, for one side or both', () => {
    const { client, server } = told(telemetry('a', overrides(off('REQUEST_SIZE'), off('REQUEST_COUNT', 'CLIENT'))));
    expect(disabled(client.metrics)).toEqual(['REQUEST_COUNT', 'REQUEST_SIZE']);
    expect(disabled(server.metrics)).toEqual(['REQUEST_SIZE']);
  });

  it('are all meant where none is named', () => {
    const { client, server } = told(telemetry('a', overrides({ disabled: true })));
    expect([disabled(client.metrics).toSorted(), disabled(server.metrics).toSorted()]).toEqual([all, all]);
  });

  it('turned off above come back below, by name', () => {
    const { client } = told(telemetry('mesh', overrides(off('REQUEST_COUNT')), root), telemetry('a', overrides(on('REQUEST_COUNT'))));
    expect(client.metrics).toEqual({});
  });

  it('all turned off for a mode come back by any later override for that mode, save those off by name', () => {
    const mesh = telemetry('mesh', overrides(off('REQUEST_SIZE'), off('ALL_METRICS')), root);
    const { client, server } = told(mesh, telemetry('a', overrides(on('REQUEST_COUNT', 'CLIENT'))));
    expect(disabled(client.metrics)).toEqual(['REQUEST_SIZE']);
    expect(disabled(server.metrics).toSorted()).toEqual(all);
  });

  it('turned on and then all off stay off: the later wins', () => {
    const { client } = told(telemetry('a', overrides(on('REQUEST_COUNT'), off('ALL_METRICS'))));
    expect(disabled(client.metrics).toSorted()).toEqual(all);
  });

  it('have labels more, other values, or labels less', () => {
    const { client } = told(
      telemetry('a', overrides(tags({ request_host: { value: 'request.host' }, source_app: { value: "'x'" }, response_flags: { operation: 'REMOVE' } }, 'REQUEST_COUNT'))), // prettier-ignore
    );
    expect(client.metrics).toEqual({
      REQUEST_COUNT: {
        disabled: false,
        tags: [
          { name: 'request_host', expression: 'request.host' },
          { name: 'response_flags', expression: null },
          { name: 'source_app', expression: "'x'" },
        ],
      },
    });
  });

  it('inherit labels of the mesh and the namespace; of one label the last holds', () => {
    const { server } = told(
      telemetry('mesh', overrides(tags({ a: { value: "'mesh'" }, b: { value: "'mesh'" }, c: { value: "'mesh'" } })), root),
      telemetry('namespace', overrides(tags({ b: { value: "'namespace'" }, c: { operation: 'REMOVE' } }, 'REQUEST_COUNT'))),
      telemetry('own', { ...forApp, ...overrides(tags({ d: { value: "'own'" } }, 'REQUEST_COUNT', 'SERVER')) }),
    );
    expect(server.metrics.REQUEST_COUNT?.tags).toEqual([
      { name: 'a', expression: "'mesh'" },
      { name: 'b', expression: "'namespace'" },
      { name: 'c', expression: null },
      { name: 'd', expression: "'own'" },
    ]);
    expect(server.metrics.TCP_SENT_BYTES?.tags).toEqual(['a', 'b', 'c'].map((name) => ({ name, expression: "'mesh'" })));
  });

  it('have labels that Prometheus can have', () => {
    const { client } = told(telemetry('a', overrides(tags({ 'request-host': { value: 'request.host' } }, 'REQUEST_COUNT'))));
    expect(client.metrics.REQUEST_COUNT?.tags).toEqual([{ name: 'request_host', expression: 'request.host' }]);
  });

  it('keep the standard where an override changes nothing', () => {
    expect(told(telemetry('a', overrides(on('REQUEST_COUNT'), {})))).toEqual(DEFAULT_TELEMETRY);
  });

  it('of other names are left alone', () => {
    const custom = { match: { customMetric: 'mine' }, disabled: true, tagOverrides: { a: { value: "'b'" } } };
    expect(told(telemetry('a', overrides(custom)))).toEqual(DEFAULT_TELEMETRY);
  });

  it('are told of every reportingInterval, of several the last', () => {
    expect(told().reportingIntervalMs).toBe(5000);
    expect(
      told(telemetry('mesh', metrics({ reportingInterval: '10s' }), root), telemetry('a', metrics({ reportingInterval: '1s' }, {})))
        .reportingIntervalMs,
    ).toBe(1000);
  });
});

describe('providers of metrics', () => {
  const named = (name: string, more: object = {}): object => ({ providers: [{ name }], ...more });
  const away = meshConfig({ extensionProviders: [{ name: 'elsewhere', stackdriver: {} }, { name: 'mine', prometheus: {} }] }); // prettier-ignore

  it('are replaced by those below: without Prometheus nothing is counted', () => {
    const { client } = told(
      away,
      telemetry('mesh', metrics(named('prometheus')), root),
      telemetry('a', metrics(named('elsewhere', { reportingInterval: '1s' }))),
    );
    expect(disabled(client.metrics).toSorted()).toEqual(all);
  });

  it('that are replaced take their overrides with them', () => {
    const { client } = told(
      away,
      telemetry('mesh', metrics(named('mine', { overrides: [off('REQUEST_COUNT')] })), root),
      telemetry('a', metrics(named('prometheus', { overrides: [off('REQUEST_SIZE')] }))),
    );
    expect(disabled(client.metrics)).toEqual(['REQUEST_SIZE']);
  });

  it('that are not named are those of the parent', () => {
    const { client } = told(away, telemetry('mesh', metrics(named('mine')), root), telemetry('a', overrides(off('REQUEST_COUNT'))));
    expect(disabled(client.metrics)).toEqual(['REQUEST_COUNT']);
  });

  it('that nobody declares count nothing', () => {
    expect(disabled(told(telemetry('a', metrics(named('gone')))).client.metrics).toSorted()).toEqual(all);
  });

  it('are by default Prometheus, unless MeshConfig says there are none', () => {
    expect(told(meshConfig({ defaultProviders: { tracing: ['a'] } }))).toEqual(DEFAULT_TELEMETRY);
    expect(disabled(told(meshConfig({ defaultProviders: { metrics: [] } })).server.metrics).toSorted()).toEqual(all);
  });
});
