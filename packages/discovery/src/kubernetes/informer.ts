import { backoffMs, type Clock, type Timer } from '@inmesh/core';
import { type Api, ApiError, METADATA, METADATA_LIST, Unreadable } from './api.ts';

/** An object as the API server tells it; the rest of its fields are its kind's. */
export interface KubeObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/** Which objects are followed. */
export interface Selection {
  /** For messages: `Services of namespace shop`. */
  readonly what: string;
  /** Of the collection: `/api/v1/namespaces/shop/services`. */
  readonly path: string;
  readonly labelSelector?: string;
  /** Metadata is enough. */
  readonly metadataOnly?: boolean;
}

export interface InformerTools {
  readonly api: Api;
  readonly clock: Clock;
  readonly random: () => number;
  /** A watch that said nothing for so long, not even a bookmark, is taken for dead. Default 150 s; servers send a bookmark a minute. */
  readonly silenceMs?: number;
}

/** Full jitter: uniform between 0 and `BASE · 2^failures`, at most `LONGEST`. A whole cluster comes back when its server does. */
const BASE_MS = 1000;
const LONGEST_MS = 30_000;
/** What is forbidden, or not there, will be so for a while. */
const REFUSED_MS = 300_000;
/** A server that asks to be left alone for longer is taken at this. */
const LONGEST_RETRY_AFTER_MS = 300_000;
/** Watches are begun anew by then, each at a time of its own, as client-go does. */
const WATCH_SECONDS = 300;
/** One that lived so long was in order, whatever ended it. */
const SETTLED_MS = 30_000;
const SILENCE_MS = 150_000;
const PAGE = 500;

/** The stream broke; by itself not worth telling: the next attempt begins where it ended. */
class Cut extends Error {}
/** The version is too old: everything has to be listed again. */
class Gone extends Error {}
/** What was there is not there any more, which one answer does not prove. */
class Doubted extends Error {}

/**
 * Keeps a copy of a collection: lists it, then follows its changes. Whatever happens to the server, what was known stays until
 * it says otherwise, and an empty list after a full one is believed when it was said twice.
 */
export class Informer<T> {
  readonly selection: Selection;
  readonly #tools: InformerTools;
  readonly #read: (object: KubeObject) => T;
  readonly #onChange: () => void;
  #items = new Map<string, { readonly object: string; readonly value: T }>();
  /** Opaque. undefined: list first. */
  #version: string | undefined = undefined;
  #listed = false;
  #refused = false;
  #doubted = false;
  /** Pages did not hold: the next list is one answer. */
  #whole = false;
  #failures = 0;
  #trouble = '';
  #closed = false;
  #abort: AbortController | undefined = undefined;
  #timer: Timer | undefined = undefined;
  #silence: Timer | undefined = undefined;

  /** `read` makes what is kept of an object, once for each version of it; `onChange` hears of new contents and of trouble. */
  constructor(selection: Selection, tools: InformerTools, read: (object: KubeObject) => T, onChange: () => void) {
    this.selection = selection;
    this.#tools = tools;
    this.#read = read;
    this.#onChange = onChange;
  }

