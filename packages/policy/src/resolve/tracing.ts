import type { MeshConfigSpec } from '../kinds/mesh-config.ts';
import type { TelemetrySpec } from '../kinds/telemetry.ts';
import type { TracingRule } from '../telemetry.ts';

type Tracing = TelemetrySpec['tracing'][number];

/** Istio's default of sampling (PILOT_TRACE_SAMPLING), in percent. */
const SAMPLING = 1;

/**
 * Traces of one side as Istio merges them (telemetry.go, Tracing): of `entries`, the strongest last, each field that is set holds. Unlike
 * Istio no provider is needed for spans, which go to the tracer of the process; one that is named asks for them where enableTracing is off.
 */
export function tracingOf(
  entries: readonly Tracing[],
  { enableTracing, defaultProviders, defaultConfig }: Pick<MeshConfigSpec, 'enableTracing' | 'defaultProviders' | 'defaultConfig'>,
): TracingRule {
  const last = <Field extends keyof Tracing>(field: Field): Tracing[Field] | undefined =>
    entries.findLast((entry) => entry[field] !== undefined)?.[field];
  const named = defaultProviders.tracing.length > 0 || entries.some(({ providers }) => providers.length > 0);
  const customTags = last('customTags') ?? {};
  return {
    spans: (enableTracing || named) && last('disableSpanReporting') !== true,
    sampling: last('randomSamplingPercentage') ?? defaultConfig.tracing.sampling ?? SAMPLING,
    // Istio's tracing.go asks the mesh where no Telemetry names a tag.
    customTags: Object.keys(customTags).length > 0 ? customTags : (defaultConfig.tracing.customTags ?? {}),
    istioTags: last('enableIstioTags') ?? true,
    propagation: last('disableContextPropagation') !== true,
  };
}
