import type { Io } from '../src/io.ts';

/** An Io in memory, and what was written to it. */
export function memoryIo(given: Partial<Io> & { readonly input?: string } = {}): {
  readonly io: Io;
  readonly out: () => string;
  readonly err: () => string;
} {
  const out: string[] = [];
  const err: string[] = [];
  const io: Io = {
    stdin: chunks(given.input ?? ''),
    stdout: { write: (text) => void out.push(text) },
    stderr: { write: (text) => void err.push(text) },
    tty: { stdin: false, stdout: false, stderr: false },
    columns: Number.POSITIVE_INFINITY,
    env: {},
    stopped: () => Promise.resolve(),
    open: () => {},
    ...given,
  };
  return { io, out: () => out.join(''), err: () => err.join('') };
}

/** In pieces that cut characters in two, as a pipe may. */
async function* chunks(text: string): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += 7) yield await Promise.resolve(bytes.subarray(at, at + 7));
}
