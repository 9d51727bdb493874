import { type Clock, MeshError, type Observer, systemClock } from '@inmesh/core';
import type { Workload } from '@inmesh/policy';
import { CallMetrics, DEFAULT_BUCKETS } from './calls.ts';
import { EventMetrics } from './events.ts';
import { LabelSet, type MetricFamily, type MetricSource, single, textOf } from './exposition.ts';

export interface IstioMetricsOptions {
  /** Who this process is: the source labels of every series. */
  readonly workload: Workload;
  /** For destination_principal. Default `cluster.local`. */
  readonly trustDomain?: string;
  /** Upper bounds in milliseconds, ascending. Default: Envoy's, which Istio's dashboards expect. */
  readonly buckets?: readonly number[] | undefined;
  /**
   * Time series of calls as Prometheus counts them (with the default buckets a label set of calls is 67). Beyond it label sets that nobody
   * counted in for ten minutes make room; while there are none, calls are counted in one label set whose other side is `overflow`.
   * Default 20,000.
   */
  readonly maxSeries?: number | undefined;
  /** SPIFFE ID of the process, once its certificate is there. Default: what its service account would be called. */
  readonly principal?: () => string | undefined;
  /** Tag of istio_build. Default `unknown`. */
  readonly version?: string;
  readonly clock?: Clock;
  /** What else is shown: how the mesh and its clusters stand. */
  readonly sources?: readonly MetricSource[];
}

export interface IstioMetrics extends Observer, MetricSource {
  /** All of it as Prometheus text. */
  text(): string;
}

/** Istio's metrics of this process as a client and as a server, and counters of what only a mesh in the process knows; text for Prometheus. */
export function istioMetrics(options: IstioMetricsOptions): IstioMetrics {
  const {
    workload,
    trustDomain = 'cluster.local',
    buckets = DEFAULT_BUCKETS,
    maxSeries = 20_000,
    version = 'unknown',
    principal = () => undefined,
    clock = systemClock,
    sources = [],
  } = options;
  if (buckets.length === 0 || buckets.some((bound, index) => !Number.isFinite(bound) || bound <= (buckets[index - 1] ?? -Infinity))) {
    throw new MeshError('MISUSE', `buckets must be finite and ascending, found [${buckets.join(', ')}]`);
  }
  if (!(maxSeries > 0)) throw new MeshError('MISUSE', `maxSeries must be above 0, found ${maxSeries}`);
  const calls = new CallMetrics({ workload, trustDomain, buckets, maxSeries, clock, principal });
  const events = new EventMetrics(clock, maxSeries);
  const build: MetricFamily = {
    name: 'istio_build',
    type: 'gauge',
    help: 'The mesh in this process; 1.',
    samples: [{ labels: new LabelSet({ component: 'proxy', tag: version }), value: 1 }],
  };
  const families = (): MetricFamily[] => [
    ...calls.families(),
    ...sources.flatMap((source) => [...source.families()]),
    ...events.families(),
    single('inmesh_metrics_series', 'gauge', 'Time series of calls kept, of at most maxSeries.', calls.size),
    single('inmesh_metrics_overflow_total', 'counter', 'Calls counted in the overflow series because maxSeries was reached.', calls.overflowed),
    single('inmesh_metrics_evicted_total', 'counter', 'Label sets that nobody counted in for ten minutes and that made room for others.', calls.evicted),
    build,
  ]; // prettier-ignore
  return {
    route: (info) => calls.route(info),
    inbound: (info) => calls.inbound(info),
    event: (event) => events.event(event),
    families,
    text: () => textOf(families()),
  };
}
