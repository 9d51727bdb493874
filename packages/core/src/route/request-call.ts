import type { Call } from '../call.ts';
import { MeshError } from '../errors.ts';

/** A request as a person writes it down: for explain, where nothing is sent. */
export interface RequestDescription {
  /** Default GET. */
  readonly method?: string;
  /** Absolute: `http://reviews:9080/ratings/7?debug=1`. ws and wss mean a WebSocket handshake. */
  readonly url: string;
  /** Names in any case. A `host` header stands for the authority. */
  readonly headers?: readonly (readonly [name: string, value: string])[] | Readonly<Record<string, string>>;
  /** Port addressed, where it is not the URL's. */
  readonly port?: number;
  /** Default: read from URL and content-type. */
  readonly protocol?: Call['protocol'];
  /** On whose behalf the call is made, for consistent hashing by source address. */
  readonly sourceIp?: string;
}

/** The Call a described request would be. Throws MISUSE for a URL that is not an absolute http(s) or ws(s) one. */
export function requestCall(request: RequestDescription): Call {
  const url = URL.canParse(request.url) ? new URL(request.url) : undefined;
  const secure = url !== undefined && SECURE.get(url.protocol);
  if (url === undefined || secure === undefined) {
    throw new MeshError(
      'MISUSE',
      `"${request.url}" is not a URL of http, https, ws or wss; write it whole, as in http://reviews:9080/path`,
    );
  }
  const values = new Map<string, string[]>();
  for (const [name, value] of headerList(request.headers)) {
    const key = name.toLowerCase();
    const list = values.get(key);
    if (list === undefined) values.set(key, [value]);
    else list.push(value);
  }
  const addressed = request.port ?? (url.port === '' ? (secure ? 443 : 80) : Number(url.port));
  const authority = values.get('host')?.[0] ?? url.host;
  values.delete('host');
  const websocket = url.protocol.startsWith('ws');
  const grpc = values.get('content-type')?.[0]?.startsWith('application/grpc') ?? false;
  return {
    protocol: request.protocol ?? (websocket ? 'websocket' : grpc ? 'grpc' : 'http'),
    scheme: secure ? 'https' : 'http',
    authority,
    host: hostOf(authority).toLowerCase(),
    port: addressed,
    method: (request.method ?? 'GET').toUpperCase(),
    path: url.pathname,
    query: url.search.slice(1),
    replayable: true,
    sourceIp: request.sourceIp,
    header: (name) => values.get(name)?.join(','),
    headerValues: (name) => values.get(name) ?? [],
  };
}

/** The headers of a described request as a list, names as written. */
export function headerList(headers: RequestDescription['headers']): readonly (readonly [name: string, value: string])[] {
  if (headers === undefined) return [];
  return isList(headers) ? headers : Object.entries(headers);
}

/** An authority without its port; brackets of an IPv6 address stay. */
export function hostOf(authority: string): string {
  return authority.replace(/:\d*$/, '');
}

const SECURE = new Map([
  ['http:', false],
  ['https:', true],
  ['ws:', false],
  ['wss:', true],
]);

function isList(headers: NonNullable<RequestDescription['headers']>): headers is readonly (readonly [name: string, value: string])[] {
  return Array.isArray(headers);
}
