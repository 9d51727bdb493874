import { RE2JS } from 're2js';

/** Patterns kept compiled: a policy names the same few in many routes, and each costs some 50 µs to compile. */
const KEPT = 2048;

const compiled = new Map<string, RE2JS>();

/** The pattern, compiled once however many routes name it. Throws RE2JSSyntaxException on what RE2 rejects; a checked document has none. */
export function re2(pattern: string): RE2JS {
  let regex = compiled.get(pattern);
  if (regex === undefined) {
    regex = RE2JS.compile(pattern);
    // Oldest out: a Map keeps the order of insertion.
    if (compiled.size >= KEPT) compiled.delete(compiled.keys().next().value!);
    compiled.set(pattern, regex);
  }
  return regex;
}

/** Does RE2 match the whole value? Envoy's safe_regex is always a FullMatch. */
export function fullMatch(pattern: string): (value: string) => boolean {
  const regex = re2(pattern);
  return (value) => regex.testExact(value);
}

/**
 * RE2::GlobalReplace, as Envoy's regex_rewrite uses it: every non-overlapping occurrence is replaced; in the
 * substitution `\0` is the whole match, `\1`–`\9` are groups (empty if they took no part) and `\\` is a backslash.
 */
export function replaceAll(pattern: string, substitution: string): (text: string) => string {
  const regex = re2(pattern);
  const parts = parseSubstitution(substitution);
  return (text) => {
    const matcher = regex.matcher(text);
    let result = '';
    let end = -1;
    while (matcher.find()) {
      const from = matcher.start();
      // RE2 takes no empty match right behind the last one: `a*` → `X` makes `XbXcX` of `baac`.
      if (from === end && matcher.end() === end) continue;
      result += text.slice(Math.max(end, 0), from);
      for (const part of parts) result += typeof part === 'string' ? part : part <= matcher.groupCount() ? (matcher.group(part) ?? '') : '';
      end = matcher.end();
    }
    return end < 0 ? text : result + text.slice(end);
  };
}

function parseSubstitution(substitution: string): (string | number)[] {
  const parts: (string | number)[] = [];
  for (const [token] of substitution.matchAll(/\\[0-9\\]|[^\\]+|\\/g)) {
    if (token === '\\\\') parts.push('\\');
    else if (token.length === 2 && token[0] === '\\') parts.push(Number(token[1]));
    else parts.push(token);
  }
  return parts;
}

/**
 * Text every full match of the pattern begins with, '' if that cannot be told easily. Only ever too short, never wrong:
 * it lets an index skip patterns that cannot match.
 */
export function literalPrefix(pattern: string): string {
  if (alternatesOutside(pattern)) return '';
  const characters = Array.from(pattern.replace(/^\^/, ''));
  let prefix = '';
  for (const [index, character] of characters.entries()) {
    if (/[\\.+*?()[\]{}^$|]/.test(character)) break;
    // A quantifier that allows none takes its character back.
    if (/[*?{]/.test(characters[index + 1] ?? '')) break;
    prefix += character;
  }
  return prefix;
}

/** Is there a `|` outside of all groups? Escapes and classes are skipped; what is unclear (`\Q`, nested brackets) counts as yes. */
function alternatesOutside(pattern: string): boolean {
  if (!pattern.includes('|')) return false;
  if (/\\Q|\[[^\]]*\[|\[\^?\]/.test(pattern)) return true;
  let depth = 0;
  for (const [token] of pattern.matchAll(/\\.|\[\^?(?:\\.|[^\]\\])*\]|[()|]/gs)) {
    if (token === '(') depth += 1;
    else if (token === ')') depth -= 1;
    else if (token === '|' && depth === 0) return true;
  }
  return false;
}
