import { joinObservers, type MeshEvent, type Observer } from '@inmesh/core';
import { accessLogs, createTap, formatterOf, createTracer, type MeshTracer, type Tap } from '@inmesh/telemetry';
import { Enforcement } from './enforcement.ts';
import { type Metrics, type MetricsOptions, openMetrics, type Teller } from './metrics.ts';

/** All that is told of the calls of a process: metrics, traces, access logs, objectives, and the tap. */
export interface Telemetry {
  /** Hears of everything, for all of them. */
  readonly observer: Observer;
  readonly tracer: MeshTracer | undefined;
  readonly metrics: Metrics;
  readonly tap: Tap;
  readonly enforcement: Enforcement;
  /** Resolves when the last lines of access logs are written. */
  close(): Promise<void>;
}

export interface TelemetryOptions {
  readonly metrics?: MetricsOptions;
  readonly tracing?: false | { readonly forward?: readonly string[] };
  readonly observers?: readonly Observer[];
  readonly onEvent?: (event: MeshEvent) => void;
}

export function openTelemetry(teller: Teller, { metrics: asked, tracing = {}, observers = [], onEvent }: TelemetryOptions): Telemetry {
  const { workload, trustDomain } = teller;
  // Each of them is one that hears, too.
  const tell = (event: MeshEvent): void => observer.event(event);
  const enforcement = new Enforcement(tell);
  const metrics = openMetrics(teller, [enforcement.objectives], asked);
  const logs = accessLogs({ workload, trustDomain, onEvent: tell });
  const tap = createTap({ workload, trustDomain });
  const tracer = tracing === false ? undefined : createTracer({ workload, formatter: formatterOf(workload, trustDomain), ...tracing });
  const observer = joinObservers([
    ...metrics.observers,
    enforcement.objectives,
    logs,
    tap,
    ...(tracer === undefined ? [] : [tracer.observer]),
    ...observers,
    ...(onEvent === undefined ? [] : [eventsOnly(onEvent)]),
  ]);
  return {
    observer,
    tracer,
    metrics,
    tap,
    enforcement,
    close: async () => {
      enforcement.close();
      await logs.close();
    },
  };
}

function eventsOnly(onEvent: (event: MeshEvent) => void): Observer {
  return { route: () => ({ ended: () => {} }), event: onEvent };
}
