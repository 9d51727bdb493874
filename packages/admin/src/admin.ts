import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MeshError } from '@inmesh/core';
import { CONTENT_TYPE } from '@inmesh/telemetry';
import { mayBeAddressedAs } from './addressed.ts';
import { json, type Page, send, text } from './page.ts';
import { redacted } from './redact.ts';
import { type OpenTap, Tap, TAP_FILTERS } from './tap.ts';

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
  /** Left out: there is no /tap. Opened once for each reader. */
  readonly tap?: OpenTap;
  /** How fast the budgets of objectives burn. Left out: there is no /slo. */
  readonly slo?: () => unknown;
  /** Serves the console, a page for people, at /console/. Default: off. */
  readonly console?: boolean;
}

/** A running admin port. */
export interface Admin {
  readonly port: number;
  readonly url: string;
  /** Ends at once, open connections too. */
  close(): Promise<void>;
}

/**
 * The admin port of this process: Prometheus text and JSON, read-only. It keeps no process alive and throws nothing into it.
 * Rejects with a MeshError (MISUSE) that names the option if it cannot listen.
 */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const { host = '127.0.0.1', port } = options;
  const tap = options.tap === undefined ? undefined : new Tap(options.tap);
  const pages = pagesOf(options, tap);
  if (options.console === true) await addConsole(pages);
  const allowed = new Set((options.allowedHosts ?? []).map((name) => name.toLowerCase()));
  const server = createServer((request, response) => {
    void answer(request, response, pages, allowed).then((page) => {
      if (page !== undefined) send(response, page);
    });
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
        tap?.close();
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

interface Served {
  /** For the index; '' is not listed. */
  readonly says: string;
  /** Answers with a page, or by itself. */
  readonly show: (query: URLSearchParams, request: IncomingMessage, response: ServerResponse) => Page | undefined | Promise<Page>;
}

type Pages = Map<string, Served>;

function pagesOf({ metrics, status, snapshot, explain, ready, slo }: AdminOptions, tap: Tap | undefined): Pages {
  const pages: Pages = new Map();
  pages.set('/', {
    says: 'this page',
    show: () => text(200, `inmesh admin\n\n${listed(pages).map((path) => `${path.padEnd(10)} ${pages.get(path)!.says}`).join('\n')}`),
  }); // prettier-ignore
  pages.set('/metrics', { says: 'Prometheus text', show: async () => ({ status: 200, type: CONTENT_TYPE, body: await metrics.text() }) });
  pages.set('/ready', { says: '200 once a policy is in force, else 503', show: () => json(ready() ? 200 : 503, { ready: ready() }) });
  pages.set('/status', { says: 'policy version, clusters and their endpoints, as JSON', show: () => json(200, redacted(status())) });
  pages.set('/snapshot', {
    says: 'what is in force: the traffic model, as JSON without secrets',
    show: () => json(200, redacted(snapshot())),
  });
  if (explain !== undefined) {
    pages.set('/explain', {
      says: 'why a call goes where: ?method=GET&url=http://reviews/7&header=end-user:jason (header may come again)',
      show: async (query) => {
        const asked = readQuery(query);
        return typeof asked === 'string' ? text(400, asked) : json(200, redacted(await explain(asked)));
      },
    });
  }
  if (slo !== undefined) pages.set('/slo', { says: 'objectives and how fast their budgets burn, as JSON', show: () => json(200, slo()) });
  if (tap !== undefined) {
    pages.set('/tap', {
      says: `calls as they end, as server-sent events; ${TAP_FILTERS}`,
      show: (query, request, response) => tap.answer(query, request, response),
    });
  }
  return pages;
}

const listed = (pages: Pages): readonly string[] => [...pages].filter(([, { says }]) => says !== '').map(([path]) => path);

/** Loaded only when asked for: most processes never show it. */
async function addConsole(pages: Pages): Promise<void> {
  const { consolePages } = await import('./console-pages.ts');
  const sources = { processes: [{ name: 'this process', base: '../', pages: listed(pages) }], prometheus: null };
  for (const [path, page] of await consolePages(() => sources)) {
    pages.set(path, {
      says: path === '/console/' ? 'all of this for people' : '',
      show: (_, { headers }) => page(headers['if-none-match']),
    });
  }
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

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  pages: Pages,
  allowed: ReadonlySet<string>,
): Promise<Page | undefined> {
  const { method, url = '/', headers } = request;
  if (!mayBeAddressedAs(headers.host, allowed)) {
    return text(403, `host "${headers.host}" is not served here: use an IP address or localhost, or add the name to admin.allowedHosts`);
  }
  if (method !== 'GET') return { ...text(405, `${method} is not served here: everything is read with GET`), headers: { allow: 'GET' } };
  // A query may hold question marks: that of the URL to explain.
  const mark = url.indexOf('?');
  const [path, query] = mark < 0 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
  const page = pages.get(path);
  if (page === undefined) return text(404, `${path} is not served here; there are ${listed(pages).join(', ')}`);
  try {
    return await page.show(new URLSearchParams(query), request, response);
  } catch (error) {
    return text(500, `${path} failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}
