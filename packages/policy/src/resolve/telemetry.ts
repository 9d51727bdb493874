import type { ResourceOf } from '../kinds/index.ts';
import type { MeshConfigSpec } from '../kinds/mesh-config.ts';
import { providersByName } from '../kinds/parts/extension-provider.ts';
import type { Workload } from '../model.ts';
import { DEFAULT_TELEMETRY, type SideTelemetry, type TelemetryModel } from '../telemetry.ts';
import { accessLogsOf, accessLogSinks, defaultAccessLogs } from './access-logs.ts';
import { metricsOf } from './metrics.ts';
import { byAge } from './order.ts';
import { tracingOf } from './tracing.ts';
import { selects } from './visibility.ts';

type Telemetry = ResourceOf<'Telemetry'>;
type Mode = 'CLIENT' | 'SERVER';

/** What shall be told of the calls of a workload. */
export function telemetryOf(telemetries: readonly Telemetry[], workload: Workload, mesh: MeshConfigSpec): TelemetryModel {
  const levels = levelsFor(telemetries, workload, mesh.rootNamespace).map(({ spec }) => spec);
  const providers = providersByName(mesh.extensionProviders);
  const sinks = accessLogSinks(mesh, providers);
  const metrics = metricsOf(levels.flatMap((spec) => spec.metrics), mesh.defaultProviders.metrics, providers); // prettier-ignore
  const side = (mode: Mode, rules: SideTelemetry['metrics']): SideTelemetry => ({
    metrics: rules,
    accessLogs: accessLogsOf(
      levels.map((spec) => spec.accessLogging.filter(isFor(mode))),
      defaultAccessLogs(mesh),
      sinks,
    ),
    tracing: tracingOf(levels.flatMap((spec) => spec.tracing).filter(isFor(mode)), mesh),
  });
  return {
    client: side('CLIENT', metrics.client),
    server: side('SERVER', metrics.server),
    reportingIntervalMs: metrics.reportingIntervalMs ?? DEFAULT_TELEMETRY.reportingIntervalMs,
  };
}

const isFor =
  (mode: Mode) =>
  ({ match }: { readonly match?: { readonly mode: Mode | 'CLIENT_AND_SERVER' } | undefined }): boolean =>
    match === undefined || match.mode === 'CLIENT_AND_SERVER' || match.mode === mode;

/**
 * The Telemetries that hold for a workload, the strongest last (telemetry.go, applicableTelemetries): that of the root namespace, that of
 * its own, and those that select it. Of several without a selector in a namespace the oldest holds; of several that select the workload
 * all do, the youngest last. What is attached by targetRefs is for gateways and waypoints, and a selector of the root namespace reaches
 * only workloads there.
 */
function levelsFor(telemetries: readonly Telemetry[], { namespace, labels }: Workload, rootNamespace: string): readonly Telemetry[] {
  const own = telemetries
    .filter(({ spec }) => spec.targetRef === undefined && (spec.targetRefs ?? []).length === 0)
    .toSorted((a, b) => byAge(a.metadata, b.metadata));
  const forAll = (place: string): Telemetry[] => own.filter((one) => !selecting(one) && one.metadata.namespace === place).slice(0, 1);
  return [
    ...forAll(rootNamespace),
    ...(namespace === rootNamespace ? [] : forAll(namespace)),
    ...own.filter((one) => selecting(one) && one.metadata.namespace === namespace && selects(labelsOf(one), labels)),
  ];
}

const labelsOf = ({ spec }: Telemetry): Workload['labels'] => spec.selector?.matchLabels ?? {};
const selecting = (one: Telemetry): boolean => Object.keys(labelsOf(one)).length > 0;
