import type { Document } from '../document.ts';
import { isKind, type KindName, type ResourceOf } from '../kinds/index.ts';

/** The resources of a document by kind: one pass, then no scans. */
export interface Registry {
  of<Name extends KindName>(kind: Name): readonly ResourceOf<Name>[];
}

export function registryOf(document: Document): Registry {
  const byKind = Map.groupBy(document.resources, ({ kind }) => kind);
  return {
    of: (kind) => (byKind.get(kind) ?? []).filter(isKind(kind)),
  };
}
