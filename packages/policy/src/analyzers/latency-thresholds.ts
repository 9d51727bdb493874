import type { Analyzer } from './analyzer.ts';

/** Bounds of the histograms of Envoy and Istio, in milliseconds (envoy: source/common/stats/histogram_impl.cc). */
const BOUNDS = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000,
]; // prettier-ignore

/** Latency thresholds between two bounds of Istio's histogram (INM0501): rules of Prometheus can only ask for a bound. */
export const latencyThresholds: Analyzer = (world, tell) => {
  for (const objective of world.all('ServiceLevelObjective')) {
    const threshold = objective.spec.indicator.latency?.threshold;
    if (threshold === undefined || BOUNDS.includes(threshold)) continue;
    const below = BOUNDS.findLast((bound) => bound < threshold);
    const above = BOUNDS.find((bound) => bound > threshold);
    tell(
      objective,
      'info',
      'INM0501',
      ['spec', 'indicator', 'latency', 'threshold'],
      `${threshold}ms is no bound of Istio's histogram: exported rules of Prometheus ask for ${below}ms`,
      `write ${[below, above].filter((bound) => bound !== undefined).map((bound) => `${bound}ms`).join(' or ')} to have the same everywhere`, // prettier-ignore
    );
  }
};
