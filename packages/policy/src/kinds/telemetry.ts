import * as v from 'valibot';
import { defaulted, flag, list, mapOf, must, optional, required } from '../schema/fields.ts';
import { celExpression, celFault } from '../schema/cel.ts';
import { nearest } from '../schema/nearest.ts';
import { clip, oneOf, percentNumber, positiveDuration } from '../schema/scalars.ts';
import type { IstioMetric } from '../telemetry.ts';
import { telemetryKind, type Check, type Partly, type Path, type Report } from './kind.ts';
import { checkAttachment, selectorOf, targets } from './parts/attachment.ts';
import { customTags } from './parts/custom-tag.ts';
import { providerRefs } from './parts/extension-provider.ts';

const ALL = { honoured: 'HGWTS' } as const;
const TRACED = { honoured: 'HGWS' } as const;

/** Istio's metrics, by their names in the Telemetry API. */
export const ISTIO_METRICS = [
  'REQUEST_COUNT', 'REQUEST_DURATION', 'REQUEST_SIZE', 'RESPONSE_SIZE',
  'TCP_OPENED_CONNECTIONS', 'TCP_CLOSED_CONNECTIONS', 'TCP_SENT_BYTES', 'TCP_RECEIVED_BYTES',
  'GRPC_REQUEST_MESSAGES', 'GRPC_RESPONSE_MESSAGES',
] as const satisfies readonly IstioMetric[]; // prettier-ignore

/** Labels of Istio's metrics. */
const STANDARD_LABELS = [
  'reporter',
  'source_workload', 'source_workload_namespace', 'source_principal', 'source_app', 'source_version', 'source_cluster',
  'source_canonical_service', 'source_canonical_revision',
  'destination_workload', 'destination_workload_namespace', 'destination_principal', 'destination_app', 'destination_version',
  'destination_cluster', 'destination_canonical_service', 'destination_canonical_revision',
  'destination_service', 'destination_service_name', 'destination_service_namespace',
  'request_protocol', 'response_code', 'grpc_response_status', 'response_flags', 'connection_security_policy',
] as const; // prettier-ignore

/** The label a tag becomes: letters, digits and underscores, as Envoy writes it (prometheus_stats.cc, sanitizeName). */
export const labelName = (tag: string): string => tag.replace(/\W/g, '_').replace(/^(?=\d)/, '_');

const mode = defaulted(
  oneOf('CLIENT_AND_SERVER', 'CLIENT', 'SERVER'),
  'CLIENT_AND_SERVER',
  'CLIENT: calls the workload makes. SERVER: calls it receives.',
);
const side = (honoured: string) => optional(v.object({ mode }), 'Which calls it is for.', { default: 'all', honoured });

/** A tag may be given no value: then it is taken away, and '' means nothing, as in protobuf. */
const tagValue = v.pipe(
  v.string(),
  must<string>((value) => (value === '' ? undefined : celFault(value))),
  v.transform((value) => (value === '' ? undefined : value)),
);

const override = v.object({
  match: optional(
    v.object({
      metric: optional(oneOf('ALL_METRICS', ...ISTIO_METRICS), 'One of Istio’s metrics. Excludes customMetric.', {
        default: 'ALL_METRICS',
      }),
      customMetric: optional(v.string(), 'A metric of another name.', { notHonoured: 'there are no metrics but Istio’s to change' }),
      mode,
    }),
    'Which metrics, of which calls.',
    { default: 'all' },
  ),
  disabled: optional(
    v.boolean(),
    'true: the metric is not counted. ALL_METRICS turned off for a mode come back, as in Istio, by any later override for that mode: all of them, save those turned off by name.',
    { default: 'as the parent' },
  ),
  tagOverrides: mapOf(
    v.object({
      operation: defaulted(oneOf('UPSERT', 'REMOVE'), 'UPSERT', 'UPSERT: the label has the value. REMOVE: it is taken away.'),
      value: optional(tagValue, 'CEL expression over Envoy’s attributes; one that fails yields `unknown`. For UPSERT.'),
    }),
    'Labels by name: one that is new, another value, or none.',
  ),
});

