import { describe, expect, it } from 'vitest';
import { documentOf, judge, named, problemsOf, resource, type Row } from '../testing/problems.ts';
import { isKind } from './index.ts';

const override = (given: object): object => ({ metrics: [{ overrides: [given] }] });
const tag = (given: object, name = 'request_host'): object => override({ tagOverrides: { [name]: given } });
const tracing = (given: object): object => ({ tracing: [given] });
const customTag = (given: object, name = 'a'): object => tracing({ customTags: { [name]: given } });
const logging = (given: object): object => ({ accessLogging: [given] });
const at = 'spec.metrics[0].overrides[0]';

const rows: readonly Row[] = [
  ['an empty one', {}, null],
  ['every section empty', { metrics: [{}], tracing: [{}] }, null],
  ['a selector', { selector: { matchLabels: { app: 'a' } } }, null],
  ['a selector of no labels', { selector: {} }, 'spec.selector.matchLabels', /every workload/, 'warning'],
  ['a target', { targetRefs: [{ kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'a' }] }, 'spec.targetRefs', /write a selector/, 'info'],
  ['a target of a kind that is none', { targetRefs: [{ kind: 'Deployment', name: 'a' }] }, 'spec.targetRefs[0].kind', /cannot be attached/],
  ['a selector beside a target', { selector: { matchLabels: { app: 'a' } }, targetRef: { kind: 'Service', name: 'a' } }, 'spec.targetRef', /excludes/],
  ['a section that is none', { logs: [] }, 'spec.logs', /unknown field/],
  ['a provider without a name', { metrics: [{ providers: [{}] }] }, 'spec.metrics[0].providers[0].name', /required/],
  ['a provider with an empty name', tracing({ providers: [{ name: '' }] }), 'spec.tracing[0].providers[0].name', /is empty/],

  ['a metric turned off for servers', override({ match: { metric: 'REQUEST_COUNT', mode: 'SERVER' }, disabled: true }), null],
  ['a metric by its name in Prometheus', override({ match: { metric: 'istio_requests_total' } }), `${at}.match.metric`, /not one of ALL_METRICS/],
  ['a mode that is none', override({ match: { mode: 'INBOUND' } }), `${at}.match.mode`, /not one of/],
  ['a metric of another name', override({ match: { customMetric: 'mine' } }), `${at}.match.customMetric`, /not honoured/, 'info'],
  ['two metrics at once', override({ match: { metric: 'REQUEST_COUNT', customMetric: 'mine' } }), `${at}.match.customMetric`, /excludes customMetric/],
  ['a metric of no name', override({ match: { customMetric: '' } }), `${at}.match.customMetric`, /empty/],
  ['a label with a value', tag({ value: 'request.host' }), null],
  ['a label with a value of another protocol buffer', tag({ operation: 'UPSERT', value: "has(request.headers['x']) ? 'a' : 'b'" }), null],
  ['a standard label with another value', tag({ value: "'x'" }, 'source_app'), null],
  ['a label without a value', tag({}), `${at}.tagOverrides.request_host.value`, /UPSERT needs a value/],
  ['a label with an empty value', tag({ value: '' }), `${at}.tagOverrides.request_host.value`, /UPSERT needs a value/],
  ['a value that is no expression', tag({ value: 'request.' }), `${at}.tagOverrides.request_host.value`, /not a CEL expression/],
  ['an operation that is none', tag({ operation: 'ADD', value: 'a' }), `${at}.tagOverrides.request_host.operation`, /not one of UPSERT, REMOVE/],
  ['a standard label taken away', tag({ operation: 'REMOVE' }, 'grpc_response_status'), null],
  ['a label taken away that is misspelt', tag({ operation: 'REMOVE' }, 'respons_code'), `${at}.tagOverrides.respons_code`, /none of Istio's labels/, 'warning'],
  ['a label taken away and given a value', tag({ operation: 'REMOVE', value: 'a' }, 'source_app'), `${at}.tagOverrides.source_app.value`, /excludes/],
  ['a label Prometheus would refuse', tag({ value: 'a' }, 'request-host'), `${at}.tagOverrides.request-host`, /is written request_host/, 'warning'],
  ['a label that begins with a digit', tag({ value: 'a' }, '2xx'), `${at}.tagOverrides["2xx"]`, /is written _2xx/, 'warning'],
  ['a label without a name', tag({ value: 'a' }, ''), `${at}.tagOverrides[""]`, /has no name/],
  ['a reporting interval', { metrics: [{ reportingInterval: '1ms' }] }, null],
  ['a reporting interval below a millisecond', { metrics: [{ reportingInterval: '500us' }] }, 'spec.metrics[0].reportingInterval', /shorter than 1ms/],
  ['a reporting interval of nothing', { metrics: [{ reportingInterval: '0s' }] }, 'spec.metrics[0].reportingInterval', /0 means nothing/],

  ['no trace', tracing({ randomSamplingPercentage: 0 }), null],
  ['every trace', tracing({ randomSamplingPercentage: 100 }), null],
  ['more than every trace', tracing({ randomSamplingPercentage: 100.1 }), 'spec.tracing[0].randomSamplingPercentage', /0 to 100/],
  ['less than no trace', tracing({ randomSamplingPercentage: -1 }), 'spec.tracing[0].randomSamplingPercentage', /0 to 100/],
  ['two providers of traces', tracing({ providers: [{ name: 'envoy' }, { name: 'prometheus' }] }), 'spec.tracing[0].providers[1]', /only the first/, 'warning'],
  ['sampling by request id', tracing({ useRequestIdForTraceSampling: true }), 'spec.tracing[0].useRequestIdForTraceSampling', /not honoured/, 'info'],
  ['a literal tag', customTag({ literal: { value: 'b' } }), null],
  ['a literal tag of nothing', customTag({ literal: { value: '' } }), 'spec.tracing[0].customTags.a.literal.value', /empty/],
  ['a tag of a header', customTag({ header: { name: 'x-user', defaultValue: 'nobody' } }), null],
  ['a tag of a header without a name', customTag({ header: { defaultValue: 'x' } }), 'spec.tracing[0].customTags.a.header.name', /required/],
  ['a tag of the environment', customTag({ environment: { name: 'POD' } }), null],
  ['a tag of a format', customTag({ formatter: { value: '%RESPONSE_FLAGS%' } }), null],
  ['a tag of nothing', customTag({}), 'spec.tracing[0].customTags.a', /needs one of/],
  ['a tag of two things', customTag({ literal: { value: 'a' }, header: { name: 'b' } }), 'spec.tracing[0].customTags.a', /more than one of/],
  ['a tag of something else', customTag({ literal: { value: 'a' }, request: { name: 'b' } }), 'spec.tracing[0].customTags.a.request', /unknown field/],
  ['a tag without a name', customTag({ literal: { value: 'a' } }, ''), 'spec.tracing[0].customTags[""]', /without a name/],

  ['access logs turned off', logging({ providers: [{ name: 'envoy' }], disabled: true }), null],
  ['access logs of errors', logging({ providers: [{ name: 'envoy' }], filter: { expression: 'response.code >= 400' } }), null],
  ['a filter that is no expression', logging({ providers: [{ name: 'envoy' }], filter: { expression: 'response.code >=' } }), 'spec.accessLogging[0].filter.expression', /not a CEL expression/],
  ['a filter of nothing', logging({ providers: [{ name: 'envoy' }], filter: { expression: '' } }), 'spec.accessLogging[0].filter.expression', /empty/],
  ['a filter without an expression', logging({ providers: [{ name: 'envoy' }], filter: {} }), 'spec.accessLogging[0].filter.expression', /required/],
]; // prettier-ignore

describe('Telemetry', () => {
  it.each(named(rows))('judges $name', ({ row }) => judge('Telemetry', row));

  it('is read in v1alpha1, too', () => {
    const text = resource('Telemetry', tracing({ randomSamplingPercentage: 10 })).replace('telemetry.istio.io/v1', 'telemetry.istio.io/v1alpha1'); // prettier-ignore
    expect(documentOf(text).resources.filter(isKind('Telemetry'))).toHaveLength(1);
  });

  it('tells the place of a wrong expression, and the remedy', () => {
    const yaml = [
      'apiVersion: telemetry.istio.io/v1',
      'kind: Telemetry',
      'metadata: { name: a }',
      'spec:',
      '  accessLogging:',
      '  - filter:',
      '      expression: "response.code => 400"',
    ].join('\n');
    expect(problemsOf(yaml)).toMatchObject([
      {
        code: 'IST0106',
        line: 7,
        column: 19,
        message: expect.stringContaining('"response.code => 400" is not a CEL expression') as string,
        hint: expect.stringContaining('response.code >= 400') as string,
      },
    ]);
  });

  it('guesses the label that was meant', () => {
    const [problem] = problemsOf(resource('Telemetry', tag({ operation: 'REMOVE' }, 'destination_workloads')));
    expect(problem?.hint).toBe('did you mean destination_workload?');
  });

  it('keeps apart what is not said and what is said to be false', () => {
    const [read] = documentOf(resource('Telemetry', { tracing: [{ disableSpanReporting: false }, {}] })).resources.filter(
      isKind('Telemetry'),
    );
    expect(read?.spec.tracing.map(({ disableSpanReporting }) => disableSpanReporting)).toEqual([false, undefined]);
  });
});
