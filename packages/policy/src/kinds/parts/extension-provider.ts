import * as v from 'valibot';
import { flag, list, optional, required, text } from '../../schema/fields.ts';
import { port } from '../../schema/scalars.ts';
import type { Partly, Path, Report } from '../kind.ts';

const ALL = { honoured: 'HGWTS' } as const;
const name = v.pipe(v.string(), v.minLength(1, 'is empty'));
const anything = v.record(v.string(), v.unknown());

const SPANS = { notHonoured: 'spans go where the tracer of the process (OpenTelemetry) sends them' } as const;
const RECORDS = { notHonoured: 'records go where the logger of the process (OpenTelemetry) sends them' } as const;

const exporter = {
  service: required(name, 'Host the spans are for.', SPANS),
  port: required(port, 'Port of it.', SPANS),
  maxTagLength: optional(v.number(), 'Most characters of a path in a span.', SPANS),
};

const labels = (what: string) =>
  optional(v.record(v.string(), v.unknown()), `${what}: command operators of Envoy such as \`%REQ(USER-AGENT)%\`, by name.`);

// Other providers are let through unread: nobody obeys them.
const ignored = (meaning: string, notHonoured: string) => optional(anything, meaning, { notHonoured });
const NOT_ASKED = 'external authorization is not asked for yet';
const NO_ALS = 'access logs are not sent to an access log service of Envoy; envoyOtelAls is honoured';

/** Istio's MeshConfig.ExtensionProvider: a name, and one of the kinds. */
export const extensionProvider = v.object({
  name: required(name, 'What Telemetry resources and AuthorizationPolicies call it.', ALL),
  prometheus: optional(v.object({}), 'Metrics for Prometheus to scrape.', ALL),
  envoyFileAccessLog: optional(
    v.object({
      path: text('File the lines go to; /dev/stdout and /dev/stderr are those of the process.', { default: '/dev/stdout' }),
      logFormat: optional(
        v.object({
          text: optional(v.string(), 'Lines of text: command operators of Envoy such as `%RESPONSE_CODE%`. Excludes labels.'),
          labels: labels('Lines of JSON'),
        }),
        'What a line holds.',
        { default: "text, in Istio's own format" },
      ),
      omitEmptyValues: flag('Leave out what is not there, instead of writing `-`.'),
    }),
    'Access logs in a file.',
    ALL,
  ),
  envoyOtelAls: optional(
    v.object({
      service: required(name, 'Host the records are for.', RECORDS),
      port: required(port, 'Port of it.', RECORDS),
      logName: text('Name of the log.', { default: 'otel_envoy_accesslog' }),
      logFormat: optional(
        v.object({
          text: optional(v.string(), 'Body of a record, with command operators of Envoy.'),
          labels: labels('Attributes of a record'),
        }),
        'What a record holds.',
        { default: "Istio's own format of text as the body, and no attributes" },
      ),
    }),
    'Access logs as log records of OpenTelemetry.',
    ALL,
  ),
  opentelemetry: optional(
    v.object({
      ...exporter,
      http: optional(anything, 'Settings of export over HTTP.', SPANS),
      grpc: optional(anything, 'Settings of export over gRPC.', SPANS),
      resourceDetectors: optional(anything, 'Where attributes of the resource are found.', SPANS),
      dynatraceSampler: optional(anything, 'A sampler of Dynatrace.', SPANS),
    }),
    'Traces by OpenTelemetry.',
    { honoured: 'HGWS' },
  ),
  zipkin: optional(
    v.object({
      ...exporter,
      enable64bitTraceId: optional(v.boolean(), 'Short trace ids.', SPANS),
      path: optional(v.string(), 'Path spans are posted to.', SPANS),
      traceContextOption: optional(v.string(), 'Which headers carry the context.', SPANS),
      timeout: optional(v.string(), 'How long an export may take.', SPANS),
      headers: optional(v.array(anything), 'Headers of exports.', SPANS),
    }),
    'Traces for Zipkin.',
    { honoured: 'HGWS' },
  ),
  stackdriver: ignored('Google Cloud.', 'Google Cloud is not written to; the process’s OpenTelemetry may'),
  lightstep: ignored('Lightstep.', SPANS.notHonoured),
  datadog: ignored('Datadog.', SPANS.notHonoured),
  skywalking: ignored('SkyWalking.', SPANS.notHonoured),
  opencensus: ignored('OpenCensus.', SPANS.notHonoured),
  envoyHttpAls: ignored('Access logs by gRPC.', NO_ALS),
  envoyTcpAls: ignored('Access logs of TCP by gRPC.', NO_ALS),
  envoyExtAuthzHttp: ignored('External authorization over HTTP.', NOT_ASKED),
  envoyExtAuthzGrpc: ignored('External authorization over gRPC.', NOT_ASKED),
  sds: ignored('Certificates by SDS.', 'certificates come from the certificate source of the process'),
});

