import { MeshError } from '@inmesh/core';

/** The moment a call began as text: Envoy's default without a format, else strftime with its fractions of a second. In UTC, as Envoy writes it. */
export function compileStartTime(format: string): (ms: number) => string {
  if (format === '') return iso();
  const parts = format.split(SPECIFIER).map((part, index) => (index % 2 === 0 ? () => part : specifier(part)));
  return (ms) => {
    const date = new Date(ms);
    let text = '';
    for (const part of parts) text += part(date);
    return text;
  };
}

/** Envoy's default, %Y-%m-%dT%H:%M:%E3SZ. Of one second most is the same for every call. */
function iso(): (ms: number) => string {
  let second = NaN;
  let prefix = '';
  return (ms) => {
    const current = Math.floor(ms / 1000);
    if (current !== second) {
      second = current;
      prefix = new Date(current * 1000).toISOString().slice(0, -4);
    }
    const rest = Math.floor(ms) - current * 1000;
    return `${prefix}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`;
  };
}

const SPECIFIER = /(%(?:E[0-9*]+S|[1-9]?f|[1-9]f|[A-Za-z%]))/;

function specifier(text: string): (date: Date) => string {
  const fraction = /^%(?:E([0-9])S|([1-9])?f)$/.exec(text);
  if (fraction !== null) {
    const seconds = text.startsWith('%E');
    const digits = Number(fraction[1] ?? fraction[2] ?? 9);
    return (date) => `${seconds ? two(date.getUTCSeconds()) + (digits > 0 ? '.' : '') : ''}${fractionOf(date, digits)}`;
  }
  if (text === '%E*S') return (date) => `${two(date.getUTCSeconds())}.${fractionOf(date, 3)}`;
  const found = SPECIFIERS[text.slice(1)];
  if (found === undefined) throw new MeshError('POLICY_INVALID', `%START_TIME knows no ${text}`);
  return found;
}

const two = (value: number): string => String(value).padStart(2, '0');
/** A millisecond is all we know. */
const fractionOf = (date: Date, digits: number): string =>
  String(date.getUTCMilliseconds()).padStart(3, '0').padEnd(9, '0').slice(0, digits);
const named = (options: Intl.DateTimeFormatOptions): ((date: Date) => string) => {
  // Made when it is asked for: one of them takes tens of milliseconds, and hardly anybody names a day.
  let format: Intl.DateTimeFormat | undefined;
  return (date) => (format ??= new Intl.DateTimeFormat('en-US', { timeZone: 'UTC', ...options })).format(date);
};

const SPECIFIERS: Readonly<Record<string, (date: Date) => string>> = {
  '%': () => '%',
  Y: (date) => String(date.getUTCFullYear()),
  y: (date) => two(date.getUTCFullYear() % 100),
  m: (date) => two(date.getUTCMonth() + 1),
  d: (date) => two(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2, ' '),
  H: (date) => two(date.getUTCHours()),
  I: (date) => two(date.getUTCHours() % 12 || 12),
  M: (date) => two(date.getUTCMinutes()),
  S: (date) => two(date.getUTCSeconds()),
  p: (date) => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  F: (date) => date.toISOString().slice(0, 10),
  T: (date) => date.toISOString().slice(11, 19),
  R: (date) => date.toISOString().slice(11, 16),
  D: (date) => `${two(date.getUTCMonth() + 1)}/${two(date.getUTCDate())}/${two(date.getUTCFullYear() % 100)}`,
  Z: () => 'UTC',
  z: () => '+0000',
  b: named({ month: 'short' }),
  B: named({ month: 'long' }),
  a: named({ weekday: 'short' }),
  A: named({ weekday: 'long' }),
  j: (date) => String(Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000) + 1).padStart(3, '0'),
  n: () => '\n',
  t: () => '\t',
};
