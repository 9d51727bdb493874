import { type Clock, systemClock } from '@inmesh/core';
import type { Labels, MetricFamily, MetricSample } from '../exposition.ts';

// Types of @opentelemetry/sdk-metrics 3.x, as far as a producer needs them: plain data, so that nobody has to install it who does not use it.

/** Seconds and nanoseconds. */
type HrTime = [number, number];

interface DataPoint<T> {
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly attributes: Record<string, string | number>;
  readonly value: T;
}

interface HistogramValue {
  readonly buckets: { readonly boundaries: number[]; readonly counts: number[] };
  readonly sum: number;
  readonly count: number;
}

/** Of the enums DataPointType, AggregationTemporality and ValueType. */
const HISTOGRAM = 0;
const GAUGE = 2;
const SUM = 3;
const CUMULATIVE = 1;
const DOUBLE = 1;

interface MetricBase {
  readonly descriptor: { readonly name: string; readonly description: string; readonly unit: string; readonly valueType: typeof DOUBLE };
  readonly aggregationTemporality: typeof CUMULATIVE;
}

type MetricData = MetricBase &
  (
    | { readonly dataPointType: typeof SUM; readonly isMonotonic: boolean; readonly dataPoints: DataPoint<number>[] }
    | { readonly dataPointType: typeof GAUGE; readonly dataPoints: DataPoint<number>[] }
    | { readonly dataPointType: typeof HISTOGRAM; readonly dataPoints: DataPoint<HistogramValue>[] }
  );

interface Resource {
  readonly attributes: Record<string, never>;
  merge(other: Resource | null): Resource;
  getRawAttributes(): [];
}

/** A MetricProducer of @opentelemetry/sdk-metrics 3.x: `new PeriodicExportingMetricReader({ exporter, metricProducers: [producer] })`. */
export interface MetricProducer {
  collect(): Promise<{
    readonly resourceMetrics: { resource: Resource; scopeMetrics: { scope: { name: string; version?: string }; metrics: MetricData[] }[] };
    readonly errors: unknown[];
  }>;
}

/** The reader's own resource stands over what a producer gives; this one is never seen. */
const NOBODY: Resource = { attributes: {}, merge: (other) => other ?? NOBODY, getRawAttributes: () => [] };

/**
 * Families as OpenTelemetry's readers take them, by their own names. `startedAt`: since when counters count, in milliseconds since 1970.
 *
 * A counter whose name does not end in `_total` (Envoy has such) is a sum that is not said to be monotonic: exporters to Prometheus put
 * `_total` behind monotonic ones, and `envoy_cluster_upstream_rq` by status would become `…_rq_total`, which is another of Envoy's.
 */
export function metricProducer(
  collect: () => Promise<Iterable<MetricFamily>>,
  { startedAt, clock = systemClock }: { readonly startedAt: number; readonly clock?: Clock },
): MetricProducer {
  const startTime = hrTime(startedAt);
  return {
    collect: async () => {
      const metrics: MetricData[] = [];
      const errors: unknown[] = [];
      try {
        const families = await collect();
        const endTime = hrTime(clock.wall());
        for (const family of families) if (family.samples.length > 0) metrics.push(metricData(family, startTime, endTime));
      } catch (error) {
        // The reader says so; what the program counts itself is exported all the same.
        errors.push(error);
      }
      return { resourceMetrics: { resource: NOBODY, scopeMetrics: [{ scope: { name: 'inmesh' }, metrics }] }, errors };
    },
  };
}

function metricData({ name, type, help, unit, samples }: MetricFamily, startTime: HrTime, endTime: HrTime): MetricData {
  const descriptor = { name, description: help, unit: unit ?? '', valueType: DOUBLE } as const;
  const base = { descriptor, aggregationTemporality: CUMULATIVE } as const;
  const point = <T>({ record }: { readonly record: Labels }, value: T): DataPoint<T> => ({
    startTime,
    endTime,
    attributes: { ...record },
    value,
  });
  const numbers = (): DataPoint<number>[] => samples.flatMap((one) => ('value' in one ? [point(one.labels, one.value)] : []));
  if (type === 'gauge') return { ...base, dataPointType: GAUGE, dataPoints: numbers() };
  if (type === 'counter') return { ...base, dataPointType: SUM, isMonotonic: name.endsWith('_total'), dataPoints: numbers() };
  return { ...base, dataPointType: HISTOGRAM, dataPoints: samples.flatMap((one) => histogram(one, point)) };
}

function histogram(
  one: MetricSample,
  point: (labels: MetricSample['labels'], value: HistogramValue) => DataPoint<HistogramValue>,
): DataPoint<HistogramValue>[] {
  if ('value' in one) return [];
  const counts = Array.from(one.counts).slice(0, one.bounds.length + 1);
  const count = counts.reduce((sum, value) => sum + value, 0);
  return [point(one.labels, { buckets: { boundaries: [...one.bounds], counts }, sum: one.sum, count })];
}

function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}