const schema = v.object({
  selector: selectorOf('HGWTS'),
  ...targets,
  metrics: list(
    v.object({
      providers: providerRefs('Providers of metrics. They replace those of the parent.', ALL.honoured),
      overrides: list(override, 'What departs from Istio’s standard, in order: later ones win, those of the parent come first.'),
      reportingInterval: optional(positiveDuration, 'How often connections and streams that last are told of.', { default: '5s' }),
    }),
    'Metrics.',
    ALL,
  ),
  tracing: list(
    v.object({
      match: side('HGWS'),
      providers: providerRefs('Provider of traces. None is needed: spans go to the tracer of the process.', TRACED.honoured),
      randomSamplingPercentage: optional(percentNumber, 'Percent of the traces that begin here and are kept.', {
        default: 'as the parent, else defaultConfig.tracing.sampling of MeshConfig, else 1',
      }),
      disableSpanReporting: optional(v.boolean(), 'Make no spans. Contexts are handed on all the same.', { default: 'as the parent' }),
      customTags: optional(customTags, 'Tags of each span. They replace all of the parent.', {
        default: 'as the parent, else defaultConfig.tracing.customTags of MeshConfig',
      }),
      useRequestIdForTraceSampling: optional(v.boolean(), 'Sample by x-request-id.', {
        notHonoured: 'the trace context says whether a trace is kept',
      }),
      enableIstioTags: optional(v.boolean(), 'Tags `istio.*` on spans.', { default: 'as the parent, else true' }),
      disableContextPropagation: optional(v.boolean(), 'Do not hand contexts on with the calls the workload makes.', {
        default: 'as the parent, else false',
      }),
    }),
    'Traces.',
    TRACED,
  ),
  accessLogging: list(
    v.object({
      match: side('HGWTS'),
      providers: providerRefs('Providers of access logs. They replace those of the parent.', ALL.honoured),
      disabled: flag('Log nothing there. An entry that does not say so logs again, as in Istio, whatever its parent says.'),
      filter: optional(
        v.object({
          expression: required(celExpression, 'CEL expression over Envoy’s attributes; calls for which it is true are logged.'),
        }),
        'Which calls are logged.',
        { default: 'as the parent, else all; where providers are named, all' },
      ),
    }),
    'Access logs.',
    ALL,
  ),
});

export type TelemetrySpec = v.InferOutput<typeof schema>;
type Override = TelemetrySpec['metrics'][number]['overrides'][number];

/** Istio's ValidateTelemetry, and the rules of its CRD. */
const rules: Check<TelemetrySpec> = (spec, report) => {
  checkAttachment(spec, report);
  for (const [index, metrics] of (spec.metrics ?? []).entries())
    for (const [number, one] of (metrics?.overrides ?? []).entries())
      if (one !== undefined) checkOverride(one, ['metrics', index, 'overrides', number], report);
  for (const [index, tracing] of (spec.tracing ?? []).entries())
    if ((tracing?.providers ?? []).length > 1)
      report.warning(['tracing', index, 'providers', 1], 'only the first provider of traces holds', 'keep one');
};

function checkOverride({ match, tagOverrides = {} }: Partly<Override>, at: Path, report: Report): void {
  if (match?.customMetric !== undefined && match.metric !== undefined)
    report.conflict([...at, 'match', 'customMetric'], 'metric excludes customMetric', 'keep one of them');
  if (match?.customMetric === '') report.error([...at, 'match', 'customMetric'], 'the name is empty', 'name a metric, or remove the field');
  for (const [name, tag] of Object.entries(tagOverrides)) {
    const here = [...at, 'tagOverrides', name];
    if (name === '') report.error(here, 'the label has no name', 'name it');
    else if (labelName(name) !== name)
      report.warning(here, `Prometheus has no label "${clip(name)}": it is written ${clip(labelName(name))}`, 'name it so here, too');
    if (tag?.operation === 'UPSERT' && tag.value === undefined)
      report.error([...here, 'value'], 'UPSERT needs a value', 'write a CEL expression, or operation: REMOVE');
    if (tag?.operation === 'REMOVE') {
      if (tag.value !== undefined) report.conflict([...here, 'value'], 'REMOVE excludes a value', 'remove one of them');
      if (!(STANDARD_LABELS as readonly string[]).includes(name)) {
        const guess = nearest(name, STANDARD_LABELS);
        report.warning(
          here,
          `${clip(name)} is none of Istio's labels, so there is nothing to remove but what another Telemetry added`,
          guess === undefined ? 'remove it, unless it takes back what a parent adds' : `did you mean ${guess}?`,
        );
      }
    }
  }
}

/** Says what is told of calls: metrics and their labels, traces, access logs. */
export const telemetry = telemetryKind({
  kind: 'Telemetry',
  summary:
    'What is told of calls: metrics and their labels, traces, access logs; for the mesh (in the root namespace), a namespace, or some workloads of its own namespace.',
  schema,
  checks: [rules],
});
