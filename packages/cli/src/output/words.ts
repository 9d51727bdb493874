import { stripVTControlCharacters } from 'node:util';

/** Numbers and lists as people read them. */

/** `1 error`, `2 errors`, `no errors`. */
export const count = (n: number, one: string, many = `${one}s`): string => `${n === 0 ? 'no' : n} ${n === 1 ? one : many}`;

/** `90 %`, `33.33 %`: never more digits than mean something. */
export const percent = (n: number): string => `${Number(n.toFixed(2))} %`;

/** `250 ms`, `1.5 s`, `2 min 30 s`, `1 h`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Number(ms.toFixed(3))} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(3))} s`;
  const seconds = Math.round(ms / 1000);
  const parts = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  return parts
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(' ');
}

/** Columns a text takes on a terminal, colours not counted. */
export const width = (text: string): number => stripVTControlCharacters(text).length;

/** Fills up with blanks to `columns`. */
export const pad = (text: string, columns: number): string => text + ' '.repeat(Math.max(0, columns - width(text)));

/**
 * Text on lines of at most `columns`, the following ones indented; broken at blanks only, so that what a person copies
 * (addresses, URLs) stays whole.
 */
export function wrap(text: string, columns: number, indent = 0): string {
  const room = Math.max(40, columns) - indent;
  const lines: string[] = [];
  for (const given of text.split('\n')) {
    let line: string | undefined;
    for (const word of given.split(' ')) {
      if (line !== undefined && width(line) + 1 + width(word) > room) {
        lines.push(line);
        line = word;
      } else line = line === undefined ? word : `${line} ${word}`;
    }
    lines.push(line ?? '');
  }
  return lines.join(`\n${' '.repeat(indent)}`);
}

/**
 * The same value with every control character in its texts written out: a policy or a header must not be able to move
 * the cursor of whoever reads about it. Line ends stay.
 */
export function printable<T>(value: T): T {
  if (typeof value === 'string') return value.replace(CONTROL, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`) as T;
  if (Array.isArray(value)) return value.map(printable) as T;
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, held]) => [key, printable(held)])) as T;
  return value;
}

// oxlint-disable-next-line no-control-regex -- they are what it looks for
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g;
