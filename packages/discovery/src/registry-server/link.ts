import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import { type Clock, backoffMs, type Timer } from '@inmesh/core';
import { type Catalog, type Hello, readCatalog, readHello, readPicture, readService, type ServiceAnswer } from './answer.ts';
import { eventReader, type ServerEvent } from './events.ts';
import { type Access, ask, keptAgent, readText, reasonOf } from './http.ts';

/** Who hears what the registry says. */
export interface LinkListener {
  /** Before anything else on a connection. */
  meet(epoch: string, index: number): void;
  service(answer: ServiceAnswer): void;
  catalog(services: Catalog): void;
  /** All that was asked for is told, up to this index: the registry works. */
  current(index: number): void;
  failed(reason: string): void;
}

export interface LinkOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** From a request to its first word. */
  readonly patienceMs: number;
  /** Between two polls, where there are no streams. */
  readonly pollMs: number;
  readonly longestWaitMs: number;
}

/** Full jitter: uniform below 1 s, 2 s, 4 s … `longestWaitMs`. Also the first time: who lost a registry lost it together with all others. */
const BASE_MS = 1000;
/** A stream that held this long was one; before that its end counts as a failure, or a registry that dies of its readers would never get up. */
const STEADY_MS = 5000;
/** Silence for so many heartbeats is the end. */
const BEATS = 2.5;
/** Streams that were answered and then stayed mute, until what is between us and the registry is believed to hold them back. */
const MUTE = 2;
/** Then polling does, and streams are tried again after this. */
const STREAMLESS_MS = 300_000;
/** More services asked for within this are one connection anew. */
const GATHER_MS = 20;
const MAX_BYTES = 64 * 2 ** 20;

/** One connection to the registry, for all services a process wants to know of; back again whenever it is lost. */
export class Link {
  readonly #access: Access;
  readonly #options: LinkOptions;
  readonly #listener: LinkListener;
  #services: ReadonlySet<string> = new Set();
  #catalog = false;
  /** What was told whole on a connection up to `#lastId`. */
  #told: ReadonlySet<string> = new Set();
  #lastId = '';
  #request: ClientRequest | undefined;
  #agent: Agent | undefined;
  #etag = '';
  #timer: Timer | undefined;
  #silence: Timer | undefined;
  /** Counts connections, so that a late word of a lost one is not heard. */
  #era = 0;
  #state: 'idle' | 'open' | 'waiting' = 'idle';
  #gathering: Timer | undefined;
  #failures = 0;
  #mute = 0;
  #pollUntil = -Infinity;

  constructor(access: Access, listener: LinkListener, options: LinkOptions) {
    this.#access = access;
    this.#listener = listener;
    this.#options = options;
  }

  /** From now on these. What is wanted no more is left out the next time a connection is made. */
  want(services: ReadonlySet<string>, catalog: boolean): void {
    const more = (catalog && !this.#catalog) || [...services].some((name) => !this.#services.has(name));
    this.#services = services;
    this.#catalog = catalog;
    if (services.size === 0 && !catalog) return this.close();
    // Who was forgotten meanwhile has to be told whole.
    this.#told = new Set([...this.#told].filter((name) => (name === CATALOG ? catalog : services.has(name))));
    if (!more || this.#gathering !== undefined || this.#state === 'waiting') return;
    const ms = this.#state === 'idle' ? 0 : GATHER_MS;
    this.#gathering = this.#options.clock.after(ms, () => {
      this.#gathering = undefined;
      this.#open();
    });
  }

  close(): void {
    this.#end();
    this.#gathering?.cancel();
    this.#gathering = undefined;
    this.#agent?.destroy();
    this.#agent = undefined;
    this.#state = 'idle';
    this.#services = new Set();
    this.#catalog = false;
    this.#told = new Set();
    this.#lastId = this.#etag = '';
    this.#failures = this.#mute = 0;
    this.#pollUntil = -Infinity;
  }

