/**
 * Which namespaces see a resource: `.` its own, `*` all, `~` none, or names. An empty list stands for the default of
 * its kind in MeshConfig. Naming only others hides a resource from its own namespace.
 */
export function visibleTo(exportTo: readonly string[], whenEmpty: readonly string[], owner: string, viewer: string): boolean {
  const targets = exportTo.length > 0 ? exportTo : whenEmpty;
  return targets.some((target) => target === '*' || (target === '.' ? owner === viewer : target === viewer));
}

/** Does a selector hold for these labels? An empty one selects everything. */
export function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  for (const key in selector) if (labels[key] !== selector[key]) return false;
  return true;
}
