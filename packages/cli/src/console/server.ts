import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, isIPv6 } from 'node:net';
import { consolePages, mayBeAddressedAs, send, text } from '@inmesh/admin/console';
import { type Kind, pass } from './upstream.ts';

export interface ConsoleServerOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Admin ports. Read at each question: put another address in the place of one, and that process is asked from then on. */
  readonly admins: readonly URL[];
  readonly prometheus?: URL | undefined;
}

export interface ConsoleServer {
  /** With the token that opens it, once. */
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** What may be asked of a process, and of a Prometheus: nothing else is passed on. */
const PROCESS: Readonly<Record<string, Kind>> = {
  metrics: 'text',
  status: 'json',
  snapshot: 'json',
  explain: 'json',
  slo: 'json',
  tap: 'events',
};
const PROMETHEUS: Readonly<Record<string, Kind>> = { query: 'json', query_range: 'json' };

/**
 * Serves the console to one browser, and passes its questions on to the processes and the Prometheus it was given. Rejects with the
 * error of the system if the address cannot be listened on.
 *
 * Loopback is open to everybody on a machine, and this server reaches what its owner reaches (a port forwarded from a cluster, a Prometheus
 * behind a password): so it wants a token. The token works once, for addresses show up in lists of processes and in histories; the
 * browser that brought it gets a cookie for the rest of its session.
 */
export async function startConsole({ host, port, admins, prometheus }: ConsoleServerOptions): Promise<ConsoleServer> {
  const pages = await consolePages(() => ({
    processes: admins.map((url, at) => ({ name: shown(url), base: `../api/process/${at}/` })),
    prometheus: prometheus === undefined ? null : { name: shown(prometheus), base: '../api/prometheus/' },
  }));
  const token = randomBytes(24).toString('base64url');
  const session = randomBytes(24).toString('base64url');
  const allowed = new Set([host.toLowerCase()]);
  let used = false;
  let cookie = '';
  const server = createServer((request, response) => answer(request, response));

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const { method, url = '/', headers } = request;
    if (!mayBeAddressedAs(headers.host, allowed)) return send(response, text(403, `host "${headers.host}" is not served here: use the address that was printed`));
    if (method !== 'GET') return send(response, { ...text(405, `${method} is not served here: everything is read with GET`), headers: { allow: 'GET' } });
    const [path = '/', query = ''] = url.split('?', 2);
    const known = headers.cookie?.split(/; */).some((one) => same(one, `${cookie}=${session}`)) === true;
    const given = new URLSearchParams(query).get('token');
    if (given !== null && (path === '/console/' || path === '/')) {
      if (!known && (used || !same(given, token))) return send(response, text(401, used ? USED : CLOSED));
      used = true;
      // Away from the address bar at once.
      return send(response, { status: 303, type: 'text/plain', body: '', headers: { location: '/console/', 'set-cookie': `${cookie}=${session}; HttpOnly; SameSite=Strict; Path=/` } });
    }
    if (!known) return send(response, text(401, CLOSED));
    if (path === '/') return send(response, { status: 303, type: 'text/plain', body: '', headers: { location: '/console/' } });
    const page = pages.get(path);
    if (page !== undefined) return send(response, page(headers['if-none-match']));
    const [, process, name = ''] = /^\/api\/process\/(\d{1,4})\/(\w+)$/.exec(path) ?? [];
    const admin = process === undefined ? undefined : admins[Number(process)];
    const ofProcess = PROCESS[name];
    if (admin !== undefined && ofProcess !== undefined) return pass(admin, `${name}?${query}`, ofProcess, response);
    const [, question = ''] = /^\/api\/prometheus\/(\w+)$/.exec(path) ?? [];
    const ofPrometheus = PROMETHEUS[question];
    if (prometheus !== undefined && ofPrometheus !== undefined) return pass(prometheus, `api/v1/${question}?${query}`, ofPrometheus, response);
    send(response, text(404, `${path} is not served here; there is /console/`));
  } // prettier-ignore

  server.headersTimeout = 5000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  // Cookies know no ports: two consoles side by side must not put each other's away.
  cookie = `inmesh-console-${bound}`;
  return {
    url: `http://${isIPv6(host) ? `[${host}]` : host}:${bound}/console/?token=${token}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const CLOSED = 'this console is for whoever started it: open the address that was printed, with its token';
const USED = 'this address has been used: its token works once; start the console again for another one';

/** Without the password that may be in it. */
const shown = ({ protocol, host, pathname }: URL): string => `${protocol}//${host}${pathname.replace(/\/$/, '')}`;

function same(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}
