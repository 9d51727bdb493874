import type { Clock } from '@inmesh/core';
import type { JwtRule } from '@inmesh/policy';
import { parseJsonObject } from '../jws/json.ts';
import { fetchBytes, type Fetching } from './fetch.ts';
import { type KeySet, parseKeys } from './keys.ts';

/** Where the keys of a rule are, if not in the rule itself. */
export interface KeyPlace {
  readonly kind: 'uri' | 'discovery';
  readonly url: string;
}

export function placeOf({ keys, issuer }: JwtRule): KeyPlace | undefined {
  switch (keys.kind) {
    case 'uri':
      return { kind: 'uri', url: keys.uri };
    case 'discovery':
      // OpenID Connect Discovery 1.0, 4.
      return { kind: 'discovery', url: `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration` };
    case 'inline':
      return undefined;
  }
}

/** Fetches the keys of a place, or says why it cannot. Never rejects. */
export async function loadKeys(place: KeyPlace, fetching: Fetching, clock: Clock, timeoutMs: number): Promise<KeySet | string> {
  // One for all that has to be asked, so that a slow issuer gets no more time for having two documents.
  const limit = new AbortController();
  const timer = clock.after(timeoutMs, () => limit.abort(new Error(`no whole answer within ${timeoutMs} ms`)));
  try {
    const first = httpUrl(place.url);
    const url = place.kind === 'uri' ? first : await discover(first, fetching, limit.signal);
    return parseKeys(await fetchBytes(url, fetching, limit.signal), 'url');
  } catch (error) {
    return (error as Error).message;
  } finally {
    timer.cancel();
  }
}

async function discover(url: URL, fetching: Fetching, signal: AbortSignal): Promise<URL> {
  const configuration = parseJsonObject(await fetchBytes(url, fetching, signal), { depth: 32, members: 4096 });
  const uri = configuration?.['jwks_uri'];
  if (typeof uri !== 'string') throw new Error('its OpenID configuration is no JSON object with a jwks_uri');
  const keys = httpUrl(uri);
  if (url.protocol === 'https:' && keys.protocol !== 'https:')
    throw new Error('its OpenID configuration came by https and names keys without it');
  return keys;
}

function httpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') throw new Error('keys are fetched by http and https only');
  return url;
}

/** A place as events and messages may show it: without user, password and query, which may be secrets. */
export function publicName({ url: text }: KeyPlace): string {
  if (!URL.canParse(text)) return text;
  const url = new URL(text);
  return `${url.protocol}//${url.host}${url.pathname}`;
}
