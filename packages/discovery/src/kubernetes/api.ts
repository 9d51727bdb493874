import type { Clock, Timer } from '@inmesh/core';
import type { Agent, IncomingMessage } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import { createGunzip } from 'node:zlib';
import type { Access, Credentials } from './access.ts';

// As the HTTP policy source: no fetch and no import of node:http, and both `request`s are taken when this loads, since what
// the mesh obeys must not come through the mesh.
const { Agent: HttpAgent, request: requestHttp } = process.getBuiltinModule('node:http');
const { Agent: HttpsAgent, request: requestHttps } = process.getBuiltinModule('node:https');

/** Names and labels are all that is wanted: the server leaves the rest of the objects out. */
export const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json';
export const METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json';

export interface AskOptions {
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

export interface WatchOptions extends AskOptions {
  /** The server has answered and will tell changes. */
  readonly onOpen?: () => void;
  /** The events of what came at once. What it throws ends the stream. */
  readonly onEvents: (events: readonly unknown[]) => void;
}

/** What informers ask. */
export interface Api {
  /** Rejects with ApiError. */
  get(path: string, options?: AskOptions): Promise<unknown>;
  /** Resolves when the server has ended the stream; rejects with ApiError if it broke. */
  watch(path: string, options: WatchOptions): Promise<void>;
}

/** What an API server answered instead, or why it could not be asked. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** HTTP status; 0: no answer. */
  readonly status: number;
  /** When to come back, if it said so. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, message: string, options: { readonly retryAfterMs?: number | undefined; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.status = status;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** It answered with what nobody can read. */
export class Unreadable extends ApiError {
  constructor(message: string, cause?: unknown) {
    super(0, message, { cause });
  }
}

/** Objects in Kubernetes are at most some 1.5 MiB, pages of 500 of them rarely more than a few. */
const LARGEST_EVENT = 16 * 2 ** 20;
const LARGEST_PAGE = 256 * 2 ** 20;
/** An answer has begun by then, and goes on. */
const TIMEOUT_MS = 10_000;

/** Plain requests to an API server on connections of their own, none of which keeps the process alive. */
export class KubeApi implements Api {
  readonly #access: Access;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #closing = new AbortController();
  readonly #agents = new Set<Agent>();
  #agent: { readonly key: string; readonly agent: Agent } | undefined;

  constructor(access: Access, clock: Clock, timeoutMs = TIMEOUT_MS) {
    this.#access = access;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  get namespace(): string {
    return this.#access.namespace;
  }

  /** For people. */
  get name(): string {
    return `kubernetes ${this.#access.server.origin}`;
  }

  close(): void {
    this.#closing.abort();
    for (const agent of this.#agents) agent.destroy();
  }

  async get(path: string, options: AskOptions = {}): Promise<unknown> {
    const message = await this.#send(path, { ...options, gzip: true });
    const text = await this.#body(message);
    if (message.statusCode !== 200) throw refusal(message, text);
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw new Unreadable(`answered what is not JSON: ${clip(text)}`, error);
    }
  }

  async watch(path: string, { onOpen, onEvents, ...options }: WatchOptions): Promise<void> {
    const message = await this.#send(path, { ...options, gzip: false });
    if (message.statusCode !== 200) throw refusal(message, await this.#body(message));
    onOpen?.();
    const decoder = new StringDecoder('utf8');
    // The event under way, in the pieces it came in: a large one is not searched for its end again and again.
    let pieces: string[] = [];
    let length = 0;
    await new Promise<void>((resolve, reject) => {
      const fail = (error: Error): void => {
        message.destroy();
        reject(error);
      };
      message.on('data', (chunk: Buffer) => {
        const text = decoder.write(chunk);
        const end = text.lastIndexOf('\n');
        const whole = end < 0 ? '' : pieces.join('') + text.slice(0, end);
        if (end >= 0) pieces = [];
        pieces.push(text.slice(end + 1));
        length = (end < 0 ? length : 0) + text.length - end - 1;
        try {
          if (length > LARGEST_EVENT) throw new Unreadable(`sent an event of more than ${LARGEST_EVENT} characters`);
          const lines = whole.split('\n').filter((line) => line.trim() !== '');
          const events = lines.map(readEvent);
          if (events.length > 0) onEvents(events);
        } catch (error) {
          fail(error as Error);
        }
      });
      // What is left in `pieces` then is half an event; the next watch begins before it.
      message.on('end', resolve);
      message.on('error', (error) => reject(describe(error)));
      message.on('close', () => reject(new ApiError(0, 'the connection was cut')));
    });
  }

  async #send(path: string, options: AskOptions & { readonly gzip: boolean }): Promise<IncomingMessage> {
    const credentials = await this.#access.credentials().catch((error: Error) => {
      throw new ApiError(0, `has no credentials: ${error.message}`, { cause: error });
    });
    if (this.#closing.signal.aborted || options.signal?.aborted === true) throw new ApiError(0, 'closed');
    try {
      return await this.#once(path, credentials, options);
    } catch (error) {
      // The server closed an idle connection just as it was used: not its failure.
      if (!(error instanceof StaleConnection)) throw error;
      return this.#once(path, credentials, options);
    }
  }

