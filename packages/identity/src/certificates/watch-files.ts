import { type FSWatcher, watch } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Clock, Closeable } from '@inmesh/core';

export interface WatchFilesOptions {
  readonly clock: Clock;
  /** A change is told once nothing moved for this long. */
  readonly quietMs: number;
  /** The safety net under fs.watch, which network mounts and spent inotify limits leave silent. */
  readonly pollMs: number;
}

/**
 * Tells when one of `files` may have changed, once it is quiet, and once at the beginning. Watches their folders and those their links lead
 * to, not the files: an inode replaced by a rename would never stir again, and a mounted Secret changes by its link `..data` alone.
 */
export function watchFiles(files: readonly string[], onChange: () => void, options: WatchFilesOptions): Closeable {
  const watching = new Watching(files, onChange, options);
  watching.start();
  return { close: () => watching.close() };
}

class Watching {
  readonly #files: readonly string[];
  readonly #onChange: () => void;
  readonly #options: WatchFilesOptions;
  readonly #names: ReadonlySet<string>;
  /** By path and inode: a folder that another one replaced is watched anew. */
  readonly #watchers = new Map<string, FSWatcher>();
  #stamp: string | undefined;
  #quiet: ReturnType<Clock['after']> | undefined;
  #poll: ReturnType<Clock['after']> | undefined;
  #looking = false;
  #again = false;
  #closed = false;

  constructor(files: readonly string[], onChange: () => void, options: WatchFilesOptions) {
    this.#files = files;
    this.#onChange = onChange;
    this.#options = options;
    this.#names = new Set(files.map((file) => basename(file)));
  }

  start(): void {
    void this.#look();
    this.#armPoll();
  }

  close(): void {
    this.#closed = true;
    this.#quiet?.cancel();
    this.#poll?.cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #armPoll(): void {
    this.#poll = this.#options.clock.after(this.#options.pollMs, () => {
      void this.#look();
      this.#armPoll();
    });
  }

  #touch(): void {
    if (this.#closed) return;
    this.#quiet?.cancel();
    this.#quiet = this.#options.clock.after(this.#options.quietMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    this.#again = false;
    const stamps = await Promise.all(this.#files.map(stampOf));
    const added = await this.#follow();
    this.#looking = false;
    if (this.#closed) return;
    const stamp = stamps.join('\n');
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#onChange();
    }
    // What moved before a new watch stood is found by one more look.
    if (added || this.#again) this.#touch();
  }

  /** Watches exactly the folders of now; true if one is new. */
  async #follow(): Promise<boolean> {
    const paths = new Set<string>();
    for (const file of this.#files) {
      paths.add(dirname(file));
      paths.add(dirname(await realpath(file).catch(() => file)));
    }
    const wanted = new Map<string, string>();
    for (const path of paths) wanted.set(`${path} ${await inodeOf(path)}`, path);
    if (this.#closed) return false;
    for (const [key, watcher] of this.#watchers) {
      if (wanted.has(key)) continue;
      watcher.close();
      this.#watchers.delete(key);
    }
    let added = false;
    for (const [key, path] of wanted) if (!this.#watchers.has(key)) added = this.#add(key, path) || added;
    return added;
  }

  /** false where the system will not watch (limits, file systems, no such folder yet): the poll has to do. */
  #add(key: string, path: string): boolean {
    try {
      const watcher = watch(path, { persistent: false }, (_, name) => {
        if (name === null || name.startsWith('..') || this.#names.has(name)) this.#touch();
      });
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(key);
      });
      this.#watchers.set(key, watcher);
      return true;
    } catch {
      return false;
    }
  }
}

const inodeOf = (path: string): Promise<string> =>
  stat(path, { bigint: true }).then(
    ({ dev, ino }) => `${dev}:${ino}`,
    () => 'missing',
  );

const stampOf = (path: string): Promise<string> =>
  stat(path, { bigint: true }).then(
    ({ dev, ino, size, mtimeNs, ctimeNs }) => `${dev}:${ino} ${size} ${mtimeNs} ${ctimeNs}`,
    (error: NodeJS.ErrnoException) => error.code ?? 'unreadable',
  );
