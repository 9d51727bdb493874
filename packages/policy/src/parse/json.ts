import type { Path } from './place.ts';

/**
 * What JSON.parse does not tell: where things stand in the text, which keys stand twice, how deep it goes.
 * Works on text that JSON.parse accepted, so it checks no syntax.
 */

/** Deeper is refused: no resource needs it, and what walks it later may be recursive. */
export const DEEPEST = 100;

export interface Scan {
  /** Offset of the first value that is too deep; -1 if none is. */
  readonly tooDeep: number;
  /** Keys that stand twice in one object: where and what. */
  readonly duplicates: readonly { readonly offset: number; readonly key: string }[];
}

const QUOTE = 34;
const BACKSLASH = 92;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const COLON = 58;

/** One pass over the whole text. */
export function scanJson(text: string): Scan {
  const duplicates: { offset: number; key: string }[] = [];
  const stack: (Set<string> | null)[] = [];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = stringEnd(text, at);
      const keys = stack.at(-1);
      if (keys !== null && keys !== undefined) {
        let next = end;
        while (isSpace(text.charCodeAt(next))) next++;
        if (text.charCodeAt(next) === COLON) {
          const key = unquote(text, at, end);
          if (keys.has(key)) duplicates.push({ offset: at, key });
          else keys.add(key);
        }
      }
      at = end - 1;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      stack.push(code === OPEN_BRACE ? new Set() : null);
      if (stack.length > DEEPEST) return { tooDeep: at, duplicates };
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) stack.pop();
  }
  return { tooDeep: -1, duplicates };
}

/** Offset of the value at `path` below the value that begins at `start`, or of its key; of the nearest thing around it if there is none. */
export function jsonOffset(text: string, start: number, path: Path, atKey = false): number {
  let at = skipSpace(text, start);
  for (const [depth, step] of path.entries()) {
    const child = typeof step === 'number' ? elementAt(text, at, step) : memberAt(text, at, step);
    if (child === undefined) return at;
    const last = depth === path.length - 1;
    const first = text.charCodeAt(child.value);
    // A scalar is pointed at itself, an object or list at its key.
    if (last && child.key >= 0 && (atKey || first === OPEN_BRACE || first === OPEN_BRACKET)) return child.key;
    at = child.value;
  }
  return at;
}

/** Offsets of all elements of the array that begins at `start`. */
export function elementOffsets(text: string, start: number): number[] {
  const offsets: number[] = [];
  let at = skipSpace(text, start + 1);
  while (at < text.length && text.charCodeAt(at) !== CLOSE_BRACKET) {
    offsets.push(at);
    at = skipComma(text, valueEnd(text, at));
  }
  return offsets;
}

interface Child {
  readonly key: number;
  readonly value: number;
}

function memberAt(text: string, object: number, name: string): Child | undefined {
  if (text.charCodeAt(object) !== OPEN_BRACE) return undefined;
  let found: Child | undefined;
  let at = skipSpace(text, object + 1);
  while (at < text.length && text.charCodeAt(at) === QUOTE) {
    const end = stringEnd(text, at);
    const value = skipSpace(text, skipSpace(text, end) + 1);
    if (unquote(text, at, end) === name) found = { key: at, value }; // the last one counts, as for JSON.parse
    at = skipComma(text, valueEnd(text, value));
  }
  return found;
}

function elementAt(text: string, array: number, index: number): Child | undefined {
  if (text.charCodeAt(array) !== OPEN_BRACKET) return undefined;
  let at = skipSpace(text, array + 1);
  for (let left = index; at < text.length && text.charCodeAt(at) !== CLOSE_BRACKET; left--) {
    if (left === 0) return { key: -1, value: at };
    at = skipComma(text, valueEnd(text, at));
  }
  return undefined;
}

function valueEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = stringEnd(text, at) - 1;
      if (depth === 0) return at + 1;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      if (depth === 0) return at; // the end of a number or word
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (code === 44 || isSpace(code))) return at;
  }
  return text.length;
}

/** Offset after the closing quote of the string that begins at `start`. */
function stringEnd(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
  return text.length;
}

function unquote(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1);
  return inner.includes('\\') ? (JSON.parse(text.slice(start, end)) as string) : inner;
}

const isSpace = (code: number): boolean => code === 32 || code === 10 || code === 13 || code === 9;

function skipSpace(text: string, start: number): number {
  let at = start;
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

function skipComma(text: string, start: number): number {
  const at = skipSpace(text, start);
  return text.charCodeAt(at) === 44 ? skipSpace(text, at + 1) : at;
}