  #once(path: string, { headers, tls }: Credentials, options: AskOptions & { readonly gzip: boolean }): Promise<IncomingMessage> {
    const { server } = this.#access;
    const url = new URL(server.pathname.replace(/\/$/, '') + path, server);
    const { accept = 'application/json', signal, gzip } = options;
    return new Promise((resolve, reject) => {
      const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
        agent: this.#agentFor(tls),
        headers: { accept, 'accept-encoding': gzip ? 'gzip' : 'identity', 'user-agent': 'inmesh', ...headers },
        ...(signal === undefined ? {} : { signal }),
      });
      const timer = this.#clock.after(this.#timeoutMs, () => {
        request.destroy(new ApiError(0, `did not answer within ${this.#timeoutMs} ms`));
      });
      request.on('socket', (socket) => {
        socket.unref();
        // A peer that vanished without a word is noticed by the kernel.
        socket.setKeepAlive(true, 15_000);
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        timer.cancel();
        const stale = request.reusedSocket && error.code === 'ECONNRESET' && !this.#closing.signal.aborted;
        reject(stale ? new StaleConnection(0, describe(error).message, { cause: error }) : describe(error));
      });
      request.on('response', (message) => {
        timer.cancel();
        resolve(message);
      });
      request.end();
    });
  }

  /** Reads to the end; fails when nothing comes for a while. */
  #body(message: IncomingMessage): Promise<string> {
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined;
      const fail = (error: Error): void => {
        timer?.cancel();
        reject(error);
        message.destroy();
      };
      const wait = (): void => {
        timer?.cancel();
        timer = this.#clock.after(this.#timeoutMs, () =>
          fail(new ApiError(0, `stopped in the middle of an answer for ${this.#timeoutMs} ms`)),
        );
      };
      const chunks: Buffer[] = [];
      let bytes = 0;
      const body = message.headers['content-encoding'] === 'gzip' ? message.pipe(createGunzip()) : message;
      wait();
      body.on('data', (chunk: Buffer) => {
        wait();
        bytes += chunk.length;
        if (bytes > LARGEST_PAGE) fail(new ApiError(0, `answered more than ${LARGEST_PAGE} bytes`));
        else chunks.push(chunk);
      });
      message.on('error', (error) => fail(describe(error)));
      message.on('aborted', () => fail(new ApiError(0, 'the answer was cut off')));
      if (body !== message) body.on('error', (error) => fail(new ApiError(0, `the answer cannot be unpacked: ${error.message}`)));
      body.on('end', () => {
        timer?.cancel();
        resolve(Buffer.concat(chunks).toString('utf8'));
      });
    });
  }

  #agentFor(tls: Credentials['tls']): Agent {
    const key = JSON.stringify(tls);
    if (this.#agent?.key === key) return this.#agent.agent;
    // Streams of the old one go on to their end, but its connections are not used again.
    if (this.#agent !== undefined) this.#agent.agent.maxFreeSockets = 0;
    const agent =
      this.#access.server.protocol === 'https:' ? new HttpsAgent({ keepAlive: true, ...tls }) : new HttpAgent({ keepAlive: true });
    this.#agent = { key, agent };
    this.#agents.add(agent);
    return agent;
  }
}

/** Of an idle connection: the next attempt makes a new one. */
class StaleConnection extends ApiError {}

function describe(error: NodeJS.ErrnoException): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, `cannot be reached: ${error.message || error.code || 'unknown error'}`, { cause: error });
}

const clip = (text: string): string => {
  const line = text.trim().split('\n', 1)[0]!;
  return line.length > 120 ? `${line.slice(0, 119)}…` : line;
};

/** What an API server says with an error is a Status with a message for people. */
function refusal({ statusCode = 0, headers }: IncomingMessage, text: string): ApiError {
  let said = '';
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === 'string') said = message;
  } catch {
    said = text.trim().startsWith('<') ? '' : text;
  }
  const seconds = /^\d+$/.test(headers['retry-after'] ?? '') ? Number(headers['retry-after']) : undefined;
  return new ApiError(statusCode, `answered ${statusCode}${said.trim() === '' ? '' : `: ${clip(said)}`}`, {
    retryAfterMs: seconds === undefined ? undefined : seconds * 1000,
  });
}

function readEvent(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (error) {
    throw new Unreadable(`sent an event that is not JSON: ${clip(line)}`, error);
  }
}
