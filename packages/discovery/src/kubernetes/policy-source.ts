import { backoffMs, type Timer } from '@inmesh/core';
import { type Closeable, lastGoodFile, type PolicySource, type SourceUpdate } from '@inmesh/policy/source';
import { catalogOf } from './catalog.ts';
import { Feed, sorted } from './feed.ts';
import { Group } from './group.ts';
import type { InformerTools } from './informer.ts';
import type { Collection, Scope } from './scope.ts';

/** Kinds are installed and removed rarely. */
const CATALOG_MS = 300_000;
const BASE_MS = 1000;
const LONGEST_MS = 30_000;

export interface PolicyTools extends InformerTools {
  /** Called when a watch is over. */
  readonly release: () => void;
}

/** The policy as it stands in a cluster: all kinds of ours that the cluster has and that may be read. `open` makes the tools of one watch. */
export function clusterPolicy(name: string, scope: Scope, open: () => PolicyTools, cacheFile?: string): PolicySource {
  return {
    name,
    ...(cacheFile === undefined ? {} : { lastGood: lastGoodFile(cacheFile, name) }),
    watch: (onUpdate) => {
      const policy = new ClusterPolicy(scope, open(), onUpdate);
      policy.start();
      return policy;
    },
  };
}

class ClusterPolicy implements Closeable {
  readonly #scope: Scope;
  readonly #tools: PolicyTools;
  readonly #feed: Feed;
  readonly #groups = new Map<string, Group>();
  /** How often in a row the catalog did not name a kind that is followed. */
  readonly #missed = new Map<string, number>();
  readonly #closing = new AbortController();
  #catalogued = false;
  #complete = false;
  #trouble = '';
  #failures = 0;
  #timer: Timer | undefined;

  constructor(scope: Scope, tools: PolicyTools, onUpdate: (update: SourceUpdate) => void) {
    this.#scope = scope;
    this.#tools = tools;
    this.#feed = new Feed(() => ({ texts: this.#texts(), troubles: this.#troubles() }), onUpdate, tools.clock);
  }

  start(): void {
    void this.#look();
  }

  close(): void {
    this.#closing.abort();
    this.#timer?.cancel();
    this.#feed.close();
    for (const group of this.#groups.values()) group.close();
    this.#tools.release();
  }

  async #look(): Promise<void> {
    const { api, clock, random } = this.#tools;
    let wait: number;
    try {
      const catalog = await catalogOf(api, this.#closing.signal);
      if (this.#closing.signal.aborted) return;
      this.#follow(catalog);
      this.#catalogued = true;
      this.#failures = 0;
      this.#trouble = '';
      wait = CATALOG_MS * (0.8 + 0.4 * random());
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#trouble = `kinds of the cluster: the API server ${(error as Error).message}`;
      wait = backoffMs({ baseMs: BASE_MS, maxMs: LONGEST_MS }, this.#failures + 1, random);
      this.#failures += 1;
    }
    this.#feed.touch();
    this.#timer = clock.after(wait, () => void this.#look());
  }

  #follow(catalog: ReadonlyMap<string, Collection>): void {
    for (const [key, collection] of catalog) {
      this.#missed.delete(key);
      if (this.#groups.has(key)) continue;
      const group = new Group(collection, this.#scope, this.#tools, this.#feed.touch);
      this.#groups.set(key, group);
      group.start();
    }
    for (const [key, group] of this.#groups) {
      if (catalog.has(key)) continue;
      // A server that has just started does not know its own kinds yet.
      const missed = (this.#missed.get(key) ?? 0) + 1;
      this.#missed.set(key, missed);
      if (missed < 2) continue;
      group.close();
      this.#groups.delete(key);
      this.#missed.delete(key);
    }
  }

  #texts() {
    const groups = [...this.#groups.values()];
    // To begin with a part of a policy is none; a kind that comes later holds up nobody.
    this.#complete ||= this.#catalogued && groups.every(({ ready }) => ready);
    if (!this.#complete) return undefined;
    // Nothing may be read: that is not a mesh without a policy.
    if (groups.length > 0 && groups.every(({ refused }) => refused)) return undefined;
    return sorted(groups.flatMap((group) => [...group.values()].flatMap(({ text }) => text ?? [])));
  }

  *#troubles(): Iterable<string> {
    if (this.#trouble !== '') yield this.#trouble;
    for (const group of this.#groups.values()) yield* group.troubles();
  }
}
