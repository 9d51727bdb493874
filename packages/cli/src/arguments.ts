import type { Locality } from '@inmesh/policy';
import { InvalidArgumentError } from 'commander';

/** What is written on the command line, read into values; each refuses what it cannot read with a sentence. */

/** Who asks, as `--from` names it. */
export interface Caller {
  readonly namespace: string;
  readonly name: string;
}

export type Header = readonly [name: string, value: string];

/** `-f a -f b`. */
export function path(text: string, before: readonly string[] = []): readonly string[] {
  if (text === '') throw new InvalidArgumentError('It is empty.');
  return [...before, text];
}

const UNIT_MS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 } as const;

/** How long something is valid, in milliseconds: `24h`, `90m`, `7d`, `1h30m`. */
export function lifetime(text: string): number {
  const ms = /^(\d{1,6}[dhms])+$/.test(text)
    ? [...text.matchAll(/(\d+)([dhms])/g)].reduce(
        (sum, [, number, unit]) => sum + Number(number) * UNIT_MS[unit as keyof typeof UNIT_MS],
        0,
      )
    : 0;
  if (ms === 0) throw new InvalidArgumentError('It must be a duration such as 24h, 90m or 7d.');
  return ms;
}

/** `NAMESPACE/ACCOUNT`: a service account. */
export function account(text: string): { readonly namespace: string; readonly serviceAccount: string } {
  const [namespace, serviceAccount, ...more] = text.split('/');
  if (!namespace || !serviceAccount || more.length > 0) {
    throw new InvalidArgumentError(
      `It must be NAMESPACE/ACCOUNT${/^[^/]+$/.test(text) ? `; did you mean "default/${text}"?` : ', as in default/storefront.'}`,
    );
  }
  return { namespace, serviceAccount };
}

/** `NAMESPACE/WORKLOAD`. */
export function caller(text: string): Caller {
  const [namespace, name, ...more] = text.split('/');
  if (!namespace || !name || more.length > 0) {
    throw new InvalidArgumentError(
      `It must be NAMESPACE/WORKLOAD${/^[^/]+$/.test(text) ? `; did you mean "default/${text}"?` : ', as in default/storefront.'}`,
    );
  }
  return { namespace, name };
}

/** `key=value`; the value may be empty, as with Kubernetes. */
export function label(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be KEY=VALUE, as in app=storefront.');
  // Object.entries and fromEntries, so that a label named __proto__ is a label.
  return Object.fromEntries([...Object.entries(before), [text.slice(0, at), text.slice(at + 1)]]);
}

/** `region/zone/subzone`; what stands behind may be left out. */
export function place(text: string): Locality {
  const [region = '', zone = '', subzone = '', ...more] = text.split('/');
  if (region === '' || more.length > 0 || (zone === '' && subzone !== '')) {
    throw new InvalidArgumentError('It must be REGION, REGION/ZONE or REGION/ZONE/SUBZONE, as in eu-west/eu-west-1a.');
  }
  return { region, zone, subzone };
}

export function port(text: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > 65535) throw new InvalidArgumentError('It must be a port from 1 to 65535.');
  return number;
}

/** A port, or 0 for any that is free. */
export const freePort = (text: string): number => (text === '0' ? 0 : port(text));

/** `--token a --token b`. */
export function secret(text: string, before: readonly string[] = []): readonly string[] {
  if (!/^\S+$/.test(text)) throw new InvalidArgumentError('It is empty or has a space in it.');
  return [...before, text];
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** A method of HTTP (RFC 9110 §5.6.2: a token). */
export function method(text: string): string {
  if (text.includes('://'))
    throw new InvalidArgumentError(`It is a URL; write the method first: ${/^(?:grpc|mesh):/i.test(text) ? 'POST' : 'GET'} ${text}`);
  if (!TOKEN.test(text)) throw new InvalidArgumentError('It must be a method such as GET or POST.');
  return text;
}

/** `name: value`, as curl takes it. */
export function header(text: string, before: readonly Header[] = []): readonly Header[] {
  const at = text.indexOf(':');
  const name = text.slice(0, Math.max(0, at)).trim();
  if (!TOKEN.test(name)) throw new InvalidArgumentError("It must be 'name: value', as in 'end-user: jason'.");
  const value = text.slice(at + 1).trim();
  // oxlint-disable-next-line no-control-regex -- they are what a header value must not have (RFC 9110 §5.5)
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) throw new InvalidArgumentError('Its value has a control character.');
  return [...before, [name, value]];
}
