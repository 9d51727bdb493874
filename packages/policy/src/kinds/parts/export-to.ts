import type { Report } from '../kind.ts';

/** Istio's validateExportTo: `*` stands alone, nothing twice, `~` only where nobody may see a ServiceEntry. */
export function checkExportTo(exportTo: readonly (string | undefined)[] | undefined, report: Report, mayBeNobody: boolean): void {
  const targets = exportTo ?? [];
  const seen = new Set<string>();
  for (const [index, target] of targets.entries()) {
    if (target === undefined) continue;
    const path = ['exportTo', index];
    if (target === '~' && !mayBeNobody) report.error(path, '"~" is allowed for a ServiceEntry only', 'write "." for the own namespace');
    else if ((target === '*' || target === '~') && targets.length > 1)
      report.error(path, `"${target}" must stand alone in exportTo`, 'remove the other entries, or this one');
    else if (seen.size === seen.add(target).size) report.error(path, `"${target}" stands twice in exportTo`, 'keep one');
  }
}