  #end(): void {
    this.#era += 1;
    this.#timer?.cancel();
    this.#silence?.cancel();
    this.#request?.destroy();
    this.#request = undefined;
  }

  #open(): void {
    this.#end();
    this.#state = 'open';
    if (this.#options.clock.now() < this.#pollUntil) this.#poll();
    else this.#stream();
  }

  #path(since: boolean): string {
    const query = new URLSearchParams();
    for (const name of [...this.#services].sort()) query.append('service', name);
    if (this.#catalog) query.set('catalog', 'yes');
    if (since) for (const name of this.#services) if (!this.#told.has(name)) query.append('fresh', name);
    if (since && this.#catalog && !this.#told.has(CATALOG)) query.append('fresh', CATALOG);
    return `v1/watch?${query.toString()}`;
  }

  #stream(): void {
    const { clock, patienceMs } = this.#options;
    const era = this.#era;
    const began = clock.now();
    const wanted = new Set([...this.#services, ...(this.#catalog ? [CATALOG] : [])]);
    let answered = false;
    let hello: Hello | undefined;
    const lose = (reason: string | undefined): void => {
      if (era !== this.#era) return;
      if (hello !== undefined && clock.now() - began >= STEADY_MS) this.#failures = 0;
      this.#lost(reason);
    };
    const listen = (ms: number, reason: string): void => {
      this.#silence?.cancel();
      this.#silence = clock.after(ms, () => lose(reason));
    };
    const hear = ({ event, id, data }: ServerEvent): void => {
      if (era !== this.#era) return;
      const value: unknown = JSON.parse(data);
      if (event === 'hello') {
        hello = readHello(value);
        this.#mute = 0;
        this.#listener.meet(hello.epoch, hello.index);
      } else if (hello === undefined) throw new Error('says something before it says who it is');
      else if (event === 'service') this.#listener.service(readService(value));
      else if (event === 'catalog') this.#listener.catalog(readCatalog(value));
      else if (event === 'current') {
        this.#lastId = id;
        this.#told = wanted;
        this.#listener.current(Number(id.slice(id.lastIndexOf(':') + 1)));
      }
    };

    this.#silence = clock.after(patienceMs, () => {
      if (answered && (this.#mute += 1) >= MUTE) this.#pollUntil = clock.now() + STREAMLESS_MS;
      lose(`no word within ${patienceMs} ms`);
    });
    const headers = { accept: 'text/event-stream', ...(this.#lastId === '' ? {} : { 'last-event-id': this.#lastId }) };
    const request = (this.#request = ask(this.#access, { path: this.#path(this.#lastId !== ''), headers }));
    request.on('error', (error) => lose(`cannot be reached: ${reasonOf(error)}`));
    let begun = false;
    request.on('close', () => {
      // Of one that has begun its answer the answer tells how it ended.
      if (!begun) lose('closed the connection before it answered');
    });
    request.on('response', (response) => {
      begun = true;
      if (response.statusCode !== 200 || !(response.headers['content-type'] ?? '').startsWith('text/event-stream'))
        return void refusal(response).then(lose);
      answered = true;
      const read = eventReader(hear);
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (era !== this.#era) return;
        try {
          read(chunk);
        } catch (error) {
          lose(`is not understood: ${firstLine(error)}`);
        }
        if (hello !== undefined && era === this.#era) {
          const ms = hello.heartbeatMs * BEATS;
          listen(ms, `silent for ${ms} ms`);
        }
      });
      response.on('error', () => {});
      // An end in order is a registry that restarts: no failure yet.
      response.on('close', () => lose(response.complete && hello !== undefined ? undefined : 'cut the stream off'));
    });
  }

  #poll(): void {
    const { clock, random, patienceMs, pollMs } = this.#options;
    const era = this.#era;
    this.#silence = clock.after(patienceMs, () => {
      if (era === this.#era) this.#lost(`no whole answer within ${patienceMs} ms`);
    });
    this.#agent ??= keptAgent(this.#access);
    const path = this.#path(false);
    const headers = { accept: 'application/json', ...(this.#etag === '' ? {} : { 'if-none-match': this.#etag }) };
    const request = (this.#request = ask(this.#access, { path, headers, agent: this.#agent }));
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve);
      request.on('error', (error) => reject(new Error(`cannot be reached: ${reasonOf(error)}`)));
      request.on('close', () => reject(new Error('closed the connection before it answered')));
    });
    const read = async (): Promise<void> => {
      const response = await answer;
      if (response.statusCode !== 200 && response.statusCode !== 304) throw new Error(await refusal(response));
      const body = await readText(response, MAX_BYTES).catch((error: Error) => {
        throw new Error(`cut the answer off: ${error.message}`, { cause: error });
      });
      if (era !== this.#era) return;
      if (response.statusCode === 200) this.#picture(JSON.parse(body));
      this.#etag = response.headers.etag ?? '';
      this.#silence?.cancel();
      this.#failures = 0;
      this.#timer = clock.after(pollMs * (0.8 + 0.4 * random()), () => this.#open());
    };
    read().catch((error: unknown) => {
      if (era === this.#era) this.#lost(firstLine(error));
    });
  }

  #picture(value: unknown): void {
    const { epoch, index, services, catalog } = readPicture(value);
    this.#listener.meet(epoch, index);
    for (const service of services) this.#listener.service(service);
    if (catalog !== undefined) this.#listener.catalog(catalog);
    this.#listener.current(index);
  }

  /** Tells why, if anything is wrong, and comes back after a while. */
  #lost(reason: string | undefined): void {
    this.#end();
    this.#state = 'waiting';
    this.#etag = '';
    const { random, longestWaitMs } = this.#options;
    const wait = backoffMs({ baseMs: BASE_MS, maxMs: longestWaitMs }, this.#failures + 1, random);
    this.#failures += 1;
    this.#timer = this.#options.clock.after(wait, () => this.#open());
    if (reason !== undefined) this.#listener.failed(reason);
  }
}

/** The catalog, among the names of services: no host has a `*`. */
const CATALOG = '*';

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!;

/** Why an answer is none, in its own words if it has some. */
async function refusal(response: IncomingMessage): Promise<string> {
  const body = await readText(response, 4096).catch(() => '');
  const said = /"error": *"((?:[^"\\]|\\.)*)"/.exec(body)?.[1];
  if (response.statusCode === 200) return `answered with ${response.headers['content-type'] ?? 'no type'}, not with events`;
  return `answered ${response.statusCode}${said === undefined ? '' : `: ${said}`}`;
}
