import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import { createGunzip } from 'node:zlib';
import { digest, isBlank, versionOf } from './digest.ts';
import { lastGoodFile } from './last-good.ts';
import { type Pace, type PolicySource, type SourceUpdate, systemPace } from './source.ts';

// Nothing here is `fetch`, and `node:http` is not imported: an import reads all its exports, among them WebSocket, which loads
// the built-in fetch and sets the process's global dispatcher. Both `request`s are taken when this module loads: the
// mesh may later take over the process's clients, and what it obeys must not come through itself.
const { Agent: HttpAgent, request: requestHttp } = process.getBuiltinModule('node:http');
const { Agent: HttpsAgent, request: requestHttps } = process.getBuiltinModule('node:https');

/** How an HTTP source asks. */
export interface HttpSourceOptions {
  /** Sent with every request; a function is asked each time, so that tokens can rotate. */
  readonly headers?:
    Readonly<Record<string, string>> | (() => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>);
  /** Between two polls, ±20 %. Default 5 s. */
  readonly intervalMs?: number;
  /** From request to last byte. Default 10 s. */
  readonly timeoutMs?: number;
  /** Of the body, unpacked. Default 64 MiB. */
  readonly maxBytes?: number;
  /** PEM: whom to trust instead of the system's roots, and who we are. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Where the last accepted document is kept for a start without the server. Default: nowhere. */
  readonly cacheFile?: string;
  readonly pace?: Pace;
}

/** Full-jitter exponential backoff: uniform between 0 and `BASE · 2^failures`, at most `LONGEST`. */
const BASE_MS = 500;
const LONGEST_MS = 60_000;
/** A server that asks to be left alone for longer is taken at this. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;
const MAX_REDIRECTS = 3;

/**
 * A document behind a URL, polled by ETag (or Last-Modified): an unchanged one costs the server a 304. Whatever goes wrong (404, an empty
 * body, a login page, a truncated answer) is a failure and never an empty mesh; the next try backs off, or comes when
 * `Retry-After` says.
 */
export function httpSource(url: string | URL, options: HttpSourceOptions = {}): PolicySource {
  const target = new URL(url);
  if (target.protocol !== 'http:' && target.protocol !== 'https:')
    throw new Error(`policy source ${publicName(target)}: only http and https can be polled`);
  const name = publicName(target);
  return {
    name,
    lastGood: options.cacheFile === undefined ? undefined : lastGoodFile(options.cacheFile, name),
    watch: (onUpdate) => {
      const polling = new Polling(target, name, options, onUpdate);
      polling.start();
      return { close: () => polling.close() };
    },
  };
}

/** Without user, password and query values, which may be secrets. */
function publicName(url: URL): string {
  const keys = [...new Set(url.searchParams.keys())];
  return `${url.origin}${url.pathname}${keys.length === 0 ? '' : `?${keys.map((key) => `${key}=…`).join('&')}`}`;
}

/** An answer, read to its end. */
interface Answer {
  readonly status: number;
  readonly message: IncomingMessage;
  readonly text: string;
}

/** A failure with what is known of its cure. */
class Unusable extends Error {
  readonly transient: boolean;
  readonly retryAfterMs: number | undefined;
  constructor(message: string, transient: boolean, retryAfterMs?: number) {
    super(message);
    this.transient = transient;
    this.retryAfterMs = retryAfterMs;
  }
}

class Polling {
  readonly #url: URL;
  readonly #name: string;
  readonly #options: HttpSourceOptions;
  readonly #pace: Pace;
  readonly #onUpdate: (update: SourceUpdate) => void;
  readonly #agent: Agent;
  #closed = false;
  #timer: ReturnType<Pace['after']> | undefined;
  #request: ClientRequest | undefined;
  #failures = 0;
  /** Validators of the last whole document, and what was told of it. */
  #validators: Record<string, string> = {};
  #good: Extract<SourceUpdate, { ok: true }> | undefined;
  #goodDigest = '';
  #reason: string | undefined;