  /** What is known, complete as of the last list. */
  *values(): Iterable<T> {
    for (const { value } of this.#items.values()) yield value;
  }

  get(namespace: string, name: string): T | undefined {
    return this.#items.get(`${namespace}/${name}`)?.value;
  }

  get size(): number {
    return this.#items.size;
  }

  /** It was listed, or the server said that it will not be (`refused`). */
  get ready(): boolean {
    return this.#listed || this.#refused;
  }

  /** Forbidden, or a kind the cluster does not have. */
  get refused(): boolean {
    return this.#refused;
  }

  /** Why it may be old, a sentence; '' if it is not. */
  get trouble(): string {
    return this.#trouble;
  }

  start(): void {
    void this.#run();
  }

  close(): void {
    this.#closed = true;
    this.#abort?.abort();
    this.#timer?.cancel();
    this.#silence?.cancel();
  }

  async #run(): Promise<void> {
    try {
      if (this.#version === undefined) await this.#list();
      await this.#watch();
      // It ended when it was asked to, at a time no other watch shares.
      if (!this.#closed) void this.#run();
    } catch (error) {
      if (!this.#closed) this.#again(error as Error);
    }
  }

  #again(error: Error): void {
    const { clock, random } = this.#tools;
    let wait = backoffMs({ baseMs: BASE_MS, maxMs: LONGEST_MS }, this.#failures + 1, random);
    this.#failures += 1;
    const { status = 0, retryAfterMs } = error instanceof ApiError ? error : {};
    if (error instanceof Gone || status === 410) {
      // Of a list it is the pages that were too old.
      this.#whole = this.#version === undefined;
      this.#version = undefined;
    } else if (error instanceof Doubted) {
      // Soon, but not at once: what answered may still be starting.
      wait = BASE_MS * (0.5 + random());
      this.#fail('answered with an empty list, which is not believed before it is said again');
    } else if (!(error instanceof Cut)) {
      // What cannot be read may never become readable: all is asked for anew.
      if (error instanceof Unreadable) this.#version = undefined;
      if (status === 403 || status === 404) {
        this.#refused = !this.#listed;
        wait = REFUSED_MS * (0.5 + 0.5 * random());
      }
      if (retryAfterMs !== undefined) wait = Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS) * (1 + 0.5 * random());
      this.#fail(error.message);
    }
    this.#timer = clock.after(wait, () => void this.#run());
  }

  #fail(reason: string): void {
    const trouble = `${this.selection.what}: the API server ${reason}`;
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#onChange();
  }

  async #list(): Promise<void> {
    const { path, labelSelector, metadataOnly } = this.selection;
    const accept = metadataOnly === true ? { accept: METADATA_LIST } : {};
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const items = new Map<string, { readonly object: string; readonly value: T }>();
    let version = '';
    for (let next: string | undefined = ''; next !== undefined;) {
      const query = queryOf({ labelSelector, limit: this.#whole ? undefined : String(PAGE), continue: next === '' ? undefined : next });
      const page = listOf(await this.#tools.api.get(`${path}${query}`, { ...accept, signal }));
      for (const object of page.items) items.set(keyOf(object), this.#entry(object));
      ({ version } = page);
      next = page.next;
    }
    if (this.#closed) throw new Cut();
    if (items.size === 0 && this.#items.size > 0 && !this.#doubted) {
      this.#doubted = true;
      throw new Doubted();
    }
    this.#doubted = false;
    this.#whole = false;
    this.#items = items;
    this.#version = version;
    this.#listed = true;
    this.#refused = false;
    this.#trouble = '';
    this.#onChange();
  }

  async #watch(): Promise<void> {
    const { api, clock, random, silenceMs = SILENCE_MS } = this.#tools;
    const { path, labelSelector, metadataOnly } = this.selection;
    const seconds = Math.floor(WATCH_SECONDS * (1 + random()));
    const query = queryOf({
      watch: '1',
      labelSelector,
      resourceVersion: this.#version,
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(seconds),
    });
    const abort = new AbortController();
    this.#abort = abort;
    const began = clock.now();
    const heard = (): void => {
      this.#silence?.cancel();
      this.#silence = clock.after(silenceMs * (1 + 0.2 * random()), () => abort.abort());
    };
    let open = false;
    try {
      await api.watch(`${path}${query}`, {
        signal: abort.signal,
        ...(metadataOnly === true ? { accept: METADATA } : {}),
        onOpen: () => {
          open = true;
          heard();
          if (this.#trouble === '') return;
          this.#trouble = '';
          this.#onChange();
        },
        onEvents: (events) => {
          if (this.#closed) return;
          heard();
          this.#failures = 0;
          if (this.#apply(events)) this.#onChange();
        },
      });
    } catch (error) {
      // Broken off or silent; nothing is lost.
      if (open && error instanceof ApiError && error.status === 0 && !(error instanceof Unreadable)) throw new Cut();
      throw error;
    } finally {
      this.#silence?.cancel();
      if (open && clock.now() - began >= SETTLED_MS) this.#failures = 0;
    }
    // A server that leaves ends all watches at one moment: only an end at about the time asked for is followed by the next at once.
    if (clock.now() - began < seconds * 900) throw new Cut();
  }

  /** Whether anything but the version changed. */
  #apply(events: readonly unknown[]): boolean {
    let changed = false;
    for (const event of events) {
      const { type, object } = (event ?? {}) as { readonly type?: unknown; readonly object?: unknown };
      if (type === 'ERROR') {
        const { code = 0, message = '' } = (object ?? {}) as { readonly code?: number; readonly message?: string };
        if (code === 410) throw new Gone();
        throw new ApiError(code, `ended the watch: ${message}`);
      }
      if (type !== 'BOOKMARK' && type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED')
        throw new Unreadable(`sent an event of unknown type ${String(type)}`);
      const { metadata } = (object ?? {}) as { readonly metadata?: { readonly resourceVersion?: unknown } };
      if (typeof metadata?.resourceVersion !== 'string') throw new Unreadable(`sent an event of type ${type} without a resourceVersion`);
      if (type !== 'BOOKMARK') {
        const known = objectOf(object);
        if (type === 'DELETED') this.#items.delete(keyOf(known));
        else this.#items.set(keyOf(known), this.#entry(known));
        changed = true;
      }
      this.#version = metadata.resourceVersion;
    }
    return changed;
  }

  #entry(object: KubeObject): { readonly object: string; readonly value: T } {
    const { uid = '', resourceVersion = '' } = object.metadata;
    const version = `${uid}/${resourceVersion}`;
    const known = this.#items.get(keyOf(object));
    return known?.object === version ? known : { object: version, value: this.#read(object) };
  }
}

const keyOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

function queryOf(fields: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]));
  return given.length === 0 ? '' : `?${given.join('&')}`;
}

function objectOf(value: unknown): KubeObject {
  const { metadata } = (value ?? {}) as { readonly metadata?: { readonly name?: unknown } };
  if (typeof metadata?.name !== 'string') throw new Unreadable('sent an object without a name');
  return value as KubeObject;
}

function listOf(value: unknown): { readonly items: readonly KubeObject[]; readonly version: string; readonly next: string | undefined } {
  const { items, metadata } = (value ?? {}) as { readonly items?: unknown; readonly metadata?: Readonly<Record<string, unknown>> };
  const version = metadata?.['resourceVersion'];
  // Go writes an empty list as null.
  if ((!Array.isArray(items) && items !== null) || typeof version !== 'string')
    throw new Unreadable('answered with something else than a list');
  const next = metadata?.['continue'];
  return { items: (items ?? []).map(objectOf), version, next: typeof next === 'string' && next !== '' ? next : undefined };
}
