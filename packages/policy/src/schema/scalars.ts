import { RE2JS } from 're2js';
import * as v from 'valibot';
import { nearest } from './nearest.ts';
import { must } from './fields.ts';

const MS_OF = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;
const GO_DURATION = /^[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/;
const LONG_DURATION = /^[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d|w))+$/;
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)/g;
const GEP_DURATION = /^(?:\d{1,5}(?:h|m|s|ms)){1,4}$/;

/** Milliseconds of a Go duration such as `1h2m3.5s`; undefined if it is none. `0` needs no unit. */
export const parseDuration = (text: string): number | undefined => parseParts(text, GO_DURATION);

function parseParts(text: string, form: RegExp): number | undefined {
  if (text.length > 64) return undefined;
  if (text === '0') return 0;
  if (!form.test(text)) return undefined;
  let nanos = 0; // whole nanoseconds: 0.1ms + 0.2ms is 0.3ms
  for (const [, amount, unit] of text.matchAll(PART)) nanos += Math.round(Number(amount) * MS_OF[unit as keyof typeof MS_OF] * 1e6);
  return (text.startsWith('-') ? -nanos : nanos) / 1e6;
}

const durationFrom = (least: number, parse: (text: string) => number | undefined, example: string) =>
  v.pipe(
    v.string(({ input }) =>
      typeof input === 'number'
        ? `${input} is not a duration, it has no unit\nwrite such as ${input}s`
        : `a duration is expected\nwrite such as ${example}`,
    ),
    v.rawTransform<string, number>(({ dataset, addIssue, NEVER }) => {
      const ms = parse(dataset.value);
      if (ms === undefined)
        addIssue({ message: `"${clip(dataset.value)}" is not a duration\nwrite numbers with units, such as ${example}` });
      else if (ms < 0) addIssue({ message: `a duration of ${dataset.value} is negative` });
      else if (ms !== 0 && ms < least) addIssue({ message: `a duration of ${dataset.value} is shorter than ${least}ms` });
      else return ms;
      return NEVER;
    }),
  );

const positive = must<number>((ms) =>
  ms > 0 ? undefined : 'a duration of 0 means nothing here\nwrite at least 1ms, or leave the field out',
);

/** Go duration → milliseconds; 0s or at least 1 ms (protobuf Duration fields of Istio). */
export const duration = durationFrom(1, parseDuration, '500ms, 10s or 1m30s');

/** As `duration`, but 0 is refused. */
export const positiveDuration = v.pipe(duration, positive);

/** As `duration`, with d (24 hours) and w (7 days) as units beside Go's. */
export const longDuration = durationFrom(1, (text) => parseParts(text, LONG_DURATION), '12h, 30d or 4w');

/** Gateway API duration (GEP-2257) → milliseconds: whole numbers of h, m, s, ms, at most four. 0s is allowed. */
export const gepDuration = durationFrom(
  0,
  (text) => (GEP_DURATION.test(text) ? parseDuration(text) : undefined),
  '500ms, 10s or 1m30s (GEP-2257: whole numbers of h, m, s, ms)',
);

/** A whole number within bounds. */
export function whole(least: number, most: number) {
  const message = ({ input }: { readonly input: number }): string => `${input} is not a whole number from ${least} to ${most}`;
  return v.pipe(v.number(), v.integer(message), v.minValue(least, message), v.maxValue(most, message));
}

const INT32_MAX = 2_147_483_647;
const UINT32_MAX = 4_294_967_295;

/** TCP port. */
export const port = whole(1, 65_535);

/** uint32, or a UInt32Value wrapper: 0 is a value. */
export const uint32 = whole(0, UINT32_MAX);

/** int32 of protobuf where 0 cannot be told from unset and means the default (Istio, applyConnectionPool). */
export const countOrDefault = v.pipe(
  whole(0, INT32_MAX),
  v.transform((value): number | undefined => (value === 0 ? undefined : value)),
);

/** Port → its number; Istio's PortSelector. */
export const portSelector = v.object({ number: port });

const noPercentage = ({ input }: { readonly input: number }): string => `${input} is not a percentage from 0 to 100`;

/** Plain 0–100. */
export const percentNumber = v.pipe(v.number(), v.minValue(0, noPercentage), v.maxValue(100, noPercentage));

/** Istio's Percent message → number; `{}` is 0, as in protobuf. */
export const percent = v.pipe(
  v.object({ value: v.optional(v.pipe(percentNumber, v.description('0 to 100.')), 0) }),
  v.transform(({ value }) => value),
);

/** One of a closed list of words. */
export const oneOf = <const Words extends readonly string[]>(...words: Words) =>
  v.picklist(words, ({ input }) => {
    if (typeof input !== 'string') return `expected a string, found ${input === undefined ? 'nothing' : typeof input}`;
    const guess = nearest(input, words);
    return `"${clip(input)}" is not one of ${words.join(', ')}${guess === undefined ? '' : `\ndid you mean ${guess}?`}`;
  });

const DNS_LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const LABEL_NAME = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const HTTP_TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

export const isDnsLabel = (text: string): boolean => DNS_LABEL.test(text);
/** DNS-1123 subdomain: labels joined by dots, at most 253 characters. */
export const isDnsName = (text: string): boolean => text.length <= 253 && text.split('.').every(isDnsLabel);
/** As Istio's ValidateWildcardDomain: `*`, `*.suffix`, or a name; labels may hold capitals and underscores as Istio allows. */
export function isWildcardHost(text: string): boolean {
  if (text === '*') return true;
  const name = text.startsWith('*.') ? text.slice(2) : text.startsWith('*-') ? text.slice(2) : text;
  return (
    name.length <= 255 &&
    name
      .replace(/\.$/, '')
      .split('.')
      .every((label) => /^[a-zA-Z0-9_](?:[-a-zA-Z0-9_]{0,61}[a-zA-Z0-9_])?$/.test(label))
  );
}
export const isHttpToken = (text: string): boolean => HTTP_TOKEN.test(text);
export const isIpv4 = (text: string): boolean => IPV4.test(text);