  constructor(url: URL, name: string, options: HttpSourceOptions, onUpdate: (update: SourceUpdate) => void) {
    this.#url = url;
    this.#name = name;
    this.#options = options;
    this.#pace = options.pace ?? systemPace;
    this.#onUpdate = onUpdate;
    const { ca, cert, key } = options;
    // One connection, kept: a TLS handshake per poll and process would be the server's main work.
    this.#agent =
      url.protocol === 'https:'
        ? new HttpsAgent({ keepAlive: true, maxSockets: 1, ca, cert, key })
        : new HttpAgent({ keepAlive: true, maxSockets: 1 });
  }

  start(): void {
    void this.#poll();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#request?.destroy();
    this.#agent.destroy();
  }

  async #poll(): Promise<void> {
    let wait: number;
    try {
      const answer = await this.#ask();
      if (this.#closed) return;
      this.#accept(answer);
      this.#failures = 0;
      wait = (this.#options.intervalMs ?? 5000) * (0.8 + 0.4 * this.#pace.random());
    } catch (error) {
      if (this.#closed) return;
      const { transient, retryAfterMs } = error instanceof Unusable ? error : { transient: true, retryAfterMs: undefined };
      this.#fail(`${this.#name}: ${(error as Error).message}`, transient);
      wait = this.#pace.random() * Math.min(LONGEST_MS, BASE_MS * 2 ** this.#failures);
      this.#failures += 1;
      // A little chance on top, so that a fleet told to come back in 30 s does not come back as one.
      if (retryAfterMs !== undefined) wait = Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS) * (1 + 0.1 * this.#pace.random());
    }
    if (!this.#closed) this.#timer = this.#pace.after(wait, () => void this.#poll());
  }

  #fail(reason: string, transient: boolean): void {
    if (reason === this.#reason) return;
    this.#reason = reason;
    this.#onUpdate({ ok: false, reason, transient });
  }

  #accept({ status, message, text }: Answer): void {
    if (status === 304) {
      if (this.#good === undefined) throw new Unusable('answered 304 to a request without conditions', true);
      // Worth telling only if it was failing meanwhile.
      if (this.#reason !== undefined) this.#onUpdate(this.#good);
      this.#reason = undefined;
      return;
    }
    const texts = [{ file: this.#name, text }];
    if (isBlank(texts)) throw new Unusable('answered with an empty body, which is not taken for an empty mesh', false);
    const { etag, 'last-modified': modified } = message.headers;
    this.#validators = etag !== undefined ? { 'if-none-match': etag } : modified !== undefined ? { 'if-modified-since': modified } : {};
    const sha256 = digest(texts);
    // A restarted server may have new ETags for old content.
    const changed = sha256 !== this.#goodDigest;
    if (changed)
      this.#good = { ok: true, texts, version: etag === undefined ? versionOf(sha256) : etag.replace(/^W\//, '').replaceAll('"', '') };
    this.#goodDigest = sha256;
    if (changed || this.#reason !== undefined) this.#onUpdate(this.#good!);
    this.#reason = undefined;
  }

  async #ask(): Promise<Answer> {
    const { headers = {} } = this.#options;
    const own = typeof headers === 'function' ? await headers() : headers;
    const all = {
      accept: 'application/json, application/yaml;q=0.9, text/yaml;q=0.9, */*;q=0.1',
      'accept-encoding': 'gzip',
      'user-agent': 'inmesh',
      ...own,
      ...this.#validators,
    };
    let url = this.#url;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
      const answer = await this.#exchange(url, all);
      const { location } = answer.message.headers;
      if (answer.status < 300 || answer.status === 304 || location === undefined) return judge(answer);
      const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
      // Our headers hold credentials; another origin must not get them.
      if (next?.origin !== url.origin)
        throw new Unusable(
          `answered ${answer.status} with a redirect to another origin, ${next?.origin ?? location}; name that URL instead`,
          false,
        );
      url = next;
    }
    throw new Unusable(`redirects more than ${MAX_REDIRECTS} times`, false);
  }

  async #exchange(url: URL, headers: Record<string, string>): Promise<Answer> {
    try {
      return await this.#once(url, headers);
    } catch (error) {
      // The server closed an idle connection just as we used it: not its failure, and a GET may be sent twice.
      if (this.#closed || !this.#request?.reusedSocket || (error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
      return this.#once(url, headers);
    }
  }

  #once(url: URL, headers: Record<string, string>): Promise<Answer> {
    const { timeoutMs = 10_000, maxBytes = 64 * 2 ** 20 } = this.#options;
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Error('closed'));
      const request =
        url.protocol === 'https:' ? requestHttps(url, { agent: this.#agent, headers }) : requestHttp(url, { agent: this.#agent, headers });
      this.#request = request;
      const timer = this.#pace.after(timeoutMs, () => fail(new Unusable(`no whole answer within ${timeoutMs} ms`, true)));
      const fail = (error: Error): void => {
        timer.cancel();
        reject(error);
        request.destroy();
      };
      request.on('socket', (socket) => socket.unref());
      request.on('error', (error) => fail(describe(error)));
      let answered = false;
      request.on('close', () => answered || fail(new Unusable('the connection was closed before the answer', true)));
      request.on('response', (message) => {
        answered = true;
        const chunks: Buffer[] = [];
        let bytes = 0;
        const body = message.headers['content-encoding'] === 'gzip' ? message.pipe(createGunzip()) : message;
        body.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          // Counted unpacked: a few kilobytes can pack gigabytes.
          if (bytes > maxBytes) fail(new Unusable(`answered more than the ${maxBytes} bytes a document may have`, false));
          else chunks.push(chunk);
        });
        message.on('error', (error) => fail(describe(error)));
        message.on('aborted', () => fail(new Unusable('the answer was cut off', true)));
        if (body !== message) body.on('error', (error) => fail(new Unusable(`the answer cannot be unpacked: ${error.message}`, true)));
        body.on('end', () => {
          timer.cancel();
          resolve({ status: message.statusCode ?? 0, message, text: Buffer.concat(chunks).toString('utf8') });
        });
      });
      request.end();
    });
  }
}

function describe(error: NodeJS.ErrnoException): Error {
  if (error instanceof Unusable) return error;
  // A refused connection to a name with several addresses is an AggregateError without a message.
  return Object.assign(new Error(`cannot be reached: ${error.message || error.code || 'unknown error'}`, { cause: error }), {
    code: error.code,
  });
}

/** Passes on what can hold a document, refuses the rest with the reason. */
function judge(answer: Answer): Answer {
  const { status, message, text } = answer;
  if (status === 304) return answer;
  if (status !== 200) {
    const hint = status === 404 ? ', which is not taken for an empty mesh' : '';
    const detail = text.trim().slice(0, 200).split('\n', 1)[0]!;
    throw new Unusable(
      `answered ${status}${hint}${detail === '' || detail.startsWith('<') ? '' : `: ${detail}`}`,
      status >= 500 || status === 429 || status === 408,
      retryAfter(message),
    );
  }
  const type = message.headers['content-type']?.split(';', 1)[0]!.trim().toLowerCase();
  if (type !== undefined && /html|^image\/|^multipart\//.test(type))
    throw new Unusable(`answered with ${type}, not with YAML or JSON (a login page?)`, false);
  return answer;
}

/** Seconds or a date; a date is measured against the server's own clock, so ours need not agree. */
function retryAfter({ headers }: IncomingMessage): number | undefined {
  const value = headers['retry-after'];
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const ms = Date.parse(value) - (headers.date === undefined ? Date.now() : Date.parse(headers.date));
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
