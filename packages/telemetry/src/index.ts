export { DEFAULT_BUCKETS } from './calls.ts';
export { CONTENT_TYPE } from './exposition.ts';
export { type IstioMetrics, istioMetrics, type IstioMetricsOptions } from './prometheus.ts';
export { auditFile, type AuditFileOptions } from './audit-file.ts';
export { metadataExchange } from './peer-metadata.ts';
export { type Objectives, objectives, type ObjectivesOptions, type ObjectiveStatus, type Reporter } from './slo/objectives.ts';