/** An IPv6 address without zone or brackets. */
export function isIpv6(text: string): boolean {
  if (!text.includes(':') || !/^[0-9a-fA-F:.]+$/.test(text) || text.includes(':::')) return false;
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const last = groups.at(-1) ?? '';
  const length = groups.length + (last.includes('.') ? 1 : 0);
  const plain = last.includes('.') ? groups.slice(0, -1) : groups;
  return (
    plain.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group)) &&
    (!last.includes('.') || isIpv4(last)) &&
    (halves.length === 2 ? length < 8 : length === 8)
  );
}

export const isIp = (text: string): boolean => isIpv4(text) || isIpv6(text);

/** An address or a CIDR range. */
export function isIpOrCidr(text: string): boolean {
  const slash = text.indexOf('/');
  if (slash < 0) return isIp(text);
  const address = text.slice(0, slash);
  const bits = text.slice(slash + 1);
  return isIp(address) && /^\d{1,3}$/.test(bits) && Number(bits) <= (isIpv4(address) ? 32 : 128);
}

/** Why this is no label key (`prefix/name` or `name`), or undefined. */
export function labelKeyFault(key: string): string | undefined {
  const slash = key.indexOf('/');
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  const ok = (prefix === undefined || isDnsName(prefix)) && LABEL_NAME.test(key.slice(slash + 1));
  return ok
    ? undefined
    : `"${clip(key)}" is not a label name\nat most 63 letters, digits, '-', '_' or '.', with an optional DNS prefix and '/'`;
}

const labelValueFault = (value: string): string | undefined =>
  value === '' || LABEL_NAME.test(value)
    ? undefined
    : `"${clip(value)}" is not a label value\nat most 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit`;

/** Labels to select by: names and values of label syntax. */
export const labels = v.record(v.pipe(v.string(), must(labelKeyFault)), v.pipe(v.string(), must(labelValueFault)));

const dnsLabelFault = (value: string): string | undefined =>
  isDnsLabel(value)
    ? undefined
    : `"${clip(value)}" is not a DNS-1123 label\nat most 63 lower-case letters, digits or '-', beginning and ending with a letter or digit`;

/** DNS-1123 label. */
export const dnsLabel = v.pipe(v.string(), must(dnsLabelFault));

/** DNS-1123 subdomain, as Kubernetes names most objects. */
export const dnsName = v.pipe(
  v.string(),
  must((value: string) =>
    isDnsName(value)
      ? undefined
      : `"${clip(value)}" is not a DNS-1123 name\nlower-case letters, digits, '-' and '.', beginning and ending with a letter or digit`,
  ),
);

/** Host of a rule or a service: short name, FQDN, IP, or wildcard `*.suffix`. */
export const host = v.pipe(
  v.string(),
  must((value: string) =>
    isWildcardHost(value) || isIp(value)
      ? undefined
      : `"${clip(value)}" is not a host\nwrite a name, a full domain name, an IP address, or a wildcard such as *.example.com`,
  ),
);

/** Host of a destination: as `host`, but not all hosts at once (Istio's validateDestination). A wildcard is that of a ServiceEntry. */
export const destinationHost = v.pipe(
  host,
  must((value: string) => (value === '*' ? '"*" is no destination\nname a service' : undefined)),
);

/** A namespace an `exportTo` may name: `.`, `*`, `~`, or a name. */
export const exportTarget = v.pipe(
  v.string(),
  must((value: string) =>
    ['.', '*', '~'].includes(value) || isDnsLabel(value)
      ? undefined
      : `"${clip(value)}" is not a namespace\nwrite ".", "*", or the name of a namespace`,
  ),
);

const compiled = new Map<string, string | undefined>();

/** Why RE2 refuses this expression, or undefined. */
export function regexFault(expression: string): string | undefined {
  if (compiled.has(expression)) return compiled.get(expression);
  let fault: string | undefined;
  try {
    if (expression.length > 16_384) fault = 'the regular expression is longer than 16384 characters';
    else RE2JS.compile(expression);
  } catch (error) {
    const lookAround = /\(\?<?[=!]/.test(expression);
    const backReference = /\\[1-9]/.test(expression);
    const remedy = lookAround
      ? 'RE2 has no look-ahead or look-behind; match what may be there, and use withoutHeaders or an earlier rule for what may not'
      : backReference
        ? 'RE2 has no back-references'
        : 'the syntax is that of RE2, see https://github.com/google/re2/wiki/Syntax';
    fault = `"${clip(expression)}" is not an RE2 expression: ${error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : 'cannot be compiled'}\n${remedy}`;
  }
  if (compiled.size > 10_000) compiled.clear(); // documents come and go; the answers are only a short cut
  compiled.set(expression, fault);
  return fault;
}

/** An RE2 expression, without look-around or back-references. */
export const regex = v.pipe(v.string(), must(regexFault));

/** For messages: a text of bounded length on one line. */
export function clip(text: string): string {
  const plain = text.replace(/\s+/g, ' ');
  return plain.length > 80 ? `${plain.slice(0, 77)}…` : plain;
}
