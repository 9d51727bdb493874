import type { Clock, Timer } from '@inmesh/core';
import type { KnownMember } from '../members/member-watch.ts';
import type { Catalog, ServiceAnswer } from './answer.ts';

type Members = ReadonlyMap<string, KnownMember>;

/** How long a service is known on for which nobody is registered any more. */
const KEEP_MS = 300_000;

interface Known {
  readonly said: Members | null;
  /** Known to the registry before it lost its memory. */
  readonly before: Members;
  /** It was told since the registry lost its memory. */
  readonly heard: boolean;
}

/**
 * What a registry said, and how far it is to be believed. A registry that goes on from where it was (same epoch, no smaller index) is believed
 * at once. One that lost its memory knows again only who has registered since: for `settleMs` whoever was known before stays beside those,
 * as machines notice at their next renewal that they have to register again.
 */
export class Memory {
  readonly #clock: Clock;
  readonly #settleMs: number;
  readonly #onChange: (host: string) => void;
  readonly #onCatalog: () => void;
  readonly #services = new Map<string, Known>();
  #catalog: Catalog | undefined;
  /** Services nobody is registered for any more, and until when they are known on. */
  readonly #gone = new Map<string, { readonly entry: Catalog[number]; readonly until: number }>();
  #forgetting: Timer | undefined;
  #epoch: string | undefined;
  #index = 0;
  #settling: Timer | undefined;

  constructor(clock: Clock, settleMs: number, onChange: (host: string) => void, onCatalog: () => void) {
    this.#clock = clock;
    this.#settleMs = settleMs;
    this.#onChange = onChange;
    this.#onCatalog = onCatalog;
  }

  /** Who is registered; null: nobody; undefined: not heard yet. */
  members(host: string): readonly KnownMember[] | null | undefined {
    const known = this.#services.get(host);
    if (known === undefined) return undefined;
    if (known.before.size === 0) return known.said === null ? null : [...known.said.values()];
    return [...new Map([...known.before, ...(known.said ?? [])]).values()];
  }

  get catalog(): Catalog | undefined {
    return this.#catalog === undefined ? undefined : [...this.#catalog, ...[...this.#gone.values()].map(({ entry }) => entry)];
  }

  /** It lost its memory, and has not had the time to be told all again. */
  get settling(): boolean {
    return this.#settling !== undefined;
  }

  /** The registry says who it is, before it says anything else. */
  meet(epoch: string, index: number): void {
    const goesOn = this.#epoch === undefined || (epoch === this.#epoch && index >= this.#index);
    this.#epoch = epoch;
    this.#index = index;
    if (!goesOn) this.#settle();
  }

  /** All up to this index was told. */
  reach(index: number): void {
    this.#index = Math.max(this.#index, index);
  }

  hear({ service, members }: ServiceAnswer): void {
    const known = this.#services.get(service);
    // Who registered again and left since did leave.
    const left = [...(known?.said?.keys() ?? [])].filter((id) => members?.has(id) !== true);
    const before = this.settling
      ? new Map([...(known?.before ?? [])].filter(([id]) => !left.includes(id) || !known!.heard))
      : new Map<string, KnownMember>();
    this.#services.set(service, { said: members, before, heard: true });
    this.#onChange(service);
  }

  /** A service whose last member left stays known: a call to it fails as one without endpoints, and does not go past the mesh. */
  hearCatalog(said: Catalog): void {
    const hosts = new Set(said.map(({ host }) => host));
    const until = this.#clock.now() + KEEP_MS;
    for (const entry of this.#catalog ?? []) if (!hosts.has(entry.host)) this.#gone.set(entry.host, { entry, until });
    for (const host of hosts) this.#gone.delete(host);
    this.#catalog = said;
    this.#forgetLater();
    this.#onCatalog();
  }

  forget(host: string): void {
    this.#services.delete(host);
  }

  close(): void {
    this.#settling?.cancel();
    this.#settling = undefined;
    this.#forgetting?.cancel();
    this.#services.clear();
    this.#catalog = undefined;
    this.#gone.clear();
    this.#epoch = undefined;
    this.#index = 0;
  }

  #settle(): void {
    for (const [host, { said, before }] of this.#services)
      this.#services.set(host, { said, before: new Map([...before, ...(said ?? [])]), heard: false });
    this.#settling?.cancel();
    this.#settling = this.#clock.after(this.#settleMs, () => {
      this.#settling = undefined;
      for (const [host, known] of this.#services) {
        this.#services.set(host, { ...known, before: new Map() });
        this.#onChange(host);
      }
    });
  }

  #forgetLater(): void {
    this.#forgetting?.cancel();
    if (this.#gone.size === 0) return;
    const next = Math.min(...[...this.#gone.values()].map(({ until }) => until));
    this.#forgetting = this.#clock.after(next - this.#clock.now(), () => {
      for (const [host, { until }] of this.#gone) if (until <= this.#clock.now()) this.#gone.delete(host);
      this.#forgetLater();
      this.#onCatalog();
    });
  }
}
