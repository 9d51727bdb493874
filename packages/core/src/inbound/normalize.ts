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

/** By character code: what an escape is decoded to, and what travels as it is (Chromium's kPathCharLookup); anything else is escaped. */
const UNRESERVED = tableOf(/[A-Za-z0-9\-_.~]/);
const PASSES = tableOf(/[A-Za-z0-9\-_.~!$&'()*+,;=:@/\\[\]]/);

function tableOf(characters: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (characters.test(String.fromCharCode(code)) ? 1 : 0));
}

const PERCENT = 37;

function unescapeAll(path: string): string | undefined {
  let result = '';
  // Runs that stay as they are are taken whole: paths come from strangers, and may be long.
  let kept = 0;
  for (let at = 0; at < path.length; at += 1) {
    const code = path.charCodeAt(at);
    if (PASSES[code] === 1) continue;
    if (code === 0) return undefined;
    result += path.slice(kept, at);
    if (code !== PERCENT) {
      const character = String.fromCodePoint(path.codePointAt(at)!);
      result += escaped(character);
      at += character.length - 1;
    } else {
      const byte = byteAt(path, at + 1);
      if (byte === 0) return undefined;
      // Malformed. If what follows will be decoded it could complete this one to an escape that nobody wrote.
      if (byte < 0) result += completes(path, at + 1) ? '%25' : '%';
      else {
        result += UNRESERVED[byte] === 1 ? String.fromCharCode(byte) : path.slice(at, at + 3);
        at += 2;
      }
    }
    kept = at + 1;
  }
  return result + path.slice(kept);
}

/** The byte that two hexadecimal digits make; −1 if they are none. */
function byteAt(path: string, at: number): number {
  const [high, low] = [digit(path.charCodeAt(at)), digit(path.charCodeAt(at + 1))];
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/** 0–15 of the code of a hexadecimal digit, else −1; the end of the text (NaN) is none. */
function digit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** Would the two characters after a bare `%`, once they are decoded, make an escape of it? */
function completes(path: string, from: number): boolean {
  let at = from;
  for (let digits = 0; digits < 2; digits += 1) {
    let code = path.charCodeAt(at);
    at += 1;
    if (code === PERCENT) {
      code = byteAt(path, at);
      at += 2;
    }
    if (digit(code) < 0) return false;
  }
  return true;
}

/** Node hands over what came on the wire one byte a character; whatever is beyond that is UTF-8. */
function escaped(character: string): string {
  const code = character.charCodeAt(0);
  const bytes = code < 256 ? [code] : [...new TextEncoder().encode(character)];
  return bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
