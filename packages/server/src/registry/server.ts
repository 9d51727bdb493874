import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, isIP, type Socket } from 'node:net';
import { type Clock, MeshError, systemClock } from '@inmesh/core';
import { accessBy } from './access.ts';
import { memoryDisk, openDisk } from './disk.ts';
import { page } from './page.ts';
import { readRegistration } from './registration.ts';
import { Registrations } from './registrations.ts';
import { Frames, picture, type Wanted, WatchStream } from './stream.ts';

export interface RegistryServerOptions {
  /** Default 8500; 0 picks one. */
  readonly port?: number;
  /** Where to listen. Default 127.0.0.1; anything but loopback needs tokens. */
  readonly host?: string;
  /** Folder in which registrations are kept for the next start. Default: nowhere, so that a restart begins anew. */
  readonly data?: string;
  /** Bearer tokens, one of which every request must show; several while one is replaced. Default: none, on loopback only. */
  readonly tokens?: readonly string[];
  /** PEM. Default: without TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Between signs of life on a stream, milliseconds. Default 10 s; a watcher takes three that are missing for the end. */
  readonly heartbeatMs?: number;
  /** Domain of the services that are registered without a dot. Default cluster.local. */
  readonly domain?: string;
  /** Default 100,000. */
  readonly maxRegistrations?: number;
  readonly clock?: Clock;
}

/** A registry that runs. */
export interface RegistryServer {
  readonly url: string;
  readonly port: number;
  readonly registrations: number;
  /** What is wrong with it at the moment, a sentence; '' = nothing. */
  readonly trouble: () => string;
  /** Ends its streams, whose readers come back to whoever listens then, and keeps what there is to keep. */
  close(): Promise<void>;
}

const MAX_BODY = 64 * 1024;
/** A stream names its services in its URL. */
const MAX_HEADERS = 64 * 1024;
const REQUEST_TIMEOUT_MS = 15_000;
const MAX_REGISTRATIONS = 100_000;

/**
 * The embedded registry: machines register themselves for as long as they renew their lease, and whoever calls them is told of changes.
 * Rejects with MISUSE for options that cannot mean anything, UnreadableError for a folder whose registrations cannot be read, and with what
 * the system has against the port or the folder.
 */
export async function startRegistry(options: RegistryServerOptions = {}): Promise<RegistryServer> {
  const { port = 8500, host = '127.0.0.1', data, tokens = [], tls, heartbeatMs = 10_000, clock = systemClock } = options;
  if (tokens.some((token) => token === '' || /\s/.test(token))) throw new MeshError('MISUSE', 'a token is empty or has a space in it');
  if (tokens.length === 0 && !isLoopback(host))
    throw new MeshError('MISUSE', `the registry would be open to everybody who reaches ${host}: give it a token, or listen on 127.0.0.1`);
  const disk = data === undefined ? memoryDisk() : await openDisk(data);
  const registrations = new Registrations(clock, disk.kept);
  const streams = new Set<WatchStream>();
  const service = new Service(registrations, disk, streams, { ...options, clock, heartbeatMs, tokens });
  const listener: RequestListener = (request, response) => void service.answer(request, response);
  const settings = { maxHeaderSize: MAX_HEADERS, headersTimeout: REQUEST_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS };
  const server: Server = tls === undefined ? createServer(settings, listener) : createTlsServer({ ...settings, ...tls }, listener);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  // Leases that end are changes nobody asked for: they are kept, too.
  const expiring = registrations.listen(() => void disk.save(() => registrations.keep()));
  try {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  } catch (error) {
    registrations.close();
    throw error;
  }
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    port: bound,
    get registrations() {
      return registrations.size;
    },
    trouble: disk.trouble,
    close: async () => {
      expiring.close();
      for (const stream of streams) stream.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const impatience = clock.after(1000, () => sockets.forEach((socket) => socket.destroy()));
      await closed;
      impatience.cancel();
      registrations.close();
      await disk.save(() => registrations.keep());
    },
  };
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));

/** An answer that is not what was asked for. */
class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

type Settled = RegistryServerOptions & { readonly clock: Clock; readonly heartbeatMs: number; readonly tokens: readonly string[] };

