import { describe, expect, it } from 'vitest';
import type { AccessLogRule } from '../telemetry.ts';
import { meshConfig, modelOf, telemetry } from './trying.ts';

const root = { namespace: 'istio-system' };
const forApp = { selector: { matchLabels: { app: 'a' } } };
const providers = [
  {
    name: 'json',
    envoyFileAccessLog: { path: '/var/log/mesh', logFormat: { labels: { code: '%RESPONSE_CODE%' } }, omitEmptyValues: true },
  },
  { name: 'lines', envoyFileAccessLog: { logFormat: { text: '%PROTOCOL%\n' } } },
  { name: 'als', envoyHttpAls: { service: 'als', port: 80 } },
];
const mesh = (spec: object = {}): string => meshConfig({ extensionProviders: providers, ...spec });
const logging = (...entries: readonly object[]): object => ({ accessLogging: entries });
const to = (...names: readonly string[]): object => ({ providers: names.map((name) => ({ name })) });
const when = (expression: string): object => ({ filter: { expression } });
const sides = (...documents: readonly string[]) => modelOf(documents, { labels: { app: 'a' } }).telemetry;
const logs = (...documents: readonly string[]): readonly AccessLogRule[] => sides(...documents).client.accessLogs;
/** `provider`, or `provider filter`. */
const short = (rules: readonly AccessLogRule[]): readonly string[] =>
  rules.map(({ provider, filter }) => (filter === null ? provider : `${provider} ${filter}`));
const said = (...documents: readonly string[]): readonly string[] => short(logs(...documents));

describe('access logs', () => {
  it('are none where nobody asks', () => {
    expect(said(mesh())).toEqual([]);
    expect(said(mesh(), telemetry('a', logging({})))).toEqual([]);
  });

  it('are of both sides where accessLogFile names a file', () => {
    const { client, server } = sides(mesh({ accessLogFile: '/dev/stdout' }));
    const sink = { kind: 'file', path: '/dev/stdout', format: { kind: 'text', format: null, omitEmptyValues: false } };
    expect(client.accessLogs).toEqual([{ provider: 'accessLogFile', sink, filter: null }]);
    expect(server.accessLogs).toEqual(client.accessLogs);
  });

  it('of accessLogFile give way to default providers, and those to a Telemetry that names others', () => {
    const config = mesh({ accessLogFile: '/dev/stdout', defaultProviders: { accessLogging: ['json'] } });
    expect(said(config)).toEqual(['json']);
    expect(said(config, telemetry('a', logging(to('lines', 'envoy'))))).toEqual(['envoy', 'lines']);
  });

  it('are turned off where no provider is named, whoever it is', () => {
    expect(said(mesh({ accessLogFile: '/dev/stdout' }), telemetry('a', logging({ disabled: true })))).toEqual([]);
    expect(said(mesh({ defaultProviders: { accessLogging: ['json'] } }), telemetry('a', logging({ disabled: true })))).toEqual([]);
    expect(said(telemetry('mesh', logging(to('envoy')), root), telemetry('a', logging({ disabled: true })))).toEqual([]);
  });

  it('turned off by name leave the others of the same Telemetry', () => {
    expect(said(mesh(), telemetry('a', logging(to('json', 'lines'), { ...to('json'), disabled: true })))).toEqual(['lines']);
  });

  it('turned off above come back below', () => {
    expect(
      said(
        telemetry('mesh', logging({ ...to('envoy'), disabled: true }), root),
        telemetry('own', { ...forApp, ...logging({ disabled: false }) }),
      ),
    ).toEqual(['envoy']);
  });

  it('of providers that a closer Telemetry does not name are gone', () => {
    expect(said(mesh(), telemetry('mesh', logging(to('json', 'lines')), root), telemetry('a', logging(to('lines'))))).toEqual(['lines']);
    // Even if all it says of its own is that it is off.
    expect(
      said(mesh(), telemetry('mesh', logging(to('json', 'lines')), root), telemetry('a', logging({ ...to('lines'), disabled: true }))),
    ).toEqual([]);
  });

  it('are filtered as the closest Telemetry says', () => {
    const config = telemetry('mesh', logging({ ...to('envoy'), ...when('response.code >= 400') }), root);
    expect(said(config)).toEqual(['envoy response.code >= 400']);
    expect(said(config, telemetry('a', logging(when('response.code >= 500'))))).toEqual(['envoy response.code >= 500']);
    expect(said(config, telemetry('a', logging({})))).toEqual(['envoy response.code >= 400']);
    expect(said(config, telemetry('a', logging(to('envoy'))))).toEqual(['envoy']);
  });

  it('of the default are filtered, too', () => {
    expect(said(mesh({ accessLogFile: '/dev/stdout' }), telemetry('a', logging(when('connection.mtls'))))).toEqual([
      'accessLogFile connection.mtls',
    ]);
  });

  it('of one side leave the other as it was', () => {
    const { client, server } = sides(
      mesh({ defaultProviders: { accessLogging: ['json'] } }),
      telemetry('a', logging({ match: { mode: 'CLIENT' }, ...to('lines') }, { match: { mode: 'SERVER' }, ...when('response.code == 0') })),
    );
    expect([short(client.accessLogs), short(server.accessLogs)]).toEqual([['lines'], ['json response.code == 0']]);
  });

  it('of providers that nobody declares, or that are none of access logs, are not written', () => {
    expect(said(mesh(), telemetry('a', logging(to('gone', 'als', 'prometheus', 'lines'))))).toEqual(['lines']);
  });
});

