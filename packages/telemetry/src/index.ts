export { DEFAULT_BUCKETS } from './calls.ts';
export { CONTENT_TYPE, LabelSet, type MetricFamily, type MetricSample, type MetricSource, textOf } from './exposition.ts';
export type { MeshHealth } from './health.ts';
export { meshMetrics, type MeshLook } from './mesh-metrics.ts';
export { type MetricProducer, metricProducer } from './otel/producer.ts';
export { SemanticMetrics } from './otel/semantic-metrics.ts';
export { type IstioMetrics, istioMetrics, type IstioMetricsOptions } from './prometheus.ts';
export { type RuntimeMetrics, runtimeMetrics } from './runtime.ts';
export { auditFile, type AuditFileOptions } from './audit-file.ts';
