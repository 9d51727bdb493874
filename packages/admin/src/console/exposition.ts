import { METRICS, type Sample } from './sample.ts';

export interface Series extends Sample {
  /** Name and labels as they were written: the same series has the same text in every poll. */
  readonly key: string;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Reads Prometheus text (format 0.0.4), of it the metrics the console knows; a line that is not of the format is left out. */
export function parseExposition(text: string, names: readonly string[] = METRICS): Series[] {
  const wanted = new Set(names);
  const series: Series[] = [];
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, name, labels = '', number = ''] = LINE.exec(line.trim()) ?? [];
    if (name === undefined || !wanted.has(name)) continue;
    const value = numberOf(number);
    if (!Number.isNaN(value)) series.push({ key: `${name}{${labels}}`, name, labels: labelsOf(labels), value });
  }
  return series;
}

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name = '', value = ''] of text.matchAll(LABEL)) {
    labels[name] = value.includes('\\') ? value.replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char)) : value;
  }
  return labels;
}

function numberOf(text: string): number {
  if (text === '+Inf') return Infinity;
  return text === '-Inf' ? -Infinity : Number(text);
}
