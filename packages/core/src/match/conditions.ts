import type { HeaderMatch, RouteMatch, StringMatch } from '@inmesh/policy';
import type { Call } from '../call.ts';
import { compilePath, describePath } from './path.ts';
import { queryValue } from './query.ts';
import { compileText, describeText } from './text.ts';

/** One condition of a rule: what it looks at, whether it holds, and how to say so. */
export interface Condition {
  /** `path`, `header end-user`, `query parameter debug`. */
  readonly subject: string;
  /** The one value under which it holds, if there is just one: lets an index find its rules by value. */
  readonly only: string | undefined;
  readonly read: (call: Call) => string | undefined;
  readonly holds: (call: Call) => boolean;
  /** `equal "jason"`, `not start with "x"`: follows "must". */
  readonly must: string;
}

/** The conditions of a rule, cheapest first. None: it matches every call. */
export function conditions(match: RouteMatch): Condition[] {
  const found: Condition[] = [];
  const { path } = match;
  if (path !== null && !matchesAnyPath(path)) {
    const holds = compilePath(path);
    found.push({
      subject: 'path',
      only: undefined, // The route table has its own index of paths.
      read: readPath,
      holds: (call) => holds(call.path),
      must: describePath(path),
    });
  }
  if (match.method !== null) found.push(ofValue('method', readMethod, match.method, false));
  if (match.scheme !== null) found.push(ofValue('scheme', readScheme, match.scheme, false));
  if (match.authority !== null) found.push(ofValue('authority', readAuthority, match.authority, false));
  for (const header of match.headers) found.push(ofHeader(header));
  for (const { name, match: value, invert } of match.query) {
    found.push(ofValue(`query parameter ${name}`, (call) => queryValue(call.query, name), value, invert));
  }
  return found;
}

/** All conditions of a rule as one predicate; undefined if there are none. */
export function compileMatch(match: RouteMatch): ((call: Call) => boolean) | undefined {
  return allOf(conditions(match));
}

/** Conditions as one predicate; undefined for none. One and two are what rules have: they need no loop. */
export function allOf(list: readonly Condition[]): ((call: Call) => boolean) | undefined {
  const [first, second, third] = list.map((condition) => condition.holds);
  if (first === undefined) return undefined;
  if (second === undefined) return first;
  if (third === undefined) return (call) => first(call) && second(call);
  const all = list.map((condition) => condition.holds);
  return (call) => {
    for (const holds of all) if (!holds(call)) return false;
    return true;
  };
}

/** `header end-user is absent but must equal "jason"`. */
export function describeFailure(condition: Condition, call: Call): string {
  const value = condition.read(call);
  return `${condition.subject} is ${value === undefined ? 'absent' : `"${value}"`} but must ${condition.must}`;
}

function matchesAnyPath(path: NonNullable<RouteMatch['path']>): boolean {
  return (path.kind === 'prefix' || path.kind === 'segments') && path.value === '';
}

function ofHeader({ name, match, invert }: HeaderMatch): Condition {
  switch (name) {
    // Envoy's `:path` carries the query, unlike a uri match.
    case ':path':
      return ofValue(name, (call) => (call.query === '' ? call.path : `${call.path}?${call.query}`), match, invert);
    case ':method':
      return ofValue(name, readMethod, match, invert);
    case ':scheme':
      return ofValue(name, readScheme, match, invert);
    // A Host header is `:authority` by the time Envoy matches.
    case ':authority':
    case 'host':
      return ofValue(name, readAuthority, match, invert);
    default:
      return ofValue(`header ${name}`, (call) => call.header(name), match, invert);
  }
}

/**
 * A missing value fails, and an inverted one is read as '' (Istio sets treat_missing_header_as_empty for withoutHeaders):
 * without `{x: {exact: foo}}` holds where x is missing, without `{x: {regex: ".*"}}` holds nowhere.
 */
function ofValue(subject: string, read: (call: Call) => string | undefined, match: StringMatch, invert: boolean): Condition {
  const test = compileText(match);
  if (match.kind === 'present') {
    const holds = invert ? (call: Call) => read(call) === undefined : (call: Call) => read(call) !== undefined;
    return { subject, only: undefined, read, holds, must: invert ? 'be absent' : 'be present' };
  }
  if (invert) return { subject, only: undefined, read, holds: (call) => !test(read(call) ?? ''), must: `not ${describeText(match)}` };
  if (match.kind === 'exact') {
    const only = match.value;
    return { subject, only, read, holds: (call) => read(call) === only, must: describeText(match) };
  }
  return {
    subject,
    only: undefined,
    read,
    holds: (call) => {
      const value = read(call);
      return value !== undefined && test(value);
    },
    must: describeText(match),
  };
}

const readPath = (call: Call): string => call.path;
const readMethod = (call: Call): string => call.method;
const readScheme = (call: Call): string => call.scheme;
const readAuthority = (call: Call): string => call.authority;
