/** An object as it is stored. */
export interface Stored {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    [field: string]: unknown;
  };
  [field: string]: unknown;
}

/** A kind the server has. */
export interface ServedKind {
  /** '' for the core. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

export interface Change {
  readonly revision: number;
  readonly collection: string;
  readonly before: Stored | undefined;
  readonly after: Stored | undefined;
}

/** What a server answers instead: HTTP status, reason, message. */
export class Refusal extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

/** As etcd behind an API server: one counter of revisions for all objects, a history that is compacted, and listeners. */
export class KubeStore {
  readonly #collections = new Map<string, Map<string, Stored>>();
  readonly #listeners = new Set<(change: Change) => void>();
  #history: Change[] = [];
  #revision: number;
  /** Changes up to here are forgotten. */
  #compacted: number;
  #uids = 0;

  constructor(revision = 1000) {
    this.#revision = revision;
    this.#compacted = revision;
  }

  get revision(): number {
    return this.#revision;
  }

  list(collection: string): Stored[] {
    const objects = [...(this.#collections.get(collection)?.values() ?? [])];
    return objects.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }

  get(collection: string, namespace: string, name: string): Stored | undefined {
    return this.#collections.get(collection)?.get(`${namespace}/${name}`);
  }

  /** Creates or replaces; `resourceVersion` in it must be the current one, if it is there. */
  put(collection: string, object: Stored): Stored {
    const key = keyOf(object);
    const objects = this.#collections.get(collection) ?? new Map<string, Stored>();
    this.#collections.set(collection, objects);
    const before = objects.get(key);
    const { resourceVersion } = object.metadata;
    if (before !== undefined && resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion)
      throw new Refusal(409, 'Conflict', `the object has been modified: ${key}`);
    const metadata = {
      ...object.metadata,
      uid: before?.metadata.uid ?? `uid-${(this.#uids += 1)}`,
      creationTimestamp: before?.metadata['creationTimestamp'] ?? new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
      generation: Number(before?.metadata['generation'] ?? 0) + 1,
      resourceVersion: undefined,
    };
    // A write that changes nothing is none, as in etcd behind the API server.
    const same =
      before !== undefined && sameObject({ ...object, metadata: { ...metadata, generation: before.metadata['generation'] } }, before);
    if (same) return before;
    this.#revision += 1;
    const after: Stored = { ...object, metadata: { ...metadata, resourceVersion: String(this.#revision) } };
    objects.set(key, after);
    this.#tell({ revision: this.#revision, collection, before, after });
    return after;
  }

  delete(collection: string, namespace: string, name: string): Stored | undefined {
    const before = this.get(collection, namespace, name);
    if (before === undefined) return undefined;
    this.#collections.get(collection)!.delete(keyOf(before));
    this.#revision += 1;
    this.#tell({ revision: this.#revision, collection, before, after: undefined });
    return before;
  }

  /** Changes after a revision; undefined: they were compacted, or the revision is of another history. */
  since(revision: number): readonly Change[] | undefined {
    if (revision < this.#compacted || revision > this.#revision) return undefined;
    return this.#history.filter((change) => change.revision > revision);
  }

  compact(): void {
    this.#compacted = this.#revision;
    this.#history = [];
  }

  /** As after a restore: the same objects, another history of revisions. */
  renumber(revision: number): void {
    this.#revision = revision;
    for (const objects of this.#collections.values())
      for (const [key, object] of objects) {
        this.#revision += 1;
        objects.set(key, { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#revision) } });
      }
    this.compact();
  }

  /** Everything is gone, and nobody is told. */
  lose(): void {
    this.#collections.clear();
    this.#revision += 1;
    this.compact();
  }

  /** All objects, to put them back. */
  dump(): readonly (readonly [collection: string, objects: readonly Stored[]])[] {
    return [...this.#collections].map(([collection, objects]) => [collection, [...objects.values()]]);
  }

  listen(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(change: Change): void {
    this.#history.push(change);
    for (const listener of this.#listeners) listener(change);
  }
}

export const keyOf = ({ metadata }: Stored): string => `${metadata.namespace ?? ''}/${metadata.name}`;

function sameObject(a: Stored, b: Stored): boolean {
  const plain = (object: Stored): string => canonical({ ...object, metadata: { ...object.metadata, resourceVersion: undefined } });
  return plain(a) === plain(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/** `a=b,c!=d,e in (f,g),h,!i` as label selectors are written. */
export function selects(selector: string, labels: Readonly<Record<string, string>> = {}): boolean {
  const terms = selector.split(/,(?![^(]*\))/).map((term) => term.trim()).filter((term) => term !== ''); // prettier-ignore
  return terms.every((term) => {
    const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(term);
    if (set !== null) {
      const member = set[3]!.split(',').map((value) => value.trim()).includes(labels[set[1]!] ?? '\0'); // prettier-ignore
      return set[2] === 'in' ? member : !member;
    }
    const [, key, operator, value] = /^([^=!]+)(==|=|!=)(.*)$/.exec(term) ?? [];
    if (key === undefined) return term.startsWith('!') ? labels[term.slice(1)] === undefined : labels[term] !== undefined;
    return operator === '!=' ? labels[key] !== value : labels[key] === value;
  });
}

/** RFC 7386. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = { ...(target !== null && typeof target === 'object' && !Array.isArray(target) ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/** RFC 6902, as far as `kubectl patch --type=json` needs it. */
export function jsonPatch(target: Stored, operations: readonly { op: string; path: string; value?: unknown }[]): Stored {
  const copy = structuredClone(target);
  for (const { op, path, value } of operations) {
    const steps = path.split('/').slice(1).map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~')); // prettier-ignore
    const last = steps.pop()!;
    let holder: unknown = copy;
    for (const step of steps) holder = (holder as Record<string, unknown> | undefined)?.[step];
    if (holder === null || typeof holder !== 'object') throw new Refusal(422, 'Invalid', `the path ${path} does not exist`);
    const at = holder as Record<string, unknown>;
    if (op === 'test' && JSON.stringify(at[last]) !== JSON.stringify(value)) throw new Refusal(422, 'Invalid', `testing ${path} failed`);
    if (op === 'remove' && Array.isArray(holder)) holder.splice(Number(last), 1);
    else if (op === 'remove') delete at[last];
    if (op === 'replace' && !(last in at)) throw new Refusal(422, 'Invalid', `replace of ${path}, which does not exist`);
    if (op === 'replace' || (op === 'add' && !Array.isArray(holder))) at[last] = value;
    else if (op === 'add') (holder as unknown[]).splice(last === '-' ? (holder as unknown[]).length : Number(last), 0, value);
  }
  return copy;
}
