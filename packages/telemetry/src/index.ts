export { DEFAULT_BUCKETS } from './calls.ts';
export { CONTENT_TYPE } from './exposition.ts';
export { type IstioMetrics, istioMetrics, type IstioMetricsOptions } from './prometheus.ts';
export { auditFile, type AuditFileOptions } from './audit-file.ts';
export { createTracer, type MeshTracer, type TracerOptions } from './tracing/tracer.ts';
export { type PolicySampler, policySampler } from './tracing/sampler.ts';
