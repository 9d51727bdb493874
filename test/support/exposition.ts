/** A family of a page of Prometheus text: its type, and its series. */
export interface Told {
  readonly type: string;
  readonly series: readonly string[];
}

/**
 * Reads a page as strictly as the text format is written down (prometheus.io, "Exposition formats"): one HELP and one TYPE for each
 * family, all its lines in one group, and no series twice, whichever way its labels are ordered. Throws what is wrong.
 */
export function readExposition(text: string): ReadonlyMap<string, Told> {
  const families = new Map<string, { type: string; helped: boolean; series: string[] }>();
  const seen = new Set<string>();
  let current = '';
  for (const line of text.split('\n').slice(0, -1)) {
    const [, word, named, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (word === 'HELP') {
      if (families.has(named!)) throw new Error(`a second HELP of ${named}`);
      families.set((current = named!), { type: '', helped: true, series: [] });
      continue;
    }
    if (word === 'TYPE') {
      const family = families.get(named!);
      if (family === undefined || named !== current) throw new Error(`TYPE of ${named} without its HELP`);
      if (family.type !== '') throw new Error(`a second TYPE of ${named}`);
      family.type = rest!;
      continue;
    }
    const [, name, labels = ''] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    if (name === undefined) throw new Error(`no sample: ${line}`);
    const family = families.get(current);
    const part = family?.type === 'histogram' || family?.type === 'summary' ? name.replace(/_(bucket|sum|count)$/, '') : name;
    if (part !== current) throw new Error(`${name} stands among ${current}`);
    const series = `${name} ${[...labels.matchAll(/\w+="(?:[^"\\]|\\.)*"/g)].map(([label]) => label).sort().join()}`; // prettier-ignore
    if (seen.has(series)) throw new Error(`twice: ${series}`);
    seen.add(series);
    family!.series.push(series);
  }
  return families;
}
