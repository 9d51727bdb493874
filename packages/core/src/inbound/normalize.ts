import type { Settings } from '@inmesh/policy';

export type PathNormalization = Settings['pathNormalization'];

export interface Target {
  readonly path: string;
  /** After the `?`, or ''. Untouched. */
  readonly query: string;
}

/** What needs no look at all: letters, digits and signs that mean nothing, single slashes, no segment that begins with a dot. */
const ORDINARY = /^(?:\/(?!\.)[A-Za-z0-9\-_~!$&'()*+,;=:@.]+)+\/?$/;

/**
 * The path of a request as rules and routers shall see it (Istio MeshConfig pathNormalization; the order of Envoy's
 * conn_manager_utility.cc and path_utility.cc, the canonicalization of Chromium's url_canon_path.cc). What is matched must be
 * what is forwarded: the caller of this puts the result in the place of what was sent. undefined: no path at all (400).
 *
 * `target` is in origin form; a fragment is cut off in every mode. The result is stable: normalized again it stays the same,
 * so that no router behind it can find another path in it by decoding what rules saw.
 */
export function normalizeTarget(target: string, mode: PathNormalization): Target | undefined {
  const hash = target.indexOf('#');
  const whole = hash < 0 ? target : target.slice(0, hash);
  const mark = whole.indexOf('?');
  const raw = mark < 0 ? whole : whole.slice(0, mark);
  const query = mark < 0 ? '' : whole.slice(mark + 1);
  if (mode === 'NONE' || raw === '/' || ORDINARY.test(raw)) return { path: raw, query };
  const canonical = canonicalize(mode === 'DECODE_AND_MERGE_SLASHES' ? decodeSlashes(raw) : raw);
  if (canonical === undefined) return undefined;
  return { path: mode === 'BASE' ? canonical : canonical.replace(/\/{2,}/g, '/'), query };
}

const decodeSlashes = (path: string): string => path.replace(/%2f/gi, '/').replace(/%5c/gi, '\\');

/** Every escape that is decoded, every character that is escaped, segments of dots taken out. undefined at a NUL. */
function canonicalize(path: string): string | undefined {
  const characters = unescapeAll(path);
  if (characters === undefined) return undefined;
  const segments: string[] = [];
  const parts = characters.replaceAll('\\', '/').split('/');
  // A path without a slash in front gets one.
  if (parts[0] === '') parts.shift();
  for (const [index, part] of parts.entries()) {
    const last = index === parts.length - 1;
    if (part === '..') segments.pop();
    if (part === '.' || part === '..') {
      // The slash in front of the dots stays.
      if (last) segments.push('');
    } else segments.push(part);
  }
  return `/${segments.join('/')}`;
}

const UNRESERVED = /[A-Za-z0-9\-_.~]/;
// What travels as it is (Chromium's kPathCharLookup); everything else is escaped.
const PASSES = /[A-Za-z0-9\-_.~!$&'()*+,;=:@/\\[\]]/;
const ESCAPE = /^[0-9A-Fa-f]{2}$/;

function unescapeAll(path: string): string | undefined {
  let result = '';
  for (let at = 0; at < path.length; at += 1) {
    const character = path[at]!;
    if (character === '\0') return undefined;
    if (character !== '%') {
      result += PASSES.test(character) ? character : escaped(character);
      continue;
    }
    const hex = path.slice(at + 1, at + 3);
    if (!ESCAPE.test(hex)) {
      // Malformed. If what follows will be decoded it could complete this one to an escape that nobody wrote.
      result += completes(path, at + 1) ? '%25' : '%';
      continue;
    }
    const decoded = String.fromCharCode(Number.parseInt(hex, 16));
    if (decoded === '\0') return undefined;
    result += UNRESERVED.test(decoded) ? decoded : `%${hex}`;
    at += 2;
  }
  return result;
}

/** Would the two characters after a bare `%`, once they are decoded, make an escape of it? */
function completes(path: string, from: number): boolean {
  let at = from;
  for (let digits = 0; digits < 2; digits += 1) {
    let character = path[at];
    at += 1;
    if (character === '%') {
      const hex = path.slice(at, at + 2);
      if (!ESCAPE.test(hex)) return false;
      character = String.fromCharCode(Number.parseInt(hex, 16));
      at += 2;
    }
    if (character === undefined || !/[0-9A-Fa-f]/.test(character)) return false;
  }
  return true;
}

/** Node hands over what came on the wire one byte a character; whatever is beyond that is UTF-8. */
function escaped(character: string): string {
  const bytes = character.charCodeAt(0) < 256 ? [character.charCodeAt(0)] : [...new TextEncoder().encode(character)];
  return bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