class Service {
  readonly #registrations: Registrations;
  readonly #disk: Awaited<ReturnType<typeof openDisk>>;
  readonly #streams: Set<WatchStream>;
  readonly #options: Settled;
  readonly #access: ReturnType<typeof accessBy>;
  readonly #frames: Frames;

  constructor(registrations: Registrations, disk: Awaited<ReturnType<typeof openDisk>>, streams: Set<WatchStream>, options: Settled) {
    this.#registrations = registrations;
    this.#disk = disk;
    this.#streams = streams;
    this.#options = options;
    this.#access = accessBy(options.tokens);
    this.#frames = new Frames(registrations);
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('cache-control', 'no-store');
    response.setHeader('x-content-type-options', 'nosniff');
    try {
      await this.#route(request, response);
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(500, 'a fault of the registry');
      if (response.headersSent) return void response.destroy();
      // What is still to come of a body that is not wanted is not read.
      if (!request.complete) response.setHeader('connection', 'close');
      for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value);
      json(response, refusal.status, { error: refusal.message });
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://registry');
    const [version, noun = '', name, verb, ...rest] = url.pathname.split('/').slice(1).map(decode);
    if (url.pathname === '/healthz') return text(response, 200, 'ok\n');
    const refused = this.#access(request);
    if (refused !== '') {
      const tokens = this.#options.tokens.length > 0;
      throw new Refusal(tokens ? 401 : 403, refused, tokens ? { 'www-authenticate': 'Bearer' } : {});
    }
    if (url.pathname === '/metrics') return this.#byMethod(request, { GET: () => text(response, 200, this.#metrics()) });
    if (version !== 'v1' || rest.length > 0) throw new Refusal(404, 'there is no such path');
    if (noun === 'registrations' && name !== undefined) {
      const id = idOf(name);
      if (verb === 'renew') return this.#byMethod(request, { POST: () => this.#renew(id, response) });
      if (verb === undefined)
        return this.#byMethod(request, {
          GET: () => this.#show(id, response),
          PUT: () => this.#put(id, request, response),
          DELETE: () => this.#remove(id, response),
        });
    } else if (noun === 'services' && verb === undefined)
      return this.#byMethod(request, {
        GET: () => (name === undefined ? this.#list(request, response) : this.#service(name, request, response)),
      });
    else if (noun === 'watch' && name === undefined) return this.#byMethod(request, { GET: () => this.#watch(url, request, response) });
    throw new Refusal(404, 'there is no such path');
  }

  #byMethod(request: IncomingMessage, methods: Readonly<Record<string, () => void | Promise<void>>>): void | Promise<void> {
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
    const act = Object.hasOwn(methods, method) ? methods[method] : undefined;
    if (act === undefined) throw new Refusal(405, `${method} has no meaning here`, { allow: Object.keys(methods).join(', ') });
    return act();
  }

  async #put(id: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { domain = 'cluster.local', maxRegistrations = MAX_REGISTRATIONS } = this.#options;
    const body = await readBody(request);
    const from = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    const read = readRegistration(body, { domain, from });
    if (!read.ok) throw new Refusal(400, read.problems.join('; '));
    if (this.#registrations.get(id) === undefined && this.#registrations.size >= maxRegistrations)
      throw new Refusal(507, `the registry is full: ${maxRegistrations} registrations`);
    const outcome = this.#registrations.put(id, read.registration);
    if (outcome !== 'renewed') await this.#save();
    json(response, outcome === 'created' ? 201 : 200, { id, outcome, index: this.#registrations.index, ...read.registration });
  }

  #renew(id: string, response: ServerResponse): void {
    if (!this.#registrations.renew(id)) throw new Refusal(404, `nobody is registered as "${id}" (any more): register again`);
    response.writeHead(204).end();
  }

  async #remove(id: string, response: ServerResponse): Promise<void> {
    if (!this.#registrations.remove(id)) throw new Refusal(404, `nobody is registered as "${id}" (any more)`);
    await this.#save();
    response.writeHead(204).end();
  }

  #show(id: string, response: ServerResponse): void {
    const registration = this.#registrations.get(id);
    if (registration === undefined) throw new Refusal(404, `nobody is registered as "${id}" (any more)`);
    json(response, 200, { id, ...registration });
  }

  #save(): Promise<void> {
    return this.#disk.save(() => this.#registrations.keep());
  }

  #list(request: IncomingMessage, response: ServerResponse): void {
    if (/\btext\/html\b/.test(request.headers.accept ?? '')) {
      response.setHeader('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
      return text(response, 200, page(this.#registrations), 'text/html; charset=utf-8');
    }
    const { epoch, index, catalog } = this.#registrations;
    const services = catalog.map((entry) => ({ ...entry, ...this.#registrations.service(entry.host)! }));
    cached(request, response, { epoch, index, services });
  }

  #service(name: string, request: IncomingMessage, response: ServerResponse): void {
    const service = this.#registrations.service(name.toLowerCase());
    if (service === undefined) throw new Refusal(404, `nobody is registered for "${name}"`);
    cached(request, response, { service: name.toLowerCase(), ...service });
  }

  #watch({ searchParams }: URL, request: IncomingMessage, response: ServerResponse): void {
    const names = (key: string): string[] => searchParams.getAll(key).map((name) => name.toLowerCase());
    const wanted: Wanted = {
      services: [...new Set(names('service'))],
      catalog: searchParams.has('catalog'),
      since: this.#since(request.headers['last-event-id']),
      fresh: new Set(names('fresh')),
    };
    if (wanted.services.length === 0 && !wanted.catalog) throw new Refusal(400, 'name at least one service: ?service=HOST, or ?catalog');
    // Who wants a stream says so, as browsers do; whoever cannot have one (proxies that hold back what has no end) polls the same.
    if (!(request.headers.accept ?? '').includes('text/event-stream'))
      return cached(request, response, picture(this.#registrations, wanted));
    request.socket.setNoDelay(true);
    request.socket.setTimeout(0);
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
    if (request.method === 'HEAD') return void response.end();
    const stream = new WatchStream(response, wanted, this.#registrations, this.#frames, this.#options);
    this.#streams.add(stream);
    response.on('close', () => this.#streams.delete(stream));
  }

  /** An index of another history says nothing of this one, nor does one of a future that was lost. */
  #since(id: string | string[] | undefined): number | undefined {
    const [epoch, index] = String(id ?? '').split(':');
    if (epoch !== this.#registrations.epoch || !/^\d{1,15}$/.test(index ?? '')) return undefined;
    return Number(index) <= this.#registrations.index ? Number(index) : undefined;
  }

  #metrics(): string {
    const { size, catalog, renewals, expired, index } = this.#registrations;
    const lines: readonly (readonly [name: string, type: string, help: string, value: number])[] = [
      ['inmesh_registry_registrations', 'gauge', 'Registrations whose lease runs.', size],
      ['inmesh_registry_services', 'gauge', 'Services someone is registered for.', catalog.length],
      ['inmesh_registry_streams', 'gauge', 'Watchers on a stream.', this.#streams.size],
      ['inmesh_registry_renewals_total', 'counter', 'Leases renewed since the start.', renewals],
      ['inmesh_registry_expirations_total', 'counter', 'Leases that ended without a word since the start.', expired],
      ['inmesh_registry_index', 'gauge', 'Index of the latest change.', index],
      ['inmesh_registry_unsaved', 'gauge', '1: what changed could not be written to disk.', this.#disk.trouble() === '' ? 0 : 1],
    ];
    return lines.map(([name, type, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`).join('');
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Refusal(400, 'the path is not percent-encoded properly');
  }
}

function idOf(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._~:-]{0,252}$/.test(name)) throw new Refusal(400, 'an ID has letters, digits, and . _ ~ : - inside');
  return name;
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Not destroyed when it is too long: who sent it shall read why.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY) throw new Refusal(413, `a registration has ${MAX_BODY} bytes at most`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    throw new Refusal(400, 'the body is no JSON');
  }
}

function text(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': type }).end(body);
}

const json = (response: ServerResponse, status: number, value: object): void =>
  text(response, status, `${JSON.stringify(value, null, 2)}\n`, 'application/json');

/** Who has it already is told just that. */
function cached(request: IncomingMessage, response: ServerResponse, value: object): void {
  const body = `${JSON.stringify(value, null, 2)}\n`;
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  response.setHeader('etag', etag);
  response.setHeader('cache-control', 'no-cache');
  if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
  else text(response, 200, body, 'application/json');
}
