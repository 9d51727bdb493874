import { type Clock, type EndedCall, MeshError, systemClock } from '@inmesh/core';
import type { AccessLogFormat, Workload } from '@inmesh/policy';
import { hostname } from 'node:os';
import { type CallInfo, traceOfCall } from '../facts.ts';
import { ISTIO_JSON, ISTIO_TEXT } from './istio.ts';
import { compileOperator, type FormatTools, type Reader } from './operators.ts';

/** A line of text for a call that ended, its newline with it. */
export type Format = (call: EndedCall, info: CallInfo, endedAt: number) => string;

/** A line as JSON values, before it is text. */
export type JsonFormat = (call: EndedCall, info: CallInfo, endedAt: number) => Record<string, unknown>;

/** Compiles a format once. Throws POLICY_INVALID for operators nobody knows. */
export function compileFormat(format: AccessLogFormat, tools: FormatTools): Format {
  if (format.kind === 'json') {
    return compileJsonText(format.fields ?? ISTIO_JSON, format.omitEmptyValues, tools);
  }
  const text = format.format ?? ISTIO_TEXT;
  // As Istio does: a line is a line.
  return compileText(text.endsWith('\n') ? text : `${text}\n`, format.omitEmptyValues, tools);
}

/** A line of text with command operators. What a call does not have is `-`, or nothing (`omitEmptyValues`). */
export function compileText(
  text: string,
  omitEmptyValues: boolean,
  tools: FormatTools,
  write: (value: string) => string = escaped,
): Format {
  const empty = omitEmptyValues ? '' : '-';
  const parts = parse(text, tools);
  return (call, info, endedAt) => {
    let line = '';
    for (const part of parts) line += typeof part === 'string' ? part : printed(part(call, info, endedAt), empty, write);
    return line;
  };
}

/**
 * JSON with command operators in its strings. One that is a single operator keeps the operator's type, null where the call has none; others
 * are text. `omitEmptyValues` leaves keys without a value out (Envoy's JSON formatter).
 */
export function compileJson(fields: Readonly<Record<string, unknown>>, omitEmptyValues: boolean, tools: FormatTools): JsonFormat {
  const compiled = Object.entries(fields).map(([name, value]) => [name, compileValue(value, omitEmptyValues, tools)] as const);
  return (call, info, endedAt) => {
    const line: Record<string, unknown> = {};
    for (const [name, read] of compiled) {
      const value = read(call, info, endedAt);
      if (value !== undefined) line[name] = value;
      else if (!omitEmptyValues) line[name] = null;
    }
    return line;
  };
}

/** `JSON.stringify` of what compileJson makes, without making it: half the time. */
function compileJsonText(fields: Readonly<Record<string, unknown>>, omitEmptyValues: boolean, tools: FormatTools): Format {
  const compiled = Object.entries(fields).map(
    ([name, value]) => [`${JSON.stringify(name)}:`, compileValue(value, omitEmptyValues, tools)] as const,
  );
  return (call, info, endedAt) => {
    let line = '';
    for (const [key, read] of compiled) {
      const value = read(call, info, endedAt);
      if (value === undefined && omitEmptyValues) continue;
      line += line === '' ? key : `,${key}`;
      line += typeof value === 'string' && PLAIN.test(value) ? `"${value}"` : quiet(JSON.stringify(value) ?? 'null');
    }
    return `{${line}}\n`;
  };
}

/** Text that JSON writes as it stands: printable ASCII but for `"` and the backslash. */
const PLAIN = /^[ !#-[\]-~]*$/;

type ValueReader = (call: EndedCall, info: CallInfo, endedAt: number) => unknown;

function compileValue(value: unknown, omitEmptyValues: boolean, tools: FormatTools): ValueReader {
  if (typeof value === 'string') {
    const [only, ...others] = parse(value, tools);
    return typeof only === 'function' && others.length === 0 ? only : compileText(value, omitEmptyValues, tools, asItIs);
  }
  if (Array.isArray(value)) {
    const items = value.map((item) => compileValue(item, omitEmptyValues, tools));
    return (call, info, endedAt) => items.map((read) => read(call, info, endedAt) ?? null);
  }
  if (typeof value === 'object' && value !== null) return compileJson(value as Readonly<Record<string, unknown>>, omitEmptyValues, tools);
  return () => value;
}

/** Envoy's grammar of an operator: its name, arguments up to the last `)`, and the most characters it may have. */
const OPERATOR = /%(?:%|([A-Z0-9_]+)(?:\((.*?)\))?(?::([0-9]+))?%)/gs;

function parse(text: string, tools: FormatTools): readonly (string | Reader)[] {
  const parts: (string | Reader)[] = [];
  let end = 0;
  const literal = (until: number): void => {
    const between = text.slice(end, until);
    if (between.includes('%')) throw new MeshError('POLICY_INVALID', `"${between.trim()}" holds a % that begins no command operator`);
    if (between !== '') parts.push(between);
  };
  for (const found of text.matchAll(OPERATOR)) {
    literal(found.index);
    const [all, name, argument, most] = found;
    parts.push(name === undefined ? '%' : limited(compileOperator(name, argument, tools), most));
    end = found.index + all.length;
  }
  literal(text.length);
  return parts;
}

function limited(read: Reader, most: string | undefined): Reader {
  if (most === undefined) return read;
  const length = Number(most);
  return (call, info, endedAt) => {
    const value = read(call, info, endedAt);
    return value === undefined ? undefined : typeof value === 'string' ? value.slice(0, length) : value;
  };
}

/** What strangers wrote must not begin a line of its own, nor end the quotes it stands in: a field of theirs could be taken for another. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}"\\]/u;

const escaped = (value: string): string => (UNSAFE.test(value) ? quiet(JSON.stringify(value).slice(1, -1)) : value);

/** Where what becomes of it needs no escapes, or makes its own. */
export const asItIs = (value: string): string => value;

/** Controls that JSON lets stand, and terminals and readers of lines obey: DEL, C1 (U+009B begins an escape sequence), and two ends of lines. */
const quiet = (json: string): string =>
  LOUD.test(json) ? json.replaceAll(LOUD_ALL, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`) : json;

const LOUD = /[\x7f-\x9f\u2028\u2029]/;
const LOUD_ALL = new RegExp(LOUD, 'g');

function printed(value: string | number | boolean | undefined, empty: string, write: (value: string) => string): string {
  if (value === undefined) return empty;
  return typeof value === 'string' ? write(value) : String(value);
}

/** What makes of formats what they say of a call, for tags of spans (Telemetry, `customTags.formatter`); a format that means nothing says nothing. */
export function formatterOf(
  workload: Workload,
  trustDomain: string,
  clock: Clock = systemClock,
): (format: string) => (call: EndedCall, info: CallInfo) => string {
  const tools = { workload, trustDomain, clock, hostname: hostname(), environment: process.env, traceOf: traceOfCall };
  return (text) => {
    try {
      const format = compileText(text, false, tools, asItIs);
      return (call, info) => format(call, info, clock.wall());
    } catch {
      return () => '';
    }
  };
}
