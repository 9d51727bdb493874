/** What the Telemetry resources and MeshConfig ask to be told of the calls of one workload. Part of the model: plain data, defaults filled in. */

/** Names of Istio's metrics in its Telemetry API (telemetry.istio.io/v1, MetricSelector.IstioMetric). */
export type IstioMetric =
  | 'REQUEST_COUNT'
  | 'REQUEST_DURATION'
  | 'REQUEST_SIZE'
  | 'RESPONSE_SIZE'
  | 'TCP_OPENED_CONNECTIONS'
  | 'TCP_CLOSED_CONNECTIONS'
  | 'TCP_SENT_BYTES'
  | 'TCP_RECEIVED_BYTES'
  | 'GRPC_REQUEST_MESSAGES'
  | 'GRPC_RESPONSE_MESSAGES';

export interface TelemetryModel {
  /** Calls this workload makes (`CLIENT`). */
  readonly client: SideTelemetry;
  /** Calls it receives (`SERVER`). */
  readonly server: SideTelemetry;
  /** How often connections and streams that last are told of; 0: only when they end. */
  readonly reportingIntervalMs: number;
}

export interface SideTelemetry {
  /** What departs from Istio's standard: a metric that is not named here is kept as it is. */
  readonly metrics: Readonly<Partial<Record<IstioMetric, MetricRule>>>;
  readonly accessLogs: readonly AccessLogRule[];
  readonly tracing: TracingRule;
}

export interface MetricRule {
  readonly disabled: boolean;
  /** Departures from the standard labels. Of one label the last holds. */
  readonly tags: readonly TagRule[];
}

export interface TagRule {
  readonly name: string;
  /** CEL; null takes the label away. An expression that fails yields `unknown`. */
  readonly expression: string | null;
}

export interface AccessLogRule {
  /** Name of the provider, for messages. */
  readonly provider: string;
  readonly sink: AccessLogSink;
  /** CEL; only calls for which it is true are logged. null: all. An expression that fails logs nothing. */
  readonly filter: string | null;
}

export type AccessLogSink =
  /** `/dev/stdout` and `/dev/stderr` are the process's own. */
  | { readonly kind: 'file'; readonly path: string; readonly format: AccessLogFormat }
  /** Log records of OpenTelemetry. `body`: Envoy's format of it; `attributes` likewise, by name. */
  | { readonly kind: 'otel'; readonly logName: string; readonly body: string; readonly attributes: Readonly<Record<string, string>> };

/** Command operators of Envoy (`%REQ(X)%`), Istio's own set where nobody names one. */
export type AccessLogFormat =
  | { readonly kind: 'text'; readonly format: string | null; readonly omitEmptyValues: boolean }
  | { readonly kind: 'json'; readonly fields: Readonly<Record<string, unknown>> | null; readonly omitEmptyValues: boolean };

export interface TracingRule {
  /** Whether spans are made at all. Off (`disableSpanReporting`): contexts are still handed on. */
  readonly spans: boolean;
  /** Traces that begin here and are kept, in percent. */
  readonly sampling: number;
  readonly customTags: Readonly<Record<string, CustomTag>>;
  /** Tags `istio.*` on spans. */
  readonly istioTags: boolean;
  /** Whether contexts are handed on with the calls this workload makes. */
  readonly propagation: boolean;
}

export type CustomTag =
  | { readonly kind: 'literal'; readonly value: string }
  | { readonly kind: 'environment'; readonly name: string; readonly defaultValue: string }
  | { readonly kind: 'header'; readonly name: string; readonly defaultValue: string }
  /** A command operator of Envoy's access logs, such as `%RESPONSE_FLAGS%`. */
  | { readonly kind: 'formatter'; readonly format: string };

/** A ServiceLevelObjective of inmesh.dev. */
export interface Objective {
  /** `ServiceLevelObjective namespace/name`. */
  readonly resource: string;
  readonly name: string;
  readonly namespace: string;
  /** Host of the service. */
  readonly service: string;
  readonly indicator: { readonly kind: 'availability' } | { readonly kind: 'latency'; readonly thresholdMs: number };
  /** Percent of calls that shall be good, below 100. */
  readonly objective: number;
  readonly windowMs: number;
  /** What is done while the budget burns as fast as `when` says; null: it is only told. */
  readonly enforcement: { readonly when: 'page' | 'ticket'; readonly actions: readonly EnforcedAction[] } | null;
}

/** `tightenRetries`: calls to the service are not sent again. `freezeWeights`: its splits stay as they were when it began. */
export type EnforcedAction = 'tightenRetries' | 'freezeWeights';

const SIDE: SideTelemetry = {
  metrics: {},
  accessLogs: [],
  // Istio's default (PILOT_TRACE_SAMPLING): one in a hundred.
  tracing: { spans: true, sampling: 1, customTags: {}, istioTags: true, propagation: true },
};

/** What holds where no resource says anything. */
export const DEFAULT_TELEMETRY: TelemetryModel = { client: SIDE, server: SIDE, reportingIntervalMs: 5000 };
