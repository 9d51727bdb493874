import { appendFileSync, closeSync, constants, openSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import type { Writer } from './batch.ts';

/** Lines name callers: not for everybody on the machine. */
const MODE = 0o640;

/** Who writes to a path. `/dev/stdout` and `/dev/stderr` are the process's own streams, whatever they lead to. */
export function writerOf(path: string, { stdout, stderr }: { readonly stdout: Writable; readonly stderr: Writable } = process): Writer {
  if (path === '/dev/stdout') return streamWriter(stdout);
  if (path === '/dev/stderr') return streamWriter(stderr);
  return fileWriter(path);
}

/**
 * A named pipe that nobody reads would hold a thread, and at the end the process, until somebody does: it is an error (ENXIO). Windows
 * has neither such pipes nor the flag.
 */
const AT_ONCE = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | ((constants.O_NONBLOCK as number | undefined) ?? 0);

async function opened(path: string): Promise<FileHandle> {
  const there = await open(path, AT_ONCE, MODE);
  if (!(await there.stat()).isFIFO()) return there;
  // Somebody reads it: he may take his time.
  try {
    return await open(path, 'a', MODE);
  } finally {
    await there.close();
  }
}

/** Appends. A file that was moved away (logrotate) is left, and a new one begun, at the next write. */
function fileWriter(path: string): Writer {
  let file: FileHandle | undefined;
  const close = async (): Promise<void> => {
    const closing = file;
    file = undefined;
    await closing?.close().catch(() => {});
  };
  const isStillThere = async (held: FileHandle): Promise<boolean> => {
    const [there, ours] = await Promise.all([stat(path).catch(() => undefined), held.stat()]);
    return there?.ino === ours.ino && there.dev === ours.dev;
  };
  return {
    write: async (text) => {
      if (file !== undefined && !(await isStillThere(file))) await close();
      try {
        file ??= await opened(path);
        await file.appendFile(text);
      } catch (error) {
        // Whatever it was, the next write begins anew.
        await close();
        throw error;
      }
    },
    last: (text) => {
      try {
        const file = openSync(path, AT_ONCE, MODE);
        appendFileSync(file, text);
        closeSync(file);
      } catch {
        // There is nobody left to tell.
      }
    },
    rest: close,
  };
}

function streamWriter(stream: Writable): Writer {
  return {
    write: (text) =>
      new Promise((resolve, reject) => {
        // As console.log does: whoever read the stream may be gone, and an `error` nobody hears would end the process.
        const ignore = (): void => {};
        const restore = (): void => void stream.removeListener('error', ignore);
        stream.once('error', ignore);
        stream.write(text, (error) => {
          // The event comes after this.
          if (error != null) {
            setImmediate(restore);
            return reject(error);
          }
          restore();
          resolve();
        });
      }),
    // Pipes and files are written at once (Node, "A note on process I/O").
    last: (text) => {
      stream.once('error', () => {});
      stream.write(text);
    },
    rest: async () => {},
  };
}
