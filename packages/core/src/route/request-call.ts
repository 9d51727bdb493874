import type { Call } from '../call.ts';
import { MeshError } from '../errors.ts';

/** A request as a person writes it down: for explain, where nothing is sent. */
export interface RequestDescription {
  /** Default GET; of gRPC, POST. */
  readonly method?: string;
  /**
   * Absolute: `http://reviews:9080/ratings/7?debug=1`. ws and wss mean a WebSocket handshake. A call of gRPC is
   * `grpc://ratings/shop.Ratings/Get`, or the target of its client and the method: `mesh:///ratings/shop.Ratings/Get`.
   */
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

/**
 * The Call a described request would be. `grpcPort`: the port of a host that gRPC calls by its name alone. Throws MISUSE for a URL that is
 * not an absolute one of http(s), ws(s) or gRPC.
 */
export function requestCall(request: RequestDescription, grpcPort: (host: string) => number = () => 80): Call {
  const values = valuesOf(request.headers);
  const called = grpcTarget(request);
  const { authority: written, path, query, scheme, ...meant } = called ?? urlParts(request.url);
  const authority = values.get('host')?.[0] ?? written;
  values.delete('host');
  if (called !== undefined) for (const [name, value] of GRPC_HEADERS) if (!values.has(name)) values.set(name, [value]);
  const host = hostOf(authority).toLowerCase();
  const isGrpc = called !== undefined || (values.get('content-type')?.[0]?.startsWith('application/grpc') ?? false);
  return {
    protocol: request.protocol ?? (meant.websocket ? 'websocket' : isGrpc ? 'grpc' : 'http'),
    scheme,
    authority,
    host,
    port: request.port ?? meant.port ?? grpcPort(host),
    method: called === undefined ? (request.method ?? 'GET').toUpperCase() : 'POST',
    path,
    query,
    replayable: true,
    sourceIp: request.sourceIp,
    header: (name) => values.get(name)?.join(','),
    headerValues: (name) => values.get(name) ?? [],
  };
}

interface Parts {
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** undefined: none is written, and the scheme has none of its own. */
  readonly port: number | undefined;
  readonly path: string;
  readonly query: string;
  readonly websocket: boolean;
}

function urlParts(text: string): Parts {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const secure = url !== undefined && SECURE.get(url.protocol);
  if (url === undefined || secure === undefined) {
    throw new MeshError(
      'MISUSE',
      `"${text}" is not a URL of http, https, ws, wss or grpc; write it whole, as in http://reviews:9080/path or grpc://ratings/shop.Ratings/Get`,
    );
  }
  return {
    scheme: secure ? 'https' : 'http',
    authority: url.host,
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    path: url.pathname,
    query: url.search.slice(1),
    websocket: url.protocol.startsWith('ws'),
  };
}

const GRPC_URL = /^(?:grpc:\/\/|mesh:(?:\/\/\/?)?)((?:\[[0-9a-f:.]+\]|[^:/?#@\s]+)(?::(\d{1,5}))?)(\/[^/?#\s]+\/[^/?#\s]+)$/i;

/** What clients of gRPC send with every call. */
export const GRPC_HEADERS: readonly (readonly [name: string, value: string])[] = [
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
];

/** The parts of a URL of gRPC; undefined if it is of something else. Throws MISUSE if it names no method, or comes with one of HTTP. */
export function grpcTarget({ url = '', method = 'POST' }: Pick<Partial<RequestDescription>, 'url' | 'method'>): Parts | undefined {
  if (!/^(?:grpc|mesh):/i.test(url)) return undefined;
  const [, authority, port, path] = GRPC_URL.exec(url) ?? [];
  if (authority === undefined || path === undefined || !URL.canParse(`http://${authority}`))
    throw new MeshError(
      'MISUSE',
      `"${url}" names no method of a service; write grpc://SERVICE/package.Service/Method, with a port or without`,
    );
  if (method.toUpperCase() !== 'POST')
    throw new MeshError('MISUSE', `every call of gRPC is a POST, and "${url}" is asked for with ${method}`);
  return { scheme: 'http', authority, port: port === undefined ? undefined : Number(port), path, query: '', websocket: false };
}

function valuesOf(headers: RequestDescription['headers']): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const [name, value] of headerList(headers)) {
    const key = name.toLowerCase();
    const list = values.get(key);
    if (list === undefined) values.set(key, [value]);
    else list.push(value);
  }
  return values;
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
