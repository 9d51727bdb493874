import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kept } from './registrations.ts';

const FORMAT = 1;

/** What was kept cannot be understood. The message says where it lies and what to do. */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError';
}

/** What a registry keeps for its next start: one file, replaced whole. */
export interface Disk {
  readonly kept: Kept;
  /** Resolves when what `state` says now is on disk. A write that failed is told by `trouble`, and tried again with the next change. */
  save(state: () => Kept): Promise<void>;
  readonly trouble: () => string;
}

/** A registry without a folder begins anew each time. */
export const memoryDisk = (): Disk => ({ kept: anew(), save: async () => {}, trouble: () => '' });

/**
 * Reads what is kept in a folder, or begins anew. A file that cannot be read is left as it is: who would write over it would lose
 * it for good (UnreadableError). Rejects with what the system has against the folder.
 */
export async function openDisk(folder: string): Promise<Disk> {
  const file = join(folder, 'registrations.json');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  const kept = text === undefined ? anew() : understood(text, file);
  // Before anybody hears of this history: else a restart would look like a registry that lost its memory. And who cannot write shall not start.
  await replace(folder, file, textOf(kept));
  let trouble = '';
  let writing: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;

  const write = async (state: Kept): Promise<void> => {
    try {
      await replace(folder, file, textOf(state));
      trouble = '';
    } catch (error) {
      trouble = `${file} cannot be written: ${(error as Error).message}`;
    }
  };
  return {
    kept,
    trouble: () => trouble,
    save: (state) => {
      // All that changes while one write is under way is written by the next one.
      next ??= writing.then(() => {
        next = undefined;
        return (writing = write(state()));
      });
      return next;
    },
  };
}

const textOf = (state: Kept): string => JSON.stringify({ format: FORMAT, ...state });

const anew = (): Kept => ({ epoch: randomUUID(), index: 0, registrations: {} });

function understood(text: string, file: string): Kept {
  const found = parsed(text) as Partial<Kept & { format: number }> | null | undefined;
  const { epoch, index, registrations } = found ?? {};
  if (found?.format === FORMAT && typeof epoch === 'string' && typeof index === 'number' && typeof registrations === 'object')
    return { epoch, index, registrations };
  throw new UnreadableError(`${file} holds no registrations that can be read: restore it, or move it away to begin anew`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whoever reads sees the old text or the new one, also after a loss of power. */
async function replace(folder: string, file: string, text: string): Promise<void> {
  const temporary = `${file}.new`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  const directory = await open(folder, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
