import { type HistogramSample, LabelSet, type MetricFamily, type MetricSample } from './exposition.ts';

/** What Node says of its process (event loop, heap, garbage collection, CPU), under the names prom-client made customary. */
export interface RuntimeMetrics {
  /** Later: some of it is measured when it is asked for. */
  families(): Promise<readonly MetricFamily[]>;
}

let started: Promise<RuntimeMetrics> | undefined;

/**
 * Loads prom-client and begins to measure: once in a process, however many meshes ask, for prom-client cannot stop. It keeps no process
 * alive, and its registry is our own: a program's metrics in prom-client's global one are not in it, and do not clash with it.
 */
export function runtimeMetrics(): Promise<RuntimeMetrics> {
  return (started ??= start());
}

async function start(): Promise<RuntimeMetrics> {
  const { collectDefaultMetrics, Registry } = (await import('prom-client')).default;
  const register = new Registry();
  collectDefaultMetrics({ register });
  return {
    families: async () => {
      const metrics = (await register.getMetricsAsJSON()) as unknown as readonly PromMetric[];
      return metrics.map(({ name, type, help, values }) => ({ name, type, help, samples: samplesOf(type, values) }));
    },
  };
}

interface PromMetric {
  readonly name: string;
  readonly type: MetricFamily['type'];
  readonly help: string;
  readonly values: readonly PromValue[];
}

interface PromValue {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  /** Of histograms: `…_bucket`, `…_sum` or `…_count`. */
  readonly metricName?: string;
}

function samplesOf(type: MetricFamily['type'], values: readonly PromValue[]): readonly MetricSample[] {
  return type === 'histogram' ? histograms(values) : values.map(({ labels, value }) => ({ labels: labelsOf(labels), value }));
}

/** Lines back into histograms: buckets come in order, cumulative, with `le`; the sum after them. */
function histograms(values: readonly PromValue[]): HistogramSample[] {
  const found = new Map<string, { labels: LabelSet; bounds: number[]; counts: number[]; below: number; sum: number }>();
  for (const { labels: { le, ...rest }, metricName = '', value } of values) {
    const labels = labelsOf(rest);
    let histogram = found.get(labels.text);
    if (histogram === undefined) found.set(labels.text, (histogram = { labels, bounds: [], counts: [], below: 0, sum: 0 }));
    if (metricName.endsWith('_sum')) histogram.sum = value;
    if (!metricName.endsWith('_bucket')) continue;
    if (le !== '+Inf') histogram.bounds.push(Number(le));
    histogram.counts.push(value - histogram.below);
    histogram.below = value;
  } // prettier-ignore
  return [...found.values()].filter(({ counts }) => counts.length > 0);
}

const labelsOf = (labels: PromValue['labels']): LabelSet =>
  new LabelSet(Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)])));
