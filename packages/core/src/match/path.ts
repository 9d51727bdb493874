import type { PathMatch } from '@inmesh/policy';
import { fullMatch } from './re2.ts';

/** A PathMatch as a predicate over a path without query. `ignoreCase` folds ASCII letters, as Envoy does; a regex knows no such switch. */
export function compilePath(match: PathMatch): (path: string) => boolean {
  if (match.kind === 'regex') return fullMatch(match.value);
  const fold = match.ignoreCase ? foldCase : same;
  const value = fold(match.value);
  switch (match.kind) {
    case 'exact':
      return (path) => fold(path) === value;
    case 'prefix':
      return (path) => fold(path).startsWith(value);
    case 'segments':
      // '' is the root: all paths are below it.
      if (value === '') return () => true;
      return (path) => atSegment(fold(path), value);
  }
}

/** `be "/a" or below it`: what a path must do, for sentences. */
export function describePath(match: PathMatch): string {
  const folded = match.kind !== 'regex' && match.ignoreCase ? ', case ignored' : '';
  switch (match.kind) {
    case 'exact':
      return `equal "${match.value}"${folded}`;
    case 'prefix':
      return `start with "${match.value}"${folded}`;
    case 'segments':
      return `be "${match.value}" or below it${folded}`;
    case 'regex':
      return `match /${match.value}/ as a whole`;
  }
}

/** Is `path` the prefix itself or something in it? Whole segments: `/foo` holds `/foo/bar`, not `/foobar`. */
export function atSegment(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path.charCodeAt(prefix.length) === SLASH);
}

const SLASH = 47;

/** Lower-case of ASCII letters only: the length stays, so that offsets in the folded path hold in the real one. */
export function foldCase(text: string): string {
  return UPPER.test(text) ? text.replace(UPPERS, (letters) => letters.toLowerCase()) : text;
}

const UPPER = /[A-Z]/;
const UPPERS = /[A-Z]+/g;

const same = (text: string): string => text;
