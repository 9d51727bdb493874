import { type Observer, systemClock } from '@inmesh/core';
import type { Workload } from '@inmesh/policy';
import { createRequire } from 'node:module';
import {
  istioMetrics,
  meshMetrics,
  type MeshLook,
  type MetricFamily,
  type MetricProducer,
  metricProducer,
  type MetricSource,
  runtimeMetrics,
  SemanticMetrics,
  textOf,
} from '@inmesh/telemetry';

export interface MetricsOptions {
  /**
   * Upper bounds of the histograms of calls (milliseconds, and bytes), ascending. Default: Envoy's, which Istio's dashboards expect; a threshold of
   * latency can be told by Prometheus only where it is one of them.
   */
  readonly buckets?: readonly number[];
  /** Time series of calls that are kept, as Prometheus counts them; a label set of calls is 67 with the default bounds. Default 20,000. */
  readonly maxSeries?: number;
  /**
   * Node's own metrics (event loop, heap, garbage collection, CPU) under prom-client's names, on the admin port and for OpenTelemetry.
   * Default true.
   */
  readonly runtime?: boolean;
  /**
   * OpenTelemetry's durations of HTTP requests and RPCs beside Istio's. Default: whether OTEL_SEMCONV_STABILITY_OPT_IN names `http`,
   * `http/dup`, `rpc` or `rpc/dup`.
   */
  readonly semanticConventions?: boolean;
}

/** Who tells. */
export interface Teller {
  readonly workload: Workload;
  readonly trustDomain: string;
  /** SPIFFE ID of the process, once it has one. */
  readonly principal: () => string | undefined;
}

/** All that this process tells of itself in numbers. */
export interface Metrics {
  readonly observers: readonly Observer[];
  /** The mesh stands: from now on its clusters, its policy and its registries are looked at, too. */
  look(at: MeshLook): void;
  /** What the mesh counts, as Prometheus text. */
  text(): string;
  /** That and Node's own, which is measured from now on. */
  page(): () => Promise<string>;
  producer(): MetricProducer;
}

const { version } = createRequire(import.meta.url)('../package.json') as { readonly version: string };

/** Time series of semantic conventions, each of the four names for itself; Istio's have a bound of their own. */
const SEMANTIC_SERIES = 10_000;

/** `sources`: who else has something to show. */
export function openMetrics(
  { workload, trustDomain, principal }: Teller,
  sources: readonly MetricSource[],
  { runtime = true, semanticConventions = optedIn(), buckets, maxSeries }: MetricsOptions = {},
): Metrics {
  let mesh: MeshLook | undefined;
  const startedAt = systemClock.wall();
  const standing = meshMetrics({
    upstream: () => mesh?.upstream() ?? [],
    rbac: () => mesh?.rbac() ?? [],
    health: () => mesh?.health(),
  });
  const semantic = semanticConventions ? [new SemanticMetrics(SEMANTIC_SERIES)] : [];
  const istio = istioMetrics({
    workload,
    trustDomain,
    principal,
    version,
    buckets,
    maxSeries,
    sources: [...semantic, standing, ...sources],
  });
  // Loaded only where somebody will look.
  const nodes = (): (() => Promise<readonly MetricFamily[]>) => {
    if (!runtime) return () => Promise.resolve([]);
    runtimeMetrics().catch(() => {}); // its failure is told to whoever looks
    return async () => (await runtimeMetrics()).families();
  };
  return {
    observers: [istio, ...semantic],
    look: (at) => {
      mesh = at;
    },
    text: () => istio.text(),
    page: () => {
      const node = nodes();
      return async () => istio.text() + textOf(await node());
    },
    producer: () => {
      const node = nodes();
      return metricProducer(async () => [...istio.families(), ...(await node())], { startedAt });
    },
  };
}

/** OpenTelemetry's own switch of its instrumentations. */
function optedIn(): boolean {
  return (process.env['OTEL_SEMCONV_STABILITY_OPT_IN'] ?? '').split(',').some((word) => /^(?:http|rpc)(?:\/dup)?$/.test(word.trim()));
}
