import { isDeepStrictEqual } from 'node:util';
import type { Clock, Timer } from '@inmesh/core';
import type { Registration } from './registration.ts';
import { type CatalogEntry, catalogEntry } from './catalog.ts';

/** What is kept on disk. Leases are not: they begin anew. */
export interface Kept {
  readonly epoch: string;
  readonly index: number;
  readonly registrations: Readonly<Record<string, Registration>>;
}

/** The members of one service, and the index of its latest change. */
export interface ServiceState {
  readonly version: number;
  readonly members: readonly Listed[];
}

export interface Listed extends Pick<Registration, 'namespace' | 'workload'> {
  readonly id: string;
  readonly member: Registration['member'];
}

interface Entry {
  readonly registration: Registration;
  lease: Timer;
}

/** How often the registry looks whether time passed without it; timers that come later than this say so, too. */
const BEAT_MS = 1000;

interface Service {
  version: number;
  readonly ids: Set<string>;
  entry: CatalogEntry;
}

/**
 * Who is registered, and for how long yet. Every change has an index; `epoch` names the history the indexes count, so that whoever
 * heard of index 7 can tell whether index 9 goes on from there.
 */
export class Registrations {
  readonly epoch: string;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #services = new Map<string, Service>();
  readonly #listeners = new Set<(host: string) => void>();
  #index: number;
  #catalogVersion: number;
  #beat: Timer;
  #beatAt: number;
  /** Leases that ended without a word. */
  expired = 0;
  renewals = 0;

  /** All that was kept gets a whole lease: a registry that was away does not take the silence for an end. */
  constructor(clock: Clock, kept: Kept) {
    this.epoch = kept.epoch;
    this.#clock = clock;
    this.#index = this.#catalogVersion = kept.index;
    for (const [id, registration] of Object.entries(kept.registrations)) this.#add(id, registration, kept.index);
    this.#beatAt = clock.now();
    this.#beat = this.#beatLater();
  }

  get index(): number {
    return this.#index;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Index of the latest change to what `catalog` says. */
  get catalogVersion(): number {
    return this.#catalogVersion;
  }

  /** The services someone is registered for, by host. */
  get catalog(): readonly CatalogEntry[] {
    return [...this.#services.values()].map(({ entry }) => entry).sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  /** undefined: nobody is registered. */
  service(host: string): ServiceState | undefined {
    const service = this.#services.get(host);
    if (service === undefined) return undefined;
    const members = [...service.ids].sort().map((id): Listed => {
      const { namespace, workload, member } = this.#entries.get(id)!.registration;
      return { id, namespace, workload, member };
    });
    return { version: service.version, members };
  }

  get(id: string): Registration | undefined {
    return this.#entries.get(id)?.registration;
  }

  /** Saying the same again is a renewal. */
  put(id: string, registration: Registration): 'created' | 'changed' | 'renewed' {
    const present = this.#entries.get(id);
    if (present !== undefined && isDeepStrictEqual(present.registration, registration)) {
      this.#renew(id, present);
      return 'renewed';
    }
    const version = (this.#index += 1);
    // Of another service now: that one has lost a member.
    if (present !== undefined) this.#drop(id, present, present.registration.service !== registration.service);
    this.#add(id, registration, version);
    this.#changed(registration.service);
    return present === undefined ? 'created' : 'changed';
  }

  /** false: nobody of that name is registered (any more). */
  renew(id: string): boolean {
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.#renew(id, entry);
    return entry !== undefined;
  }

  remove(id: string): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined) return false;
    this.#index += 1;
    this.#drop(id, entry, true);
    return true;
  }

  /** Hears the host of every service whose members changed. */
  listen(listener: (host: string) => void): { close(): void } {
    this.#listeners.add(listener);
    return { close: () => void this.#listeners.delete(listener) };
  }

  keep(): Kept {
    const registrations = Object.fromEntries([...this.#entries].map(([id, { registration }]) => [id, registration]));
    return { epoch: this.epoch, index: this.#index, registrations };
  }

  close(): void {
    this.#beat.cancel();
    for (const { lease } of this.#entries.values()) lease.cancel();
  }

  #add(id: string, registration: Registration, version: number): void {
    this.#entries.set(id, { registration, lease: this.#lease(id, registration) });
    const service = this.#services.get(registration.service);
    if (service === undefined) {
      const ids = new Set([id]);
      this.#services.set(registration.service, { version, ids, entry: catalogEntry(registration.service, [registration]) });
      this.#catalogVersion = this.#index;
      return;
    }
    service.version = version;
    service.ids.add(id);
    this.#describe(registration.service, service);
  }

  #drop(id: string, { registration: { service: host }, lease }: Entry, tell: boolean): void {
    lease.cancel();
    this.#entries.delete(id);
    const service = this.#services.get(host)!;
    service.version = this.#index;
    service.ids.delete(id);
    if (!tell) return;
    if (service.ids.size === 0) {
      this.#services.delete(host);
      this.#catalogVersion = this.#index;
    } else this.#describe(host, service);
    this.#changed(host);
  }

  #describe(host: string, service: Service): void {
    const entry = catalogEntry(
      host,
      [...service.ids].map((id) => this.#entries.get(id)!.registration),
    );
    if (isDeepStrictEqual(entry, service.entry)) return;
    service.entry = entry;
    this.#catalogVersion = this.#index;
  }

  #renew(id: string, entry: Entry): void {
    entry.lease.cancel();
    entry.lease = this.#lease(id, entry.registration);
    this.renewals += 1;
  }

  #lease(id: string, { leaseSeconds }: Registration): Timer {
    const end = this.#clock.now() + leaseSeconds * 1000;
    return this.#clock.after(leaseSeconds * 1000, () => {
      if (this.#clock.now() > end + BEAT_MS) return this.#wake();
      this.expired += 1;
      this.remove(id);
    });
  }

  #beatLater(): Timer {
    return this.#clock.after(BEAT_MS, () => {
      if (this.#clock.now() > this.#beatAt + 2 * BEAT_MS) this.#wake();
      this.#beatAt = this.#clock.now();
      this.#beat = this.#beatLater();
    });
  }

  /** The process slept (it was frozen, or the machine was): nobody could renew, and that nobody did says nothing. */
  #wake(): void {
    this.#beatAt = this.#clock.now();
    for (const [id, entry] of this.#entries) {
      entry.lease.cancel();
      entry.lease = this.#lease(id, entry.registration);
    }
  }

  #changed(host: string): void {
    for (const listener of this.#listeners) listener(host);
  }
}
