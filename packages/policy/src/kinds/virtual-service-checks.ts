import type { Check } from './kind.ts';
import type { VirtualServiceSpec } from './virtual-service-schema.ts';

export const virtualServiceChecks: readonly Check<VirtualServiceSpec>[] = [];
