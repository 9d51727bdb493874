import type { ServerResponse } from 'node:http';
import type { Clock, Timer } from '@inmesh/core';
import type { Registrations } from './registrations.ts';

/** What a watcher asked for. */
export interface Wanted {
  /** Hosts of services. */
  readonly services: readonly string[];
  /** Which services there are, too. */
  readonly catalog: boolean;
  /** What it was told before; undefined: nothing that counts here. */
  readonly since: number | undefined;
  /** Hosts it wants whole, whatever it was told before. */
  readonly fresh: ReadonlySet<string>;
}

export interface StreamOptions {
  readonly clock: Clock;
  readonly heartbeatMs: number;
}

/** Between two rounds of news on one stream: a hundred machines that start at once are a few events, not a hundred. */
const ROUND_MS = 100;
/** Beats that a reader may leave unread. */
const PATIENCE_BEATS = 3;

/** The catalog, among the names of services: no host has a `*`. */
const CATALOG = '*';

/** The text of each event once for all streams, for as long as it is true. */
export class Frames {
  readonly #registrations: Registrations;
  readonly #frames = new Map<string, { readonly version: number; readonly text: string }>();

  constructor(registrations: Registrations) {
    this.#registrations = registrations;
  }

  of(name: string): string {
    const version = this.versionOf(name);
    // Nobody is registered: nothing to keep for a name that anybody may have made up.
    if (version === undefined) return frame('service', { service: name, version: this.#registrations.index, members: null });
    let known = this.#frames.get(name);
    if (known?.version !== version) this.#frames.set(name, (known = { version, text: this.#text(name) }));
    return known.text;
  }

  /** Index of the latest change; undefined: nobody is registered, and nobody knows since when. */
  versionOf(name: string): number | undefined {
    if (name === CATALOG) return this.#registrations.catalogVersion;
    const version = this.#registrations.service(name)?.version;
    if (version === undefined) this.#frames.delete(name);
    return version;
  }

  #text(name: string): string {
    const { catalog, catalogVersion } = this.#registrations;
    if (name === CATALOG) return frame('catalog', { version: catalogVersion, services: catalog });
    return frame('service', { service: name, ...this.#registrations.service(name)! });
  }
}

const frame = (event: string, data: object, id = ''): string =>
  `event: ${event}\n${id === '' ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;

/**
 * Server-sent events to one watcher: `hello`, then `service` and `catalog` events for what it does not know, then `current`, whose id
 * says up to where it is told; from then on changes, each round closed by a `current`. What changes faster than it reads is told as it is in the end.
 */
export class WatchStream {
  readonly #response: ServerResponse;
  readonly #registrations: Registrations;
  readonly #frames: Frames;
  readonly #names: ReadonlySet<string>;
  readonly #clock: Clock;
  readonly #heartbeatMs: number;
  readonly #due: Set<string>;
  /** What it was told last of each. */
  readonly #told = new Map<string, number | undefined>();
  /** A round has begun that no `current` has closed. */
  #open = true;
  readonly #listening: { close(): void };
  #heartbeat: Timer;
  #round: Timer | undefined;
  #scheduled = false;
  #full = false;
  #unread = 0;
  #closed = false;

  constructor(
    response: ServerResponse,
    wanted: Wanted,
    registrations: Registrations,
    frames: Frames,
    { clock, heartbeatMs }: StreamOptions,
  ) {
    this.#response = response;
    this.#registrations = registrations;
    this.#frames = frames;
    this.#clock = clock;
    this.#heartbeatMs = heartbeatMs;
    this.#names = new Set([...wanted.services, ...(wanted.catalog ? [CATALOG] : [])]);
    this.#due = new Set([...this.#names].filter((name) => this.#isNews(name, wanted)));
    this.#listening = registrations.listen((host) => this.#mark(host));
    this.#heartbeat = this.#beatLater();
    response.on('close', () => this.close());
    response.on('drain', () => {
      this.#full = false;
      this.#unread = 0;
      this.#tell();
    });
    this.#write(frame('hello', { epoch: registrations.epoch, index: registrations.index, heartbeatMs }));
    this.#tell();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listening.close();
    this.#heartbeat.cancel();
    this.#round?.cancel();
    this.#response.end();
  }

  #isNews(name: string, { since, fresh }: Wanted): boolean {
    const version = this.#frames.versionOf(name);
    return since === undefined || version === undefined || version > since || fresh.has(name);
  }

  #mark(host: string): void {
    if (this.#names.has(host)) this.#due.add(host);
    if (this.#names.has(CATALOG)) this.#due.add(CATALOG);
    if (this.#due.size === 0 || this.#scheduled || this.#round !== undefined) return;
    // Not in the middle of the change: it may be one of several.
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#tell();
    });
  }

  /** One round, as far as the reader takes it. */
  #tell(): void {
    if (this.#closed || this.#full || this.#round !== undefined) return;
    for (const name of this.#due) {
      this.#due.delete(name);
      const version = this.#frames.versionOf(name);
      // Changed and changed back to nobody, or a catalog that is the same with one member more.
      if (this.#told.has(name) && this.#told.get(name) === version) continue;
      this.#told.set(name, version);
      this.#open = true;
      if (!this.#write(this.#frames.of(name))) return;
    }
    if (!this.#open) return;
    this.#open = false;
    const { epoch, index } = this.#registrations;
    this.#write(frame('current', { index }, `${epoch}:${index}`));
    this.#round = this.#clock.after(ROUND_MS, () => {
      this.#round = undefined;
      this.#tell();
    });
  }

  #write(text: string): boolean {
    this.#full = !this.#response.write(text);
    return !this.#full;
  }

  #beatLater(): Timer {
    return this.#clock.after(this.#heartbeatMs, () => {
      this.#heartbeat = this.#beatLater();
      if (!this.#full) this.#write(': \n\n');
      // Not one of its own: somebody who reads nothing holds memory for nothing.
      else if ((this.#unread += 1) > PATIENCE_BEATS) this.#response.destroy();
    });
  }
}

/** Everything a stream would tell, at once: for those who poll. */
export function picture(registrations: Registrations, { services, catalog }: Wanted): object {
  const { epoch, index } = registrations;
  return {
    epoch,
    index,
    services: services.map((service) => ({ service, ...(registrations.service(service) ?? { version: index, members: null }) })),
    ...(catalog ? { catalog: { version: registrations.catalogVersion, services: registrations.catalog } } : {}),
  };
}
