import { appendFileSync } from 'node:fs';
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

/** Appends. A file that was moved away (logrotate) is left, and a new one begun, at the next write. */
function fileWriter(path: string): Writer {
  let file: FileHandle | undefined;
  const close = async (): Promise<void> => {
    const closing = file;
    file = undefined;
    await closing?.close().catch(() => {});
  };
  const isStillThere = async (opened: FileHandle): Promise<boolean> => {
    const [there, ours] = await Promise.all([stat(path).catch(() => undefined), opened.stat()]);
    return there?.ino === ours.ino && there.dev === ours.dev;
  };
  return {
    write: async (text) => {
      if (file !== undefined && !(await isStillThere(file))) await close();
      try {
        file ??= await open(path, 'a', MODE);
        await file.appendFile(text);
      } catch (error) {
        // Whatever it was, the next write begins anew.
        await close();
        throw error;
      }
    },
    last: (text) => {
      try {
        appendFileSync(path, text, { mode: MODE });
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
