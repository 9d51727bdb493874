/** Learned state that outlives a snapshot: created by the first that asks for a key, closed when the last lets go. */
export class LeaseBook {
  readonly #entries = new Map<string, { value: object; users: number; close: ((value: object) => void) | undefined }>();

  /** One scope per snapshot: it holds what it asked for until it is released. */
  scope(): LeaseScope {
    return new LeaseScope(this.#entries);
  }

  /** Number of living leases, for status and leak tests. */
  get size(): number {
    return this.#entries.size;
  }

  keys(): string[] {
    return [...this.#entries.keys()].sort();
  }
}

export type Lease = <V extends object>(key: string, create: () => V, close?: (value: V) => void) => V;

type Entries = Map<string, { value: object; users: number; close: ((value: object) => void) | undefined }>;

export class LeaseScope {
  readonly #entries: Entries;
  readonly #held = new Set<string>();
  #released = false;

  constructor(entries: Entries) {
    this.#entries = entries;
  }

  /** A lease whose keys stand under `place`, so that two places never share by accident. */
  at(place: string): Lease {
    return (key, create, close) => this.#take(`${place}/${key}`, create, close);
  }

  /** Lets go of everything. Called once, when the last call of the snapshot has ended. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    for (const key of this.#held) {
      const entry = this.#entries.get(key)!;
      entry.users -= 1;
      if (entry.users > 0) continue;
      this.#entries.delete(key);
      entry.close?.(entry.value);
    }
    this.#held.clear();
  }

  #take<V extends object>(key: string, create: () => V, close?: (value: V) => void): V {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { value: create(), users: 0, close: close as ((value: object) => void) | undefined };
      this.#entries.set(key, entry);
    }
    if (!this.#held.has(key)) {
      this.#held.add(key);
      entry.users += 1;
    }
    return entry.value as V;
  }
}
