import type { MetricProducer } from '@inmesh/telemetry';
import { createRequire } from 'node:module';

/** Meshes of this process whose metrics are exported: known to all copies of this package. */
const PRODUCERS = Symbol.for('inmesh.metricProducers.v1');

interface Announced {
  [PRODUCERS]?: Set<MetricProducer>;
}

/** A mesh says what it measures to whoever exports metrics, until the function that comes back is called. Where nobody does, it measures nothing. */
export function announceMetrics(produce: () => MetricProducer): () => void {
  const producers = (globalThis as Announced)[PRODUCERS];
  if (producers === undefined) return () => {};
  const producer = produce();
  producers.add(producer);
  return () => void producers.delete(producer);
}

type Collected = Awaited<ReturnType<MetricProducer['collect']>>;

/** All meshes of the process as one, those that are yet to come too: readers take their producers when they are made. */
function allMeshes(): { collect(): Promise<Collected> } {
  const producers = ((globalThis as Announced)[PRODUCERS] ??= new Set());
  return {
    collect: async () => {
      const [first, ...more] = await Promise.all([...producers].map(async (producer) => producer.collect()));
      if (first === undefined) return { resourceMetrics: { resource: NOBODY, scopeMetrics: [] }, errors: [] };
      const all = [first, ...more];
      const { resource } = first.resourceMetrics;
      const scopeMetrics = all.flatMap(({ resourceMetrics }) => resourceMetrics.scopeMetrics);
      return { resourceMetrics: { resource, scopeMetrics }, errors: all.flatMap(({ errors }) => errors) };
    },
  };
}

type Resource = Collected['resourceMetrics']['resource'];
/** The SDK has one of its own. */
const NOBODY: Resource = { attributes: {}, merge: (other) => other ?? NOBODY, getRawAttributes: () => [] };

interface Maker {
  new (options: object): object;
}

/**
 * The reader that sends metrics over OTLP as the SDK's own would by the same variables (OTEL_METRICS_EXPORTER, OTEL_EXPORTER_OTLP_PROTOCOL,
 * OTEL_METRIC_EXPORT_INTERVAL), and those of the mesh with them. undefined: OTLP is not asked for, and the SDK makes what is. `sdk`: where
 * @opentelemetry/sdk-node was found, whose own dependencies these are.
 */
export function otlpMetrics(sdk: string, env: Readonly<Record<string, string | undefined>>): object[] | undefined {
  if ((env['OTEL_METRICS_EXPORTER'] || 'otlp').trim() !== 'otlp') return undefined;
  const protocol = (env['OTEL_EXPORTER_OTLP_METRICS_PROTOCOL'] ?? env['OTEL_EXPORTER_OTLP_PROTOCOL'] ?? '').trim();
  const kind = protocol === 'grpc' ? 'grpc' : protocol === 'http/json' ? 'http' : 'proto';
  const require = createRequire(sdk);
  const { PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics') as { readonly PeriodicExportingMetricReader: Maker };
  const { OTLPMetricExporter } = require(`@opentelemetry/exporter-metrics-otlp-${kind}`) as { readonly OTLPMetricExporter: Maker };
  const exportIntervalMillis = positive(env['OTEL_METRIC_EXPORT_INTERVAL']) ?? 60_000;
  const exportTimeoutMillis = Math.min(positive(env['OTEL_METRIC_EXPORT_TIMEOUT']) ?? 30_000, exportIntervalMillis);
  const exporter = new OTLPMetricExporter({});
  return [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis, exportTimeoutMillis, metricProducers: [allMeshes()] })];
}

const positive = (text: string | undefined): number | undefined => (Number(text) > 0 ? Number(text) : undefined);
