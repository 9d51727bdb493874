import { type FSWatcher, watch } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { digest, isBlank, versionOf } from './digest.ts';
import { list, type Listing, matters, readTexts, type WatchedFolder } from './files.ts';
import { type Pace, type PolicySource, type SourceUpdate, systemPace } from './source.ts';

/** How a file source watches. */
export interface FileSourceOptions {
  readonly pace?: Pace;
  /** A change is read once nothing moved for this long. Default 100 ms. */
  readonly quietMs?: number;
  /** … but at the latest after this long; a file may also be missing for this long before it counts. Default 2 s. */
  readonly longestMs?: number;
  /** The safety net under fs.watch, which network mounts and spent inotify limits leave silent. Default 5 s. */
  readonly pollMs?: number;
  /** Default 64 MiB. */
  readonly maxBytes?: number;
}

/** Between reading and the second look at what was read. */
const SETTLE_MS = 20;

/** Stamp of a path that cannot be listed. */
const UNREADABLE = 'unreadable';

/**
 * A file or a folder of them, read again whenever it changes. Atomic renames, symlink swaps (mounted ConfigMaps, releases)
 * and editors that remove and write anew are one change each; a file that is gone for a moment is no change at all.
 */
export function fileSource(spec: string | URL, options: FileSourceOptions = {}): PolicySource {
  const path = toPath(spec);
  const { pace = systemPace, quietMs = 100, longestMs = 2000, pollMs = 5000, maxBytes = 64 * 2 ** 20 } = options;
  return {
    name: path,
    watch: (onUpdate) => {
      const watching = new Watching(path, { pace, quietMs, longestMs, pollMs, maxBytes }, onUpdate);
      watching.start();
      return { close: () => watching.close() };
    },
  };
}

/** `file:///abs`, `file:relative` (which URL itself would make absolute), a URL object or a plain path. */
function toPath(spec: string | URL): string {
  if (typeof spec !== 'string' || spec.startsWith('file://')) return fileURLToPath(spec);
  return spec.startsWith('file:') ? spec.slice('file:'.length) : spec;
}

type Timer = ReturnType<Pace['after']>;

class Watching {
  readonly #path: string;
  readonly #options: Required<FileSourceOptions>;
  readonly #onUpdate: (update: SourceUpdate) => void;
  readonly #watchers = new Map<string, FSWatcher>();
  #closed = false;
  #looking = false;
  /** Something moved while we were looking. */
  #again = false;
  #quiet: Timer | undefined;
  #longest: Timer | undefined;
  #poll: Timer | undefined;
  /** Runs while the path is unreadable but may be back in a moment. */
  #grace: Timer | undefined;
  #graceOver = false;
  /** Stamp of the last look, for the poll. */
  #seen = '';
  /** What was told last. */
  #told: SourceUpdate | undefined;

  constructor(path: string, options: Required<FileSourceOptions>, onUpdate: (update: SourceUpdate) => void) {
    this.#path = path;
    this.#options = options;
    this.#onUpdate = onUpdate;
  }

  start(): void {
    void this.#look();
    this.#armPoll();
  }

  close(): void {
    this.#closed = true;
    for (const timer of [this.#quiet, this.#longest, this.#poll, this.#grace]) timer?.cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Something moved: look once it is quiet. */
  #touch(): void {
    if (this.#closed) return;
    const { pace, quietMs, longestMs } = this.#options;
    this.#quiet?.cancel();
    this.#quiet = pace.after(quietMs, () => void this.#look());
    this.#longest ??= pace.after(longestMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    this.#quiet?.cancel();
    this.#longest?.cancel();
    this.#quiet = this.#longest = undefined;
    if (this.#closed) return;
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    this.#again = false;
    const update = await this.#read();
    this.#looking = false;
    if (this.#closed) return;
    this.#judge(update);
    if (this.#again) this.#touch();
  }

  async #read(): Promise<SourceUpdate> {
    const { maxBytes, pace } = this.#options;
    const failed = (reason: string): SourceUpdate => ({ ok: false, reason, transient: false });
    try {
      const settled = (): Promise<void> => new Promise((resolve) => pace.after(SETTLE_MS, resolve));
      const { texts, listing } = await readTexts(this.#path, maxBytes, settled);
      this.#seen = listing.stamp;
      this.#follow(listing);
      if (isBlank(texts)) return failed(`${this.#path} is empty`);
      return { ok: true, texts, version: versionOf(digest(texts)) };
    } catch (error) {
      const reason = explain(this.#path, error as NodeJS.ErrnoException);
      // What is wrong may be put right in a folder that nobody watches yet.
      const listing = await list(this.#path).catch(() => undefined);
      this.#seen = listing?.stamp ?? UNREADABLE;
      if (listing !== undefined) this.#follow(listing);
      return failed(reason);
    }
  }

  #judge(update: SourceUpdate): void {
    const { pace, longestMs } = this.#options;
    if (update.ok) {
      this.#grace?.cancel();
      this.#grace = undefined;
      this.#graceOver = false;
      this.#tell(update);
    } else if (this.#told?.ok && !this.#graceOver) {
      this.#grace ??= pace.after(longestMs, () => {
        this.#graceOver = true;
        void this.#look();
      });
    } else this.#tell(update);
  }

  #tell(update: SourceUpdate): void {
    const last = this.#told;
    if (update.ok && last?.ok && update.version === last.version) return;
    if (!update.ok && last?.ok === false && update.reason === last.reason) return;
    this.#told = update;
    this.#onUpdate(update);
  }

  /** Watches exactly the folders of the listing. What moved before a new watch stood is found by one more stat. */
  #follow({ folders }: Listing): void {
    if (this.#closed) return;
    const wanted = new Map(folders.map((folder) => [`${folder.key} ${folder.path}`, folder]));
    for (const [key, watcher] of this.#watchers) {
      if (wanted.has(key)) continue;
      watcher.close();
      this.#watchers.delete(key);
    }
    let added = false;
    for (const [key, folder] of wanted) {
      if (this.#watchers.has(key)) continue;
      const watcher = this.#watch(folder);
      if (watcher === undefined) continue;
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(key);
      });
      this.#watchers.set(key, watcher);
      added = true;
    }
    if (added) void this.#check();
  }

  /** undefined where the system will not watch (limits, file systems): the poll has to do. */
  #watch(folder: WatchedFolder): FSWatcher | undefined {
    try {
      return watch(folder.path, { persistent: false }, (_, name) => {
        if (matters(folder, name)) this.#touch();
      });
    } catch {
      return undefined;
    }
  }

  #armPoll(): void {
    this.#poll = this.#options.pace.after(this.#options.pollMs, () => {
      void this.#check().then(() => {
        if (!this.#closed) this.#armPoll();
      });
    });
  }

  async #check(): Promise<void> {
    const stamp = await list(this.#path).then(
      (listing) => listing.stamp,
      () => UNREADABLE,
    );
    if (stamp !== this.#seen) this.#touch();
  }
}

function explain(path: string, error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT')
    return error.path === undefined || error.path === path ? `${path} does not exist` : `${error.path} does not exist`;
  if (error.code === 'EACCES' || error.code === 'EPERM') return `${error.path ?? path} may not be read (permissions)`;
  return error.message;
}
