import type { Metadata } from '../document.ts';

type Aged = Pick<Metadata, 'createdAt' | 'name' | 'namespace'>;

/**
 * Who wins among resources that claim the same: the oldest, then by name, then by namespace (Istio's
 * sortConfigByCreationTime). A resource without a timestamp counts as oldest.
 */
export const byAge = (a: Aged, b: Aged): number =>
  a.createdAt - b.createdAt || compareText(a.name, b.name) || compareText(a.namespace, b.namespace);

/** As `byAge`, but ties by `namespace/name`: the rule of the Gateway API. */
export const byAgeAndPath = (a: Aged, b: Aged): number =>
  a.createdAt - b.createdAt || compareText(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`);

/** By code units: the same on every machine, whatever its language. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** How a resource is called in messages and in the model. */
export const labelOf = (resource: { readonly kind: string; readonly metadata: Pick<Metadata, 'name' | 'namespace'> }): string =>
  `${resource.kind} ${resource.metadata.namespace}/${resource.metadata.name}`;