describe('sinks of access logs', () => {
  const sinkOf = (name: string, spec: object = {}) => logs(mesh(spec), telemetry('a', logging(to(name))))[0]?.sink;

  it('are files, of JSON or text', () => {
    expect(sinkOf('json')).toEqual({
      kind: 'file',
      path: '/var/log/mesh',
      format: { kind: 'json', fields: { code: '%RESPONSE_CODE%' }, omitEmptyValues: true },
    });
    // The end of a line is no part of its format.
    expect(sinkOf('lines')).toEqual({
      kind: 'file',
      path: '/dev/stdout',
      format: { kind: 'text', format: '%PROTOCOL%', omitEmptyValues: false },
    });
  });

  it('of provider envoy are written as MeshConfig says', () => {
    const format = (spec: object): unknown => {
      const sink = sinkOf('envoy', spec);
      return sink?.kind === 'file' ? [sink.path, sink.format] : sink;
    };
    const text = { kind: 'text', omitEmptyValues: false };
    const json = { kind: 'json', omitEmptyValues: false };
    expect(format({})).toEqual(['/dev/stdout', { ...text, format: null }]);
    expect(format({ accessLogFormat: '%PROTOCOL%\n' })).toEqual(['/dev/stdout', { ...text, format: '%PROTOCOL%' }]);
    expect(format({ accessLogEncoding: 'JSON' })).toEqual(['/dev/stdout', { ...json, fields: null }]);
    expect(format({ accessLogEncoding: 'JSON', accessLogFormat: '{"a":{"b":"%PROTOCOL%"}}' })).toEqual([
      '/dev/stdout',
      { ...json, fields: { a: { b: '%PROTOCOL%' } } },
    ]);
    expect(format({ accessLogEncoding: 'JSON', accessLogFormat: 'no JSON' })).toEqual(['/dev/stdout', { ...json, fields: null }]);
  });

  it('of other providers are written as they say themselves', () => {
    const spec = { extensionProviders: [{ name: 'mine', envoyFileAccessLog: { path: '/log' } }], accessLogEncoding: 'JSON' };
    expect(sinkOf('mine', spec)).toEqual({ kind: 'file', path: '/log', format: { kind: 'text', format: null, omitEmptyValues: false } });
  });

  it('of a provider that is declared under the name of a built-in one are its own', () => {
    const spec = { extensionProviders: [{ name: 'envoy', envoyFileAccessLog: { path: '/log', logFormat: { text: 'a' } } }], accessLogEncoding: 'JSON' }; // prettier-ignore
    expect(sinkOf('envoy', spec)).toEqual({
      kind: 'file',
      path: '/log',
      format: { kind: 'text', format: 'a', omitEmptyValues: false },
    });
  });

  it('of OpenTelemetry have a name, a body and attributes', () => {
    const otel = (more: object): object => ({ extensionProviders: [{ name: 'otel', envoyOtelAls: { service: 'a.b', port: 4317, ...more } }] }); // prettier-ignore
    expect(sinkOf('otel', otel({ logName: 'shop', logFormat: { text: '%PROTOCOL%', labels: { a: '%DURATION%', n: 1 } } }))).toEqual({
      kind: 'otel',
      logName: 'shop',
      body: '%PROTOCOL%',
      attributes: { a: '%DURATION%' },
    });
    const standard = sinkOf('otel', otel({}));
    expect(standard).toMatchObject({ kind: 'otel', logName: 'otel_envoy_accesslog', attributes: {} });
    const operators = standard?.kind === 'otel' ? (standard.body.match(/%[^%]+%/g) ?? []) : [];
    expect(operators).toHaveLength(24);
    expect([operators[0], operators.at(-1)]).toEqual(['%START_TIME%', '%ROUTE_NAME%']);
  });
});
