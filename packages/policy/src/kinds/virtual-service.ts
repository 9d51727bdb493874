import { istioKind } from './kind.ts';
import { virtualServiceChecks } from './virtual-service-checks.ts';
import { virtualServiceSchema } from './virtual-service-schema.ts';

export type { VirtualServiceSpec } from './virtual-service-schema.ts';

/** Decides where calls to a host go, and how they travel. */
export const virtualService = istioKind({
  kind: 'VirtualService',
  summary: 'Where calls to a host go: matching, splits, rewrites, redirects, timeouts, retries, faults, mirrors, headers.',
  schema: virtualServiceSchema,
  checks: virtualServiceChecks,
});
