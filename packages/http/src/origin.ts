/** Where a request is addressed, taken apart once per origin. */
export interface Origin {
  readonly scheme: 'http' | 'https';
  /** Lower-case, without port, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** Host header to send: with the port unless it is the scheme's default. */
  readonly authority: string;
}

/** Bounded: an application that addresses endless hosts must not grow us. */
const KEPT = 1024;
const known = new Map<string, Origin>();
/** The origin asked for last. Clients make a new string for every call: comparing one is cheaper than hashing it. */
let last = { key: '', made: undefined as Origin | undefined };

/** Throws TypeError for what is no http(s) origin. */
export function originOf(origin: string | URL | undefined): Origin {
  const key = typeof origin === 'string' ? origin : (origin?.origin ?? '');
  if (last.made !== undefined && key === last.key) return last.made;
  const made = known.get(key) ?? remember(key);
  last = { key, made };
  return made;
}

function remember(key: string): Origin {
  const url = new URL(key);
  const scheme = schemes[url.protocol];
  if (scheme === undefined) throw new TypeError(`inmesh: "${key}" is no http or https origin`);
  const made: Origin = {
    scheme,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (scheme === 'https' ? 443 : 80) : Number(url.port),
    authority: url.host,
  };
  if (known.size >= KEPT) known.clear();
  known.set(key, made);
  return made;
}

// undici hands WebSockets to dispatchers with http origins, but a caller may use the scheme it knows.
const schemes: Record<string, 'http' | 'https' | undefined> = { 'http:': 'http', 'https:': 'https', 'ws:': 'http', 'wss:': 'https' };