export type ExtensionProvider = v.InferOutput<typeof extensionProvider>;

/** The kinds a provider may be of. */
export type ProviderKind = Exclude<keyof ExtensionProvider, 'name'>;
const KINDS = Object.keys(extensionProvider.entries).filter((key): key is ProviderKind => key !== 'name');

/** What kind a provider is of; undefined where none is said. */
export const kindOf = (provider: Partly<ExtensionProvider>): ProviderKind | undefined => KINDS.find((kind) => provider[kind] !== undefined);

/** Providers Istio knows without being told (pkg/config/mesh, DefaultMeshConfig). One of the same name in MeshConfig replaces it. */
const BUILT_IN: readonly ExtensionProvider[] = [
  { name: 'prometheus', prometheus: {} },
  { name: 'stackdriver', stackdriver: {} },
  { name: 'envoy', envoyFileAccessLog: { path: '/dev/stdout', logFormat: undefined, omitEmptyValues: false } },
];

/** Name of the built-in provider whose format, where it names none, is MeshConfig's. */
export const ENVOY_PROVIDER = 'envoy';

/** All providers by name. */
export const providersByName = (declared: readonly ExtensionProvider[]): ReadonlyMap<string, ExtensionProvider> =>
  new Map([...BUILT_IN, ...declared].map((provider) => [provider.name, provider]));

/** Istio's validateExtensionProvider: names are unique, each is of one kind. */
export function checkExtensionProviders(providers: readonly (Partly<ExtensionProvider> | undefined)[], path: Path, report: Report): void {
  const names = new Set<string>();
  for (const [index, provider] of providers.entries()) {
    if (provider === undefined) continue;
    const at = [...path, index];
    if (provider.name !== undefined && names.size === names.add(provider.name).size)
      report.error([...at, 'name'], `provider ${provider.name} stands twice`, 'choose another name');
    const [first, ...others] = KINDS.filter((kind) => provider[kind] !== undefined);
    if (first === undefined) report.error(at, 'the provider is of no kind', `its kinds are ${KINDS.join(', ')}`);
    for (const other of others) report.conflict([...at, other], `${first} excludes ${other}`, 'make two providers of it');
    const format = provider.envoyFileAccessLog?.logFormat;
    if (format?.text !== undefined && format.labels !== undefined)
      report.conflict(
        [...at, 'envoyFileAccessLog', 'logFormat', 'labels'],
        'text excludes labels',
        'keep text, or labels for lines of JSON',
      );
  }
}

/** Names of providers, as Telemetry resources refer to them. */
export const providerRefs = (meaning: string, honoured: string) =>
  list(v.object({ name: required(name, 'Name of a provider of MeshConfig, or a built-in one: prometheus, envoy.') }), meaning, {
    default: 'those of the parent: the namespace, the mesh, or defaultProviders of MeshConfig',
    honoured,
  });
