import * as v from 'valibot';
import { defaulted, list, optional, required, text } from '../schema/fields.ts';
import { dnsName, exportTarget, oneOf, percentNumber, positiveDuration, whole } from '../schema/scalars.ts';
import { inmeshKind, type Check } from './kind.ts';
import { checkConnectionPool, connectionPool } from './parts/connection-pool.ts';
import { customTags } from './parts/custom-tag.ts';
import { checkExtensionProviders, extensionProvider } from './parts/extension-provider.ts';
import { checkLoadBalancer, checkLocalityLb, loadBalancerWith, localityLb, zoneAwareLb } from './parts/load-balancer.ts';
import { checkOutlierDetection, outlierDetection } from './parts/outlier-detection.ts';
import { checkRetries, retries } from './parts/retries.ts';

const TRACER = 'spans are what the tracer of the process (OpenTelemetry) makes of them';

/** Fields of an access log format of encoding JSON; undefined where the text is no JSON object. */
export function jsonFields(format: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(format);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

const visibility = (what: string) =>
  defaulted(v.array(exportTarget), ['*'], `Namespaces that see ${what} without exportTo: \`.\` its own, \`*\` all, or names.`, {
    honoured: 'HGWT',
  });

const schema = v.object({
  rootNamespace: defaulted(dnsName, 'istio-system', 'Namespace whose rules hold where no closer one does.', { honoured: 'HGWT' }),
  domain: defaulted(dnsName, 'cluster.local', 'Domain of the services of Kubernetes: name.namespace.svc.DOMAIN.', { honoured: 'HGWT' }),
  trustDomain: defaulted(v.pipe(v.string(), v.minLength(1, 'is empty')), 'cluster.local', 'Trust domain of the identities of workloads.', {
    honoured: 'HGWT',
  }),
  trustDomainAliases: list(v.string(), 'Other trust domains that mean this one.', { honoured: 'HGWT' }),
  connectTimeout: defaulted(positiveDuration, '10s', 'How long a connection may take to be made, where no DestinationRule says.', {
    honoured: 'HGWT',
  }),
  defaultHttpRetryPolicy: optional(retries, 'Retries where no route says.', {
    default: 'two retries of connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes',
    honoured: 'HGW',
  }),
  defaultInboundHttpRetryPolicy: optional(retries, 'Retries of the server side.', {
    notHonoured: 'the server side has no second hop to retry',
  }),
  defaultTrafficPolicy: optional(
    v.object({
      connectionPool: optional(connectionPool, 'Limits and times of connections.', { honoured: 'HGWT' }),
      outlierDetection: optional(outlierDetection, 'When a failing endpoint is left out.', { honoured: 'HGWT' }),
      loadBalancer: optional(
        loadBalancerWith('UNSPECIFIED', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST', 'PEAK_EWMA'),
        'How an endpoint is chosen.',
        { honoured: 'HGWT' },
      ),
    }),
    'Blocks for destinations that no DestinationRule gives one.',
    { honoured: 'HGWT' },
  ),
  localityLbSetting: v.optional(
    required(localityLb, 'Preference by locality, where no DestinationRule says.', { default: '{ enabled: true }', honoured: 'HGWT' }),
    {},
  ),
  zoneAwareLbSetting: optional(zoneAwareLb, 'Zone-aware routing.', {
    notHonoured: 'it needs the number of callers in each zone; localityLbSetting is honoured',
  }),
  outboundTrafficPolicy: v.optional(
    required(
      v.object({
        mode: defaulted(
          // A sidecar passes calls to the address they were dialled at, or with …_DYNAMIC_DNS to what the host resolves to.
          // A client in the process looks the host up itself: for it the two are one.
          v.pipe(
            oneOf('REGISTRY_ONLY', 'ALLOW_ANY', 'ALLOW_ANY_DYNAMIC_DNS'),
            v.transform((mode) => (mode === 'ALLOW_ANY_DYNAMIC_DNS' ? 'ALLOW_ANY' : mode)),
          ),
          'ALLOW_ANY',
          'ALLOW_ANY and ALLOW_ANY_DYNAMIC_DNS: calls to unknown hosts pass. REGISTRY_ONLY: they are refused.',
          { honoured: 'HGWT' },
        ),
      }),
      'What happens to calls to unknown hosts.',
      { honoured: 'HGWT' },
    ),
    {},
  ),
  defaultServiceExportTo: visibility('a service'),
  defaultVirtualServiceExportTo: visibility('a VirtualService'),
  defaultDestinationRuleExportTo: visibility('a DestinationRule'),
  dnsRefreshRate: defaulted(positiveDuration, '60s', 'Time after which a failed DNS look-up is repeated.', { honoured: 'HGWT' }),
  h2UpgradePolicy: defaulted(
    oneOf('DO_NOT_UPGRADE', 'UPGRADE'),
    'DO_NOT_UPGRADE',
    'Whether HTTP/1 calls travel over HTTP/2, where no DestinationRule says.',
    {
      honoured: 'H',
    },
  ),
  pathNormalization: v.optional(
    required(
      v.object({
        normalization: defaulted(
          v.pipe(
            oneOf('DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'),
            v.transform((word) => (word === 'DEFAULT' ? 'BASE' : word)),
          ),
          'DEFAULT',
          'NONE: as sent. BASE: RFC 3986. MERGE_SLASHES: and // is /. DECODE_AND_MERGE_SLASHES: and %2F is /. DEFAULT is BASE.',
          { honoured: 'S' },
        ),
      }),
      'How paths are normalised before rules see them.',
      { honoured: 'S' },
    ),
    {},
  ),
  defaultConfig: v.optional(
    required(
      v.object({
        gatewayTopology: v.optional(
          required(
            v.object({
              numTrustedProxies: defaulted(
                whole(0, 4_294_967_295),
                0,
                'Proxies in front of the mesh whose entries in X-Forwarded-For are believed, counted from the right. 0: none, the peer is the client.',
                { honoured: 'S' },
              ),
            }),
            'What stands in front of the mesh.',
            { honoured: 'S' },
          ),
          {},
        ),
        tracing: v.optional(
          required(
            v.object({
              sampling: optional(
                // As in Istio 0 cannot be told from nothing; a Telemetry can say it.
                v.pipe(percentNumber, v.transform((percent) => (percent === 0 ? undefined : percent))), // prettier-ignore
                'Percent of the traces that begin here and are kept, where no Telemetry says.',
                { default: '1' },
              ),
              customTags: optional(customTags, 'Tags of each span, where no Telemetry names any.'),
              maxPathTagLength: optional(v.number(), 'Most characters of a path in a span.', { notHonoured: TRACER }),
              zipkin: optional(v.object({ address: text('Where Zipkin is.') }), 'Traces for Zipkin.', { notHonoured: TRACER }),
            }),
            'Traces.',
            { honoured: 'HGWS' },
          ),
          {},
        ),
      }),
      'Settings of each workload, of which these are known here.',
      { honoured: 'HGWTS' },
    ),
    {},
  ),
  extensionProviders: list(
    extensionProvider,
    'Where metrics, traces and access logs go, by name. prometheus, envoy (lines on /dev/stdout) and stackdriver are there without being named.',
    { honoured: 'HGWTS' },
  ),
  defaultProviders: v.optional(
    required(
      v.object({
        metrics: defaulted(v.array(v.string()), ['prometheus'], 'Providers of metrics.'),
        tracing: list(v.string(), 'Providers of traces, of which the first holds.'),
        accessLogging: list(v.string(), 'Providers of access logs.'),
      }),
      'Providers that hold where no Telemetry names others.',
      { honoured: 'HGWTS' },
    ),
    {},
  ),
  enableTracing: defaulted(v.boolean(), true, 'Make spans, also where no provider of traces is named.', { honoured: 'HGWS' }),
  accessLogFile: text(
    'File of access logs, where defaultProviders names none; /dev/stdout is that of the process. A Telemetry replaces, filters or disables it.',
    {
      default: 'none',
      honoured: 'HGWTS',
    },
  ),
  accessLogEncoding: defaulted(oneOf('TEXT', 'JSON'), 'TEXT', 'How lines of accessLogFile and of provider envoy are written.', {
    honoured: 'HGWTS',
  }),
  accessLogFormat: optional(
    v.pipe(v.string(), v.transform((format) => (format === '' ? undefined : format))), // prettier-ignore
    'Format of these lines: command operators of Envoy; of encoding JSON an object of them, as text.',
    { default: "Istio's own", honoured: 'HGWTS' },
  ),
  enableAutoMtls: defaulted(v.boolean(), true, 'Mutual TLS wherever both ends have an identity and no DestinationRule says otherwise.', {
    honoured: 'HGWT',
  }),
  alwaysEjectOne: defaulted(v.boolean(), true, 'One of at least two endpoints may always be ejected, whatever maxEjectionPercent says.', {
    honoured: 'HGWT',
  }),
  connectionsPerEndpoint: defaulted(whole(1, 65_535), 128, 'Most connections to one endpoint; a limit of a DestinationRule may lower it.', {
    honoured: 'HGW',
  }),
});

export type MeshConfigSpec = v.InferOutput<typeof schema>;

const blocks: Check<MeshConfigSpec> = (spec, report) => {
  const policy = spec.defaultTrafficPolicy;
  checkConnectionPool(policy?.connectionPool, ['defaultTrafficPolicy', 'connectionPool'], report);
  checkOutlierDetection(policy?.outlierDetection, ['defaultTrafficPolicy', 'outlierDetection'], report);
  checkLoadBalancer(policy?.loadBalancer, ['defaultTrafficPolicy', 'loadBalancer'], report);
  checkLocalityLb(spec.localityLbSetting, ['localityLbSetting'], report);
  checkRetries(spec.defaultHttpRetryPolicy, ['defaultHttpRetryPolicy'], report);
  checkRetries(spec.defaultInboundHttpRetryPolicy, ['defaultInboundHttpRetryPolicy'], report);
  checkExtensionProviders(spec.extensionProviders ?? [], ['extensionProviders'], report);
  const { accessLogEncoding, accessLogFormat } = spec;
  if (accessLogEncoding === 'JSON' && accessLogFormat !== undefined && jsonFields(accessLogFormat) === undefined)
    report.warning(
      ['accessLogFormat'],
      "the format is no JSON object: Istio's own fields are written",
      'write such as {"code": "%RESPONSE_CODE%"}',
    );
};

/** Settings of the whole mesh, with the names of Istio's MeshConfig, and two of our own. */
export const meshConfig = inmeshKind({
  kind: 'MeshConfig',
  summary: 'Settings of the whole mesh: defaults of retries, timeouts, connections, visibility, and of what is told of calls.',
  schema,
  checks: [blocks],
});
