import type { MeshConfigSpec } from '../kinds/mesh-config.ts';
import { jsonFields } from '../kinds/mesh-config.ts';
import { ENVOY_PROVIDER, type ExtensionProvider } from '../kinds/parts/extension-provider.ts';
import type { TelemetrySpec } from '../kinds/telemetry.ts';
import type { AccessLogFormat, AccessLogRule, AccessLogSink } from '../telemetry.ts';
import { compareText } from './order.ts';

type AccessLogging = TelemetrySpec['accessLogging'][number];
type Sinks = ReadonlyMap<string, AccessLogSink>;

/** How messages call the log of `accessLogFile`, which has no provider. */
const ACCESS_LOG_FILE = 'accessLogFile';
const STDOUT = '/dev/stdout';

/** Istio's format of text (EnvoyTextLogFormat), for the bodies of log records. */
const TEXT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% ' +
  '%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ' +
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%';

/**
 * Access logs of one side as Istio merges them (telemetry.go, mergeLogs). `levels`: the mesh, the namespace, the workload, as far as they
 * say anything of this side. A level that names providers replaces those above it; an entry that names none is for all that hold there.
 */
export function accessLogsOf(
  levels: readonly (readonly AccessLogging[])[],
  defaultProviders: readonly string[],
  sinks: Sinks,
): readonly AccessLogRule[] {
  let held = new Map(defaultProviders.map((name) => [name, { disabled: false, filter: null as string | null }]));
  for (const entries of levels) {
    const named = new Set(entries.flatMap(({ providers }) => providers.map(({ name }) => name)));
    const inScope = named.size > 0 ? [...named] : [...held.keys()];
    held = new Map(inScope.map((name) => [name, held.get(name) ?? { disabled: false, filter: null }]));
    for (const { providers, disabled, filter } of entries)
      for (const name of providers.length > 0 ? providers.map((one) => one.name) : inScope)
        held.set(name, {
          disabled,
          filter: filter?.expression ?? (providers.length > 0 ? null : (held.get(name)?.filter ?? null)),
        });
  }
  return [...held]
    .filter(([, { disabled }]) => !disabled)
    .sort(([a], [b]) => compareText(a, b))
    .flatMap(([provider, { filter }]): AccessLogRule[] => {
      const sink = sinks.get(provider);
      return sink === undefined ? [] : [{ provider, sink, filter }];
    });
}

/** Providers of access logs where no Telemetry names any: the default ones, else what `accessLogFile` says. */
export const defaultAccessLogs = ({ defaultProviders, accessLogFile }: MeshConfigSpec): readonly string[] =>
  defaultProviders.accessLogging.length > 0 || accessLogFile === undefined ? defaultProviders.accessLogging : [ACCESS_LOG_FILE];

/** Where the access logs of a provider go; those that are not there log nothing. */
export function accessLogSinks(mesh: MeshConfigSpec, providers: ReadonlyMap<string, ExtensionProvider>): Sinks {
  const sinks = new Map<string, AccessLogSink>();
  if (mesh.accessLogFile !== undefined)
    sinks.set(ACCESS_LOG_FILE, { kind: 'file', path: mesh.accessLogFile, format: formatOfMesh(mesh, false) });
  for (const provider of providers.values()) {
    const sink = sinkOf(provider, mesh);
    if (sink !== undefined) sinks.set(provider.name, sink);
  }
  return sinks;
}

function sinkOf(
  { name, envoyFileAccessLog: file, envoyOtelAls: otel }: ExtensionProvider,
  mesh: MeshConfigSpec,
): AccessLogSink | undefined {
  if (file !== undefined) {
    const { path = STDOUT, logFormat, omitEmptyValues } = file;
    const format =
      logFormat === undefined && name === ENVOY_PROVIDER
        ? formatOfMesh(mesh, omitEmptyValues)
        : formatOf(logFormat?.text, logFormat?.labels, omitEmptyValues);
    return { kind: 'file', path, format };
  }
  if (otel === undefined) return undefined;
  const { logName = 'otel_envoy_accesslog', logFormat } = otel;
  const attributes = Object.entries(logFormat?.labels ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return { kind: 'otel', logName, body: lineOf(logFormat?.text) ?? TEXT, attributes: Object.fromEntries(attributes) };
}

/** Format of `accessLogFile`, and of provider `envoy` where it names none (telemetry_logging.go, FileAccessLogFromMeshConfig). */
const formatOfMesh = ({ accessLogEncoding, accessLogFormat }: MeshConfigSpec, omitEmptyValues: boolean): AccessLogFormat =>
  accessLogEncoding === 'TEXT'
    ? formatOf(accessLogFormat, undefined, omitEmptyValues)
    : formatOf(undefined, jsonFields(accessLogFormat ?? '{}') ?? {}, omitEmptyValues);

const formatOf = (
  text: string | undefined,
  fields: Readonly<Record<string, unknown>> | undefined,
  omitEmptyValues: boolean,
): AccessLogFormat =>
  fields === undefined
    ? { kind: 'text', format: lineOf(text) ?? null, omitEmptyValues }
    : { kind: 'json', fields: Object.keys(fields).length > 0 ? fields : null, omitEmptyValues };

/** Istio adds the end of a line where a format lacks it; here none has it. */
function lineOf(text: string | undefined): string | undefined {
  const line = text?.replace(/\n$/, '');
  return line === '' ? undefined : line;
}
