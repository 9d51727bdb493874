import type { PathRewrite } from '@inmesh/policy';
import { atSegment, foldCase } from '../match/path.ts';
import { replaceAll } from '../match/re2.ts';

/** A path rewrite as a function over paths without query; the query is the caller's to keep. The result always begins with a slash. */
export function compileRewrite(rewrite: PathRewrite): (path: string) => string {
  switch (rewrite.kind) {
    case 'full': {
      const value = rooted(rewrite.value);
      return () => value;
    }
    case 'prefix':
      return replacePrefix(rewrite);
    case 'segments':
      return replaceSegments(rewrite.prefix, rewrite.value);
    case 'regex': {
      const replace = replaceAll(rewrite.pattern, rewrite.substitution);
      return (path) => rooted(replace(path));
    }
  }
}

/** VirtualService `rewrite.uri` under a prefix match: plain concatenation, so `/foo` → `/` turns `/foo/bar` into `//bar`, as Envoy does. */
function replacePrefix({ prefix, value, ignoreCase }: Extract<PathRewrite, { kind: 'prefix' }>): (path: string) => string {
  const folded = ignoreCase ? foldCase(prefix) : prefix;
  return (path) => {
    const matched = ignoreCase ? foldCase(path).startsWith(folded) : path.startsWith(folded);
    return matched ? rooted(value + path.slice(prefix.length)) : path;
  };
}

/** Gateway API ReplacePrefixMatch: whole segments, and never a slash too many (the table of HTTPPathModifier). */
function replaceSegments(prefix: string, value: string): (path: string) => string {
  const from = prefix.replace(/\/+$/, '');
  const to = value.replace(/\/+$/, '');
  return (path) => (atSegment(path, from) ? rooted(to + path.slice(from.length)) : path);
}

function rooted(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}
