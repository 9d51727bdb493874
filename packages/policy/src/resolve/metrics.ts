import { kindOf, type ExtensionProvider } from '../kinds/parts/extension-provider.ts';
import { ISTIO_METRICS, labelName, type TelemetrySpec } from '../kinds/telemetry.ts';
import type { IstioMetric, MetricRule, SideTelemetry } from '../telemetry.ts';
import { compareText } from './order.ts';

type Metrics = TelemetrySpec['metrics'][number];
type Override = Metrics['overrides'][number];
type Rules = SideTelemetry['metrics'];

interface ResolvedMetrics {
  readonly client: Rules;
  readonly server: Rules;
  readonly reportingIntervalMs: number | undefined;
}

const DISABLED: MetricRule = { disabled: true, tags: [] };
const NOTHING: Rules = Object.fromEntries(ISTIO_METRICS.map((metric) => [metric, DISABLED]));

/**
 * Metrics as Istio merges them (telemetry.go, mergeMetrics): `entries` in order of precedence, the strongest last. Providers are
 * replaced, and of the overrides those count whose providers are not replaced later; of these the last wins, label by label.
 */
export function metricsOf(
  entries: readonly Metrics[],
  defaultProviders: readonly string[],
  providers: ReadonlyMap<string, ExtensionProvider>,
): ResolvedMetrics {
  const steps: { readonly providers: readonly string[]; readonly metrics: Metrics }[] = [];
  let inScope = defaultProviders;
  for (const metrics of entries) {
    if (metrics.providers.length > 0) inScope = metrics.providers.map(({ name }) => name);
    steps.push({ providers: inScope, metrics });
  }
  const prometheus = inScope.toSorted(compareText).find((name) => kindOf(providers.get(name) ?? {}) === 'prometheus');
  if (prometheus === undefined) return { client: NOTHING, server: NOTHING, reportingIntervalMs: undefined };

  const held = steps.filter((step) => step.providers.includes(prometheus)).map(({ metrics }) => metrics);
  const overrides = held.flatMap((metrics) => metrics.overrides);
  return {
    client: rulesOf(overrides, 'CLIENT'),
    server: rulesOf(overrides, 'SERVER'),
    reportingIntervalMs: held.findLast(({ reportingInterval }) => reportingInterval !== undefined)?.reportingInterval,
  };
}

function rulesOf(overrides: readonly Override[], mode: 'CLIENT' | 'SERVER'): Rules {
  let off = false;
  const departures = new Map<IstioMetric, { disabled: boolean; readonly tags: Map<string, string | null> }>();
  for (const { match, disabled, tagOverrides } of overrides) {
    if (match?.customMetric !== undefined || (match !== undefined && match.mode !== 'CLIENT_AND_SERVER' && match.mode !== mode)) continue;
    const metric = match?.metric ?? 'ALL_METRICS';
    // Istio drops the filter that counts, and any later override brings it back as a whole.
    off = metric === 'ALL_METRICS' && disabled === true;
    if (off) continue;
    for (const name of metric === 'ALL_METRICS' ? ISTIO_METRICS : [metric]) {
      let departure = departures.get(name);
      if (departure === undefined) departures.set(name, (departure = { disabled: false, tags: new Map() }));
      if (disabled !== undefined) departure.disabled = disabled;
      for (const [tag, { operation, value }] of Object.entries(tagOverrides))
        departure.tags.set(labelName(tag), operation === 'REMOVE' ? null : (value ?? null));
    }
  }
  if (off) return NOTHING;
  const rules = [...departures].map(([name, { disabled, tags }]): [string, MetricRule] => [
    name,
    {
      disabled,
      tags: [...tags].map(([tag, expression]) => ({ name: tag, expression })).sort((a, b) => compareText(a.name, b.name)),
    },
  ]);
  return Object.fromEntries(rules.filter(([, { disabled, tags }]) => disabled || tags.length > 0).sort(([a], [b]) => compareText(a, b)));
}
