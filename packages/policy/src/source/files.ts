import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { SourceText } from '../document.ts';

/** What stands under a path: the files of a document in order, a stamp that differs whenever one does, and where to watch. */
export interface Listing {
  readonly files: readonly string[];
  readonly bytes: number;
  readonly stamp: string;
  readonly folders: readonly WatchedFolder[];
}

/** A folder whose events matter; `key` differs when another folder has taken its name. */
export interface WatchedFolder {
  readonly path: string;
  readonly key: string;
  /** Only events of these names matter; undefined: all but hidden ones. */
  readonly only?: readonly string[];
}

/** Whole look at a path: texts, and the listing that was true before and after they were read. */
export interface Look {
  readonly texts: readonly SourceText[];
  readonly listing: Listing;
}

/** Times a path may change under our eyes before we give up looking. */
const PATIENCE = 25;

/** Files of a document by their names. Hidden ones, and what editors leave beside their files, are not. */
const isDocument = (name: string): boolean => /\.(ya?ml|json)$/i.test(name);
const isHidden = (name: string): boolean => name.startsWith('.') || name.startsWith('#') || name.endsWith('~');

/**
 * Reads a file, or every *.yaml, *.yml and *.json of a folder and the folders in it, sorted by path. Never half of a change:
 * it looks again until nothing moved from before the first byte was read until `settled`. Rejects with a sentence.
 */
export async function readTexts(path: string, maxBytes: number, settled: () => Promise<void> = async () => {}): Promise<Look> {
  let why = 'keeps changing while it is read';
  for (let tries = 0; tries < PATIENCE; tries += 1) {
    const listing = await list(path);
    if (listing.files.length === 0) throw new Error(`${path} holds no .yaml, .yml or .json file`);
    if (listing.bytes > maxBytes) throw new Error(`${path} holds ${listing.bytes} bytes, more than the ${maxBytes} a document may have`);
    const texts: SourceText[] = [];
    try {
      for (const file of listing.files) texts.push({ file, text: await readFile(file, 'utf8') });
    } catch (error) {
      // Gone since it was listed, or a link to nothing: the next listing tells.
      if (!isMissing(error)) throw error;
      why = `names ${error.path}, which does not exist`;
    }
    await settled();
    if (texts.length === listing.files.length && (await list(path)).stamp === listing.stamp) return { texts, listing };
  }
  throw new Error(`${path} ${why}`);
}

const isMissing = (error: unknown): error is NodeJS.ErrnoException => (error as NodeJS.ErrnoException).code === 'ENOENT';

/** Lists without reading. Follows symbolic links, as a mounted ConfigMap is made of them. */
export async function list(path: string): Promise<Listing> {
  const info = await stat(path, { bigint: true });
  if (info.isDirectory()) return listFolder(path);
  if (!info.isFile()) throw new Error(`${path} is neither a file nor a folder`);
  const real = await realpath(path);
  const folders = [await watched(dirname(path), [basename(path)])];
  if (dirname(real) !== dirname(path)) folders.push(await watched(dirname(real), [basename(real)]));
  return { files: [path], bytes: Number(info.size), stamp: `${path} ${stampOf(info)}`, folders };
}

async function listFolder(root: string): Promise<Listing> {
  const found: { path: string; stamp: string }[] = [];
  const folders: WatchedFolder[] = [await watched(dirname(root), [basename(root)])];
  const entered = new Set<string>();
  let bytes = 0;
  const walk = async (folder: string): Promise<void> => {
    const here = await watched(folder);
    // A link back to a folder above would never end.
    if (entered.has(here.key)) return;
    entered.add(here.key);
    folders.push(here);
    for (const name of await readdir(folder)) {
      if (isHidden(name)) continue;
      const path = join(folder, name);
      const info = await stat(path, { bigint: true }).catch((error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      });
      if (info?.isDirectory()) await walk(path);
      // One that is gone again stays listed, so that reading it fails: a document with a hole is worse than the last good one.
      else if (isDocument(name) && (info === undefined || info.isFile())) {
        found.push({ path, stamp: info === undefined ? 'missing' : stampOf(info) });
        bytes += Number(info?.size ?? 0);
      }
    }
  };
  await walk(root);
  // By code unit: the same order on every machine and in every language.
  found.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files: found.map(({ path }) => path), bytes, stamp: found.map(({ path, stamp }) => `${path} ${stamp}`).join('\n'), folders };
}

interface Stat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

const stampOf = ({ dev, ino, size, mtimeNs, ctimeNs }: Stat): string => `${dev}:${ino} ${size} ${mtimeNs} ${ctimeNs}`;

async function watched(path: string, only?: readonly string[]): Promise<WatchedFolder> {
  const { dev, ino } = await stat(path, { bigint: true });
  return { path, key: `${dev}:${ino}`, only };
}

/** Whether an event of this name in this folder can change what is listed. */
export function matters(folder: WatchedFolder, name: string | null): boolean {
  if (name === null) return true;
  // Kubernetes swaps the link `..data` when a ConfigMap changes; the links to its files stay as they are.
  if (name.startsWith('..')) return true;
  return folder.only === undefined ? !isHidden(name) : folder.only.includes(name);
}
