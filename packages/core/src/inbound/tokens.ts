import type { JwtRule, TokenLocation } from '@inmesh/policy';
import type { Call } from '../call.ts';

/** A token, where it was found, and the rules that accept tokens from there. */
export interface FoundToken {
  readonly token: string;
  readonly location: TokenLocation;
  readonly rules: readonly JwtRule[];
}

/** One place where tokens may be, with the rules that look there. */
export interface TokenPlace {
  readonly location: TokenLocation;
  readonly rules: readonly JwtRule[];
}

/** The places of all rules, each once. A place accepts only the issuers that declared it. */
export function tokenPlaces(rules: readonly JwtRule[]): TokenPlace[] {
  const places = new Map<string, { location: TokenLocation; rules: JwtRule[] }>();
  for (const rule of rules) {
    for (const location of rule.locations) {
      const key = JSON.stringify(location);
      const place = places.get(key);
      if (place === undefined) places.set(key, { location, rules: [rule] });
      else place.rules.push(rule);
    }
  }
  return [...places.values()];
}

/** `header authorization`, `query parameter access_token`: for sentences. */
export function describePlace(location: TokenLocation): string {
  switch (location.in) {
    case 'header':
      return `header ${location.name}${location.prefix === '' ? '' : ` (behind "${location.prefix}")`}`;
    case 'query':
      return `query parameter ${location.name}`;
    case 'cookie':
      return `cookie ${location.name}`;
  }
}

/** Why the tokens of a call cannot be read: it says one thing twice. */
export interface Ambiguous {
  readonly ambiguous: string;
}

/** Every token of a call (Envoy jwt_authn extractor.cc): each line of a header has one of its own. */
export function findTokens(places: readonly TokenPlace[], call: Call): readonly FoundToken[] | Ambiguous {
  let found: FoundToken[] | undefined;
  for (const { location, rules } of places) {
    const values = valuesAt(location, call);
    if (values.length === 0) continue;
    // A backend may read the other one than we did.
    if (location.in === 'query' && values.length > 1)
      return { ambiguous: `Jwt is given twice: query parameter ${location.name} is not alone` };
    found ??= [];
    for (const token of values) found.push({ token, location, rules });
  }
  return found ?? NONE;
}

const NONE: readonly never[] = [];

function valuesAt(location: TokenLocation, call: Call): readonly string[] {
  switch (location.in) {
    case 'header':
      return behindPrefix(call.headerValues(location.name), location.prefix);
    case 'query':
      return parametersNamed(call.query, location.name);
    case 'cookie':
      return call.headerValues('cookie').flatMap((line) => cookies(line, location.name));
  }
}

/** The prefix may stand anywhere in a line; the token begins at the first character behind it that a token may have. */
function behindPrefix(lines: readonly string[], prefix: string): readonly string[] {
  let found: string[] | undefined;
  for (const line of lines) {
    const at = line.indexOf(prefix);
    if (at < 0 || line === '') continue;
    const rest = line.slice(at + prefix.length);
    const begin = prefix === '' ? 0 : rest.search(TOKEN_CHARACTER);
    (found ??= []).push(begin <= 0 ? rest : rest.slice(begin));
  }
  return found ?? NONE;
}

const TOKEN_CHARACTER = /[A-Za-z0-9\-_.]/;

function cookies(line: string, name: string): string[] {
  return line.split(';').flatMap((pair) => {
    const equals = pair.indexOf('=');
    return equals >= 0 && pair.slice(0, equals).trim() === name ? [pair.slice(equals + 1).trim()] : [];
  });
}

/** Values of every parameter of that name, read as programs do: escapes decoded, in names too. */
function parametersNamed(query: string, name: string): readonly string[] {
  // Most queries cannot hold it, in whatever way it is written.
  if (!query.includes(name) && !query.includes('%') && !query.includes('+')) return [];
  return query.split('&').flatMap((pair) => {
    const [key, value] = parameterOf(pair);
    return key === name ? [value] : [];
  });
}

/** A query without one parameter; the others stay as they were written. */
export function withoutParameter(query: string, name: string): string {
  return query
    .split('&')
    .filter((pair) => parameterOf(pair)[0] !== name)
    .join('&');
}

function parameterOf(pair: string): readonly [key: string, value: string] {
  // Behind a separator, for a question mark in front would be dropped.
  const [found] = new URLSearchParams(`&${pair}`);
  return found ?? ['', ''];
}
