import type { SourceText } from '@inmesh/policy';
import { readTexts } from '@inmesh/policy/source';
import type { Io } from './io.ts';

/** All texts of the files, folders and `-` asked for, or a sentence on why there are none. */
export type Reading = { readonly ok: true; readonly texts: readonly SourceText[] } | { readonly ok: false; readonly reason: string };

/** Name under which problems in what came over standard input are reported. */
const STDIN = '<stdin>';

/** As much as a document may have elsewhere, too (see the file source). */
const MAX_BYTES = 64 * 2 ** 20;

/** Reads everything named by `-f`, in that order; a file named twice (`-f dir -f dir/a.yaml`) counts once. */
export async function readPolicy(paths: readonly string[], io: Io): Promise<Reading> {
  const texts = new Map<string, SourceText>();
  for (const path of new Set(paths)) {
    try {
      const found = path === '-' ? await readStdin(io) : (await readTexts(path, MAX_BYTES)).texts;
      for (const text of found) if (!texts.has(text.file)) texts.set(text.file, text);
    } catch (error) {
      return { ok: false, reason: sentence(path, error as NodeJS.ErrnoException) };
    }
  }
  const read = [...texts.values()];
  // Like a policy source: nothing but blanks is a truncated file or a broken pipe, never a policy.
  if (read.every(({ text }) => text.trim() === '')) {
    const names = read.map(({ file }) => (file === STDIN ? 'standard input' : file)).join(', ');
    return { ok: false, reason: `${names} ${read.length === 1 ? 'is' : 'are'} empty; a policy has at least one resource` };
  }
  return { ok: true, texts: read };
}

async function readStdin(io: Io): Promise<readonly SourceText[]> {
  if (io.tty.stdin) io.stderr.write('reading a policy from the keyboard; end it with Ctrl-D\n');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of io.stdin) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes > MAX_BYTES) throw new Error(`standard input holds more than the ${MAX_BYTES} bytes a document may have`);
    chunks.push(buffer);
  }
  return [{ file: STDIN, text: Buffer.concat(chunks).toString('utf8') }];
}

function sentence(path: string, { code, message, path: at }: NodeJS.ErrnoException): string {
  const name = at ?? path;
  switch (code) {
    case 'ENOENT':
      if (/^https?:\/\//.test(path)) return `${path} is a URL, and -f reads files; fetch it first: curl -s ${path} | inmesh … -f -`;
      return `${name} does not exist; -f takes a file, a folder, or - for standard input`;
    case 'EACCES':
    case 'EPERM':
      return `${name} may not be read: permission denied`;
    case 'ELOOP':
      return `${name} is a symbolic link that leads back to itself`;
    default:
      return message;
  }
}
