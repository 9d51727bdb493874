import { EventEmitter } from 'node:events';
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { systemClock } from '@inmesh/core';
import Consul from 'consul';
import type { ConsulSettings } from './settings.ts';

// Taken when this module loads, and not imported, as the HTTP policy source does: what the mesh obeys must not come through itself.
const { Agent: HttpAgent, request: requestHttp } = process.getBuiltinModule('node:http');
const { Agent: HttpsAgent, request: requestHttps } = process.getBuiltinModule('node:https');

/** Questions that are answered at once share a few connections: they never wait for news. */
const PROMPT_CONNECTIONS = 8;
/** No catalog is larger. */
const BIGGEST = 64 * 2 ** 20;
/** From question to last byte, beyond the time Consul was asked to hold it. */
const PATIENCE_MS = 10_000;

/** Why Consul did not answer, in words for people; `status` if it answered with an error. */
export class ConsulError extends Error {
  readonly status: number | undefined;
  constructor(message: string, status?: number, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** From where on news are wanted: the index of the last answer, or for what only the agent knows its hash. */
export interface Since {
  readonly index?: number | undefined;
  readonly hash?: string | undefined;
  readonly waitMs: number;
}

export interface Answer {
  readonly body: unknown;
  /** Position of the answer, undefined where there is none. */
  readonly index: number | undefined;
  readonly hash: string | undefined;
  /** Does whoever answered know a leader? Without one it may be an old answer. */
  readonly leader: boolean;
  /** Were parts left out that the token may not see? (Consul 1.11 and later say it.) */
  readonly filtered: boolean;
}

/** What the library takes beside the question itself; its types do not know blocking queries. */
interface Common {
  readonly ctx: Context;
  readonly index?: string;
  readonly wait?: string;
  readonly dc?: string;
}

interface Context extends EventEmitter {
  readonly includeResponse: true;
  readonly held: boolean;
  readonly awaited: boolean;
  readonly token: string;
}

/** A request on its way through the library. */
interface PapiRequest {
  readonly opts: { readonly query: Record<string, unknown>; readonly headers: Record<string, string> };
  readonly ctx: Context;
  readonly req: RequestOptions;
  transport: { readonly request: (options: RequestOptions) => ClientRequest };
  readonly res: IncomingMessage & { readonly body?: unknown };
  readonly err?: Error & { response?: unknown };
}

type Hook = (request: PapiRequest, next: (stop?: Error | false, error?: Error, value?: unknown) => void) => void;

/** The library as it is. */
interface Library {
  readonly health: { service(options: Common & { readonly service: string }): Promise<unknown> };
  readonly catalog: { readonly service: { list(options: Common): Promise<unknown> } };
  readonly kv: { get(options: Common & { readonly key: string; readonly recurse: boolean }): Promise<unknown> };
  readonly agent: {
    readonly service: { deregister(options: Common & { readonly id: string }): Promise<unknown> };
    readonly check: { pass(options: Common & { readonly id: string }): Promise<unknown> };
  };
  _ext(event: 'onCreate' | 'onRequest', hook: Hook): void;
  _get(request: object, end: Hook): Promise<unknown>;
  _put(request: object, end: Hook): Promise<unknown>;
  destroy(): void;
}

/** For requests the library has no word for: what `includeResponse` makes of those it has. */
const whole: Hook = ({ err, res }, next) => {
  if (err === undefined) next(false, undefined, [res, res.body]);
  else next(false, Object.assign(err, { response: res }));
};

/**
 * Asks Consul, through the `consul` package. What that lacks is put right here: its connections keep no process alive, an answer that is cut off is an
 * error and not silence, and a token may rotate. Rejects with ConsulError.
 */
export class ConsulClient {
  readonly settings: ConsulSettings;
  readonly #library: Library;
  readonly #agents: readonly InstanceType<typeof HttpAgent>[];
  readonly #running = new Set<Context>();
  #closed = false;

  constructor(settings: ConsulSettings) {
    const { url, socketPath, ca, cert, key } = settings;
    this.settings = settings;
    const secure = url.protocol === 'https:';
    const pool = (maxSockets: number) =>
      secure ? new HttpsAgent({ keepAlive: true, maxSockets, ca, cert, key }) : new HttpAgent({ keepAlive: true, maxSockets });
    // Who waits has a seat, or is the registration: what is held is bounded by them.
    const [held, prompt] = [pool(Infinity), pool(PROMPT_CONNECTIONS)];
    this.#agents = [held, prompt];
    const base = `${url.href.replace(/\/+$/, '')}/v1`;
    const options = { baseUrl: base, agent: prompt, ...(socketPath === '' ? {} : { socketPath }) };
    this.#library = new Consul(options) as unknown as Library;
    const request = secure ? requestHttps : requestHttp;
    this.#library._ext('onCreate', ({ opts, ctx }, next) => {
      if (ctx.token !== '') opts.headers['x-consul-token'] = ctx.token;
      if (settings.namespace !== '') opts.query['ns'] = settings.namespace;
      if (settings.partition !== '') opts.query['partition'] = settings.partition;
      next();
    });
    this.#library._ext('onRequest', (asked, next) => {
      const { held: waits, awaited } = asked.ctx;
      asked.req.agent = waits ? held : prompt;
      asked.transport = { request: (wanted) => guarded(request(wanted), awaited) };
      next();
    });
  }

  /** Instances of a service with their checks, healthy or not. */
  health(service: string, datacenter: string, since?: Since): Promise<Answer> {
    return this.#ask((common) => this.#library.health.service({ ...common, ...dc(datacenter), service }), since);
  }

  /** Names of all services with their tags. */
  services(since?: Since): Promise<Answer> {
    return this.#ask((common) => this.#library.catalog.service.list({ ...common, ...dc(this.settings.datacenter) }), since);
  }

  /** All keys under a prefix with their values; a body of undefined: none. */
  keys(prefix: string, since?: Since): Promise<Answer> {
    return this.#ask((common) => this.#library.kv.get({ ...common, ...dc(this.settings.datacenter), key: prefix, recurse: true }), since);
  }

  /** What the agent answers by itself, below `/v1`. It never says that it knows a leader, and needs none. */
  async get(path: string, since?: Since): Promise<Answer> {
    const answer = await this.#ask(({ ctx, index, wait }) => {
      const query = Object.fromEntries(Object.entries({ index, hash: since?.hash, wait }).filter(([, value]) => value !== undefined));
      return this.#library._get({ path, query, ctx }, whole);
    }, since);
    return { ...answer, leader: true };
  }

  /** The library's own word for this drops the weights. */
  async register(service: object): Promise<void> {
    await this.#ask(({ ctx }) => this.#library._put({ path: '/agent/service/register', type: 'json', body: service, ctx }, whole));
  }

  async deregister(id: string): Promise<void> {
    await this.#ask((common) => this.#library.agent.service.deregister({ ...common, id }), undefined, true);
  }

  async pass(check: string): Promise<void> {
    await this.#ask((common) => this.#library.agent.check.pass({ ...common, id: check }));
  }

  close(): void {
    this.#closed = true;
    for (const context of this.#running) context.emit('cancel');
    for (const agent of this.#agents) agent.destroy();
  }

  /** `awaited`: somebody waits for the end of it, so the process lives on until then. */
  async #ask(call: (common: Common) => Promise<unknown>, since?: Since, awaited = false): Promise<Answer> {
    if (this.#closed) throw new ConsulError('closed');
    const held = since?.index !== undefined || since?.hash !== undefined;
    const ctx: Context = Object.assign(new EventEmitter(), { includeResponse: true as const, held, awaited, token: this.#token() });
    // Consul adds up to a sixteenth of its own.
    const patience = PATIENCE_MS + (held ? since.waitMs * (1 + 1 / 16) : 0);
    let late = false;
    const expire = (): void => {
      late = true;
      ctx.emit('cancel');
    };
    const timer = systemClock.after(patience, expire, awaited);
    this.#running.add(ctx);
    try {
      const position = held && since.index !== undefined ? { index: String(since.index) } : {};
      const answer = await call({ ctx, ...position, ...(held ? { wait: `${Math.round(since.waitMs)}ms` } : {}) });
      const [{ headers }, body] = answer as [IncomingMessage, unknown];
      const index = headers['x-consul-index'];
      const hash = headers['x-consul-contenthash'];
      return {
        body,
        index: typeof index === 'string' && /^\d{1,16}$/.test(index) ? Number(index) : undefined,
        hash: typeof hash === 'string' ? hash : undefined,
        leader: headers['x-consul-knownleader'] !== 'false',
        filtered: headers['x-consul-results-filtered-by-acls'] === 'true',
      };
    } catch (cause) {
      throw late ? new ConsulError(`no whole answer within ${Math.round(patience)} ms`) : describe(cause);
    } finally {
      timer.cancel();
      this.#running.delete(ctx);
    }
  }

  #token(): string {
    try {
      return this.settings.token();
    } catch (cause) {
      throw new ConsulError(`has no token to show: ${(cause as Error).message}`, undefined, { cause });
    }
  }
}

const dc = (datacenter: string): { readonly dc?: string } => (datacenter === '' ? {} : { dc: datacenter });

/** The library waits for the end of an answer, and for nothing else: what cannot end well is told to it as an error of the request. */
function guarded(request: ClientRequest, awaited: boolean): ClientRequest {
  const fail = (message: string): void => {
    request.emit('error', new ConsulError(message));
    request.destroy();
  };
  if (!awaited) request.on('socket', (socket) => socket.unref());
  request.on('response', (response) => {
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > BIGGEST) fail(`answered more than ${BIGGEST} bytes`);
    });
    // Without a listener an answer that breaks off would be an uncaught error.
    response.on('error', () => {});
    response.on('close', () => response.complete || fail('the answer was cut off'));
  });
  return request;
}

function describe(cause: unknown): ConsulError {
  if (cause instanceof ConsulError) return cause;
  const { response, message, code } = cause as Error & {
    readonly code?: string;
    readonly response?: { readonly statusCode?: number; readonly body?: unknown };
  };
  const status = response?.statusCode;
  // A connection that breaks in the middle of an answer has a status, too.
  if (status === undefined || code !== undefined)
    return new ConsulError(`cannot be reached: ${message || (code ?? 'unknown error')}`, undefined, { cause });
  // With a good status it is the body that is wrong.
  if (status < 300) return new ConsulError(`answered with what is no JSON: ${message.slice(0, 100)}`, undefined, { cause });
  const { body } = response!;
  const text = (Buffer.isBuffer(body) ? body.toString() : typeof body === 'string' ? body : message)
    .trim()
    .split('\n', 1)[0]!
    .slice(0, 200);
  const hint = status === 403 ? ' (does the token exist, and may it read this?)' : '';
  return new ConsulError(`answered ${status}: ${text.startsWith('<') ? message : text}${hint}`, status, { cause });
}
