import type { IncomingMessage, ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { MeshError } from '@inmesh/core';
import { CONTENT_TYPE } from '@inmesh/telemetry';

// Not imported: an import of node:http reads all its exports, and one of them loads the built-in fetch into the process.
const { createServer } = process.getBuiltinModule('node:http');

/** A request to explain, as `/explain?method=&url=&header=` names it. */
export interface ExplainQuery {
  readonly method: string;
  readonly url: string;
  /** Name and value, in the order given; a name may come twice. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** What the admin port shows. All are asked when a request comes; one that throws costs that request a 500 and nothing else. */
export interface AdminOptions {
  /** Default 127.0.0.1: what it shows is for the operator of this process. */
  readonly host?: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Names this port may be addressed by besides IP addresses and localhost. */
  readonly allowedHosts?: readonly string[];
  /** May answer later. */
  readonly metrics: { text(): string | Promise<string> };
  readonly status: () => unknown;
  readonly snapshot: () => unknown;
  /** Left out: there is no /explain. May answer later. */
  readonly explain?: (query: ExplainQuery) => unknown;
  readonly ready: () => boolean;
}

/** A running admin port. */
export interface Admin {
  readonly port: number;
  readonly url: string;
  /** Ends at once, open connections too. */
  close(): Promise<void>;
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';

/**
 * The admin port of this process: Prometheus text and JSON, read-only. It keeps no process alive and throws nothing into it.
 * Rejects with a MeshError (MISUSE) that names the option if it cannot listen.
 */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const { host = '127.0.0.1', port } = options;
  const pages = pagesOf(options);
  const allowed = new Set((options.allowedHosts ?? []).map((name) => name.toLowerCase()));
  const server = createServer((request, response) => {
    void answer(request, pages, allowed).then((page) => send(response, page));
  });
  // A peer that opens a connection and says nothing must not hold it.
  server.headersTimeout = 5000;
  server.requestTimeout = 10_000;
  server.on('connection', (socket) => socket.unref());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(cannotListen(host, port, cause)));
    server.listen(port, host, resolve);
  });
  server.unref();
  // Anything later (too many open files) is not worth the process.
  server.on('error', () => {});
  const { port: bound } = server.address() as AddressInfo;
  return {
    port: bound,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function cannotListen(host: string, port: number, cause: NodeJS.ErrnoException): MeshError {
  const why =
    cause.code === 'EADDRINUSE' ? `port ${port} of ${host} is in use: set admin.port to another one, or to 0 for any`
    : cause.code === 'EACCES' ? `port ${port} needs privileges: set admin.port to one above 1023`
    : cause.code === 'EADDRNOTAVAIL' || cause.code === 'ENOTFOUND' ? `${host} is no address of this machine: set admin.host to one`
    : cause.message; // prettier-ignore
  return new MeshError('MISUSE', `the admin port cannot be opened: ${why}`, { cause });
}

type Pages = ReadonlyMap<string, { readonly says: string; readonly show: (query: URLSearchParams) => Page | Promise<Page> }>;

function pagesOf({ metrics, status, snapshot, explain, ready }: AdminOptions): Pages {
  const pages = new Map<string, { says: string; show: (query: URLSearchParams) => Page | Promise<Page> }>();
  pages.set('/', {
    says: 'this page',
    show: () => ({
      status: 200,
      type: TEXT,
      body: `inmesh admin\n\n${[...pages].map(([path, { says }]) => `${path.padEnd(10)} ${says}\n`).join('')}`,
    }),
  });
  pages.set('/metrics', { says: 'Prometheus text', show: async () => ({ status: 200, type: CONTENT_TYPE, body: await metrics.text() }) });
  pages.set('/ready', { says: '200 once a policy is in force, else 503', show: () => json(ready() ? 200 : 503, { ready: ready() }) });
  pages.set('/status', { says: 'policy version, clusters and their endpoints, as JSON', show: () => json(200, status()) });
  pages.set('/snapshot', { says: 'what is in force: the traffic model, as JSON', show: () => json(200, snapshot()) });
  if (explain !== undefined) {
    pages.set('/explain', {
      says: 'why a call goes where: ?method=GET&url=http://reviews/7&header=end-user:jason (header may come again)',
      show: async (query) => {
        const asked = readQuery(query);
        return typeof asked === 'string' ? text(400, asked) : json(200, await explain(asked));
      },
    });
  }
  return pages;
}

/** The query, or what is wrong with it. */
function readQuery(query: URLSearchParams): ExplainQuery | string {
  const example = 'for example /explain?url=http://reviews/7&header=end-user:jason';
  const url = query.get('url');
  if (url === null || url === '') return `name the URL to explain: ${example}`;
  if (!URL.canParse(url)) return `"${url}" is not a whole URL: ${example}`;
  const headers: [string, string][] = [];
  for (const header of query.getAll('header')) {
    const colon = header.indexOf(':');
    if (colon <= 0) return `"${header}" is not a header: write name:value, ${example}`;
    headers.push([header.slice(0, colon).trim().toLowerCase(), header.slice(colon + 1).trim()]);
  }
  return { method: (query.get('method') ?? 'GET').toUpperCase(), url, headers };
}

async function answer(request: IncomingMessage, pages: Pages, allowed: ReadonlySet<string>): Promise<Page> {
  const { method, url = '/', headers } = request;
  // A page of any site may point a name of its own at 127.0.0.1 and read what answers there as its own (DNS rebinding).
  if (!mayBeAddressedAs(headers.host, allowed)) {
    return text(403, `host "${headers.host}" is not served here: use an IP address or localhost, or add the name to admin.allowedHosts`);
  }
  if (method !== 'GET') return { ...text(405, `${method} is not served here: everything is read with GET`), headers: { allow: 'GET' } };
  const [path = '/', query = ''] = url.split('?', 2);
  const page = pages.get(path);
  if (page === undefined) return text(404, `${path} is not served here; there are ${[...pages.keys()].join(', ')}`);
  try {
    return await page.show(new URLSearchParams(query));
  } catch (error) {
    return text(500, `${path} failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function mayBeAddressedAs(host: string | undefined, allowed: ReadonlySet<string>): boolean {
  // HTTP/1.0 has none, and no browser speaks it.
  if (host === undefined) return true;
  const name = host.toLowerCase().replace(/:\d*$/, '');
  return name === 'localhost' || isIP(name.replace(/^\[|\]$/g, '')) !== 0 || allowed.has(name);
}

const text = (status: number, sentence: string): Page => ({ status, type: TEXT, body: `${sentence}\n` });

function json(status: number, value: unknown): Page {
  return { status, type: JSON_TYPE, body: `${JSON.stringify(value ?? null, plain, 2)}\n` };
}

/** What JSON has no form for, in one that can be read. */
function plain(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Map) return Object.fromEntries(value) as unknown;
  if (value instanceof Set) return [...(value as Set<unknown>)];
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}

function send(response: ServerResponse, { status, type, body, headers }: Page): void {
  response.on('error', () => {});
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(body);
}
