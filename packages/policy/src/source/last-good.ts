import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { SourceText } from '../document.ts';
import type { SourceUpdate } from './update.ts';

/** The last accepted document of a source, kept where the next start finds it. */
export interface LastGood {
  readonly name: string;
  /** Overlapping saves are written one after the other, the newest last. Rejects if it could not be written. */
  save(texts: readonly SourceText[], version: string): Promise<void>;
  /** What was saved, if it is there and whole. Never rejects. */
  load(): Promise<SourceUpdate>;
  /** Resolves when nothing is being written: a process may end then. Never rejects. */
  idle(): Promise<void>;
}

interface Content {
  readonly source: string;
  readonly version: string;
  readonly texts: readonly SourceText[];
}

/**
 * Keeps the last good document in a file: written beside, flushed, renamed, so that a crash leaves the old or the new one
 * and never half of one; mode 0600, because policies tell where things are; and checked against its sha-256 and the name
 * of its source when loaded, so that neither a damaged file nor another mesh's is ever obeyed.
 */
export function lastGoodFile(path: string, source: string): LastGood {
  let queue: Promise<void> = Promise.resolve();
  return {
    name: path,
    save: (texts, version) => {
      const written = queue.then(() => write(path, seal({ source, version, texts })));
      queue = written.catch(() => {});
      return written;
    },
    idle: () => queue,
    load: async () => {
      const no = (reason: string): SourceUpdate => ({ ok: false, reason, transient: false });
      try {
        const content = unseal(await readFile(path, 'utf8'));
        if (content === undefined) return no(`last good document ${path} is damaged (its sha-256 does not match)`);
        if (content.source !== source) return no(`last good document ${path} is of another source (${content.source})`);
        return { ok: true, texts: content.texts, version: content.version };
      } catch (cause) {
        const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
        return no(missing ? `no last good document in ${path}` : `last good document ${path} cannot be read: ${(cause as Error).message}`);
      }
    },
  };
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

// One line with the digest, then what it is the digest of: no canonical JSON is needed.
const seal = (content: Content): string => {
  const body = JSON.stringify(content);
  return `inmesh-last-good/1 sha256:${sha256(body)}\n${body}`;
};

function unseal(text: string): Content | undefined {
  const end = text.indexOf('\n');
  const body = text.slice(end + 1);
  if (end < 0 || text.slice(0, end) !== `inmesh-last-good/1 sha256:${sha256(body)}`) return undefined;
  return JSON.parse(body) as Content;
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Makes the rename itself survive a power cut. Windows cannot open folders; there the file system has to do. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    await folder.sync().finally(() => folder.close());
  } catch {
    // The document is written; only its survival of a power cut in this second is not promised.
  }
}
