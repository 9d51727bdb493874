import { describe, expect, it } from 'vitest';
import { problemsOf, resource } from '../testing/problems.ts';

const telemetry = (spec: object, metadata: object = {}): string => resource('Telemetry', spec, { name: 't', ...metadata });
const config = (spec: object): string => resource('MeshConfig', spec);
const objective = (spec: object): string =>
  resource('ServiceLevelObjective', { service: 'a', indicator: { availability: {} }, objective: 99, ...spec });
const pod = (labels: object, namespace = 'default'): string => resource('Pod', {}, { name: 'p', labels, namespace });
const service = (name: string): string => resource('Service', { ports: [{ name: 'http', port: 80 }] }, { name });
const forApp = (app: string): object => ({ selector: { matchLabels: { app } } });
const to = (...names: readonly string[]): object => ({ providers: names.map((name) => ({ name })) });
const root = { namespace: 'istio-system' };
const older = { creationTimestamp: '2025-01-01T00:00:00Z' };
const younger = { creationTimestamp: '2026-01-01T00:00:00Z' };
const T = 'Telemetry default/t spec';
const door = { targetRefs: [{ kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'door' }] };
const slow = (threshold: string): string => objective({ indicator: { latency: { threshold } } });

type Row = readonly [name: string, texts: readonly string[], expected: readonly string[]];
const rows: readonly Row[] = [
  ['two for a namespace', [telemetry({}, younger), telemetry({}, { name: 'u', ...older })], ['IST0160 warning Telemetry default/t ']],
  ['two for a namespace, one of them for a gateway', [telemetry({}), telemetry(door, { name: 'u' })], []],
  ['one for a namespace and one for the mesh', [telemetry({}), telemetry({}, root)], []],
  ['two that select a pod', [pod({ app: 'a', version: 'v1' }), telemetry(forApp('a'), younger), telemetry({ selector: { matchLabels: { version: 'v1' } } }, { name: 'u', ...older })], [`IST0159 warning ${T}.selector`]],
  ['two that select no pod together', [pod({ app: 'a' }), telemetry(forApp('a')), telemetry({ selector: { matchLabels: { version: 'v1', app: 'a' } } }, { name: 'u' })], ['IST0127 warning Telemetry default/u spec.selector.matchLabels']],
  ['one that selects a pod, and one for all', [pod({ app: 'a' }), telemetry(forApp('a')), telemetry({}, { name: 'u' })], []],
  ['one that selects nobody', [pod({ app: 'a' }), telemetry(forApp('b'))], [`IST0127 warning ${T}.selector.matchLabels`]],
  ['one of the root namespace, whose selector reaches no further', [pod({ app: 'a' }), pod({ app: 'c' }, 'istio-system'), telemetry(forApp('a'), root)], ['IST0127 warning Telemetry istio-system/t spec.selector.matchLabels']],

  ['the built-in providers', [telemetry({ metrics: [to('prometheus')], accessLogging: [to('envoy')] })], []],
  ['a provider nobody declares', [telemetry({ metrics: [to('prometheus', 'prom')], tracing: [to('jaeger')], accessLogging: [to('otel')] })], [`IST0101 warning ${T}.metrics[0].providers[1].name`, `IST0101 warning ${T}.tracing[0].providers[0].name`, `IST0101 warning ${T}.accessLogging[0].providers[0].name`]],
  ['a provider MeshConfig declares', [config({ extensionProviders: [{ name: 'jaeger', opentelemetry: { service: 'a.b', port: 4317 } }] }), telemetry({ tracing: [to('jaeger')] })], []],
  ['a provider for a gateway, which is none of ours', [telemetry({ ...door, accessLogging: [to('otel')] })], []],
  ['a default provider nobody declares', [config({ defaultProviders: { metrics: ['prom'] } })], ['IST0101 warning MeshConfig default/it spec.defaultProviders.metrics[0]']],
  ['access logs to Prometheus', [telemetry({ accessLogging: [to('prometheus')] })], [`INM0302 warning ${T}.accessLogging[0].providers[0].name`]],
  ['metrics to Google Cloud', [telemetry({ metrics: [to('stackdriver')] })], [`INM0302 warning ${T}.metrics[0].providers[0].name`]],
  ['traces by default to a file', [config({ defaultProviders: { tracing: ['envoy'] } })], ['INM0302 warning MeshConfig default/it spec.defaultProviders.tracing[0]']],

  ['access logs to nobody', [telemetry({ accessLogging: [{ filter: { expression: 'a' } }] })], [`IST0157 warning ${T}.accessLogging[0]`]],
  ['access logs to the default provider', [config({ defaultProviders: { accessLogging: ['envoy'] } }), telemetry({ accessLogging: [{}] })], []],
  ['access logs to a file of the mesh', [config({ accessLogFile: '/dev/stdout' }), telemetry({ accessLogging: [{ disabled: true }] })], []],
  ['access logs to a provider the mesh names', [telemetry({ accessLogging: [to('envoy')] }, root), telemetry({ accessLogging: [{ disabled: true }] })], []],
  ['access logs to a provider another workload names', [telemetry({ ...forApp('a'), accessLogging: [to('envoy')] }, { name: 'u' }), telemetry({ accessLogging: [{}] })], [`IST0157 warning ${T}.accessLogging[0]`]],

  ['an objective of nobody', [service('b'), objective({})], ['IST0101 warning ServiceLevelObjective default/it spec.service']],
  ['an objective of somebody', [service('a'), objective({})], []],
  ['an objective of a service that is left to discovery', [objective({})], []],
  ['a latency on a bound', [slow('250ms')], []],
  ['a latency on the highest bound', [slow('1h')], []],
  ['a latency between two bounds', [slow('300ms')], ['INM0501 info ServiceLevelObjective default/it spec.indicator.latency.threshold']],
]; // prettier-ignore

describe('lints of telemetry', () => {
  it.each(rows.map(([name, texts, expected]) => ({ name, texts, expected })))('$name', ({ texts, expected }) => {
    const told = problemsOf(...texts).filter(({ code }) => code !== 'INM0301');
    expect(told.map(({ code, severity, resource: owner, path }) => `${code} ${severity} ${owner} ${path}`)).toEqual(expected);
  });

  it('say which provider was meant, and which there are', () => {
    const hint = (name: string): string | undefined => problemsOf(telemetry({ metrics: [to(name)] }))[0]?.hint;
    expect(hint('promethius')).toBe('did you mean prometheus?');
    expect(hint('jaeger')).toBe('declare it; there are prometheus, stackdriver, envoy');
  });

  it('say which bound rules of Prometheus ask for, and what to write', () => {
    const [between] = problemsOf(slow('300ms'));
    expect([between?.message, between?.hint]).toEqual([
      "300ms is no bound of Istio's histogram: exported rules of Prometheus ask for 250ms",
      'write 250ms or 500ms to have the same everywhere',
    ]);
    const [beyond] = problemsOf(slow('2h'));
    expect(beyond?.hint).toBe('write 3600000ms to have the same everywhere');
  });
});
