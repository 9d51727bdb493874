import type { HashKey } from '@inmesh/policy';
import type { Exchange } from '../exchange.ts';
import type { Runtime } from '../handler.ts';
import type { FilterKind } from '../kind.ts';
import { queryValue } from '../match/query.ts';
import { valuesAfter } from './header-ops.ts';

const MASK = (1n << 64n) - 1n;

/**
 * Computes the key a consistent-hash balancer picks by (Envoy HashPolicyImpl::generateHash): xxHash64 of each key the
 * policy names, combined as rotl(old, 1) XOR new; a key the call lacks is left out, and if it lacks all, any endpoint
 * will do. Below edits: Envoy hashes the request as upstream will see it, and a generated cookie is added to its edits.
 */
export const hash: FilterKind<{ readonly keys: readonly HashKey[] }> = {
  name: 'hash',
  outbound: ({ keys }, runtime) => {
    if (keys.length === 0) return (next) => next;
    const sources = keys.map((key) => compileKey(key, runtime));
    return (next) => (exchange, transport) => {
      let combined: bigint | undefined;
      for (const source of sources) {
        const value = source(exchange);
        if (value === undefined) continue;
        combined = (combined === undefined ? 0n : ((combined << 1n) & MASK) | (combined >> 63n)) ^ value;
      }
      exchange.hashKey = combined;
      return next(exchange, transport);
    };
  },
};

function compileKey(key: HashKey, runtime: Runtime): (exchange: Exchange) => bigint | undefined {
  const ofText = (text: string | undefined): bigint | undefined => (text === undefined ? undefined : runtime.hash.hash64(text));
  switch (key.kind) {
    case 'header':
      return ({ call, edits }) => {
        const values = valuesAfter(key.name, call.headerValues(key.name), edits.request);
        if (values.length === 0) return undefined;
        // Sorted, so that the order in which proxies appended them does not matter; each hash seeds the next.
        let seed = 0n;
        for (const value of values.length === 1 ? values : values.toSorted()) seed = runtime.hash.hash64(value, seed);
        return seed;
      };
    case 'query':
      return ({ call }) => ofText(queryValue(call.query, key.name));
    case 'sourceIp':
      return ({ call }) => ofText(call.sourceIp);
    case 'cookie':
      return (exchange) => {
        const cookies = valuesAfter('cookie', exchange.call.headerValues('cookie'), exchange.edits.request);
        let value = cookieValue(cookies, key.name);
        if (value === undefined && key.ttlMs !== null) {
          value = randomHex(runtime.random);
          const { edits } = exchange;
          const cookie = setCookie(key.name, value, key.path, key.ttlMs, key.attributes);
          exchange.edits = { ...edits, response: [...edits.response, { op: 'add', name: 'set-cookie', value: cookie }] };
        }
        return ofText(value);
      };
  }
}

/** Value of a cookie, quotes taken off; an empty one counts as none. */
export function cookieValue(headers: readonly string[], name: string): string | undefined {
  for (const header of headers) {
    for (const pair of header.split(';')) {
      const equals = pair.indexOf('=');
      if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
      const value = pair.slice(equals + 1).trim();
      const bare = value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
      return bare === '' ? undefined : bare;
    }
  }
  return undefined;
}

/** As Envoy's makeSetCookieValue: Max-Age in whole seconds and only if there is one left, always HttpOnly. */
function setCookie(
  name: string,
  value: string,
  path: string,
  ttlMs: number,
  attributes: readonly { readonly name: string; readonly value: string }[],
): string {
  const parts = [`${name}="${value}"`];
  const seconds = Math.floor(ttlMs / 1000);
  if (seconds > 0) parts.push(`Max-Age=${seconds}`);
  if (path !== '') parts.push(`Path=${path}`);
  for (const attribute of attributes) parts.push(attribute.value === '' ? attribute.name : `${attribute.name}=${attribute.value}`);
  parts.push('HttpOnly');
  return parts.join('; ');
}

/** 64 random bits. */
function randomHex(random: () => number): string {
  const half = (): string =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  return half() + half();
}
