import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readPolicy } from './read.ts';
import { memoryIo } from '../test/memory-io.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-cli-'));
});
afterEach(() => rm(folder, { recursive: true }));

const reason = async (paths: readonly string[], input = ''): Promise<string> => {
  const reading = await readPolicy(paths, memoryIo({ input }).io);
  if (reading.ok) throw new Error('it was read');
  return reading.reason.replaceAll(folder, '…');
};

describe('reading a policy', () => {
  it('takes files, folders and standard input together, each file once', async () => {
    await mkdir(join(folder, 'b'));
    for (const name of ['z.yaml', 'b/a.yml', 'c.json', 'notes.txt']) await writeFile(join(folder, name), name);
    const reading = await readPolicy([join(folder, 'z.yaml'), '-', folder, '-'], memoryIo({ input: 'grüße' }).io);
    expect(reading).toEqual({
      ok: true,
      texts: [
        { file: join(folder, 'z.yaml'), text: 'z.yaml' },
        { file: '<stdin>', text: 'grüße' },
        { file: join(folder, 'b/a.yml'), text: 'b/a.yml' },
        { file: join(folder, 'c.json'), text: 'c.json' },
      ],
    });
  });

  it('takes a file of any name where it is named itself', async () => {
    await writeFile(join(folder, 'notes.txt'), 'x');
    expect(await readPolicy([join(folder, 'notes.txt')], memoryIo().io)).toMatchObject({ ok: true });
  });

  it('says what is missing', async () => {
    expect(await reason([join(folder, 'gone.yaml')])).toBe(
      '…/gone.yaml does not exist; -f takes a file, a folder, or - for standard input',
    );
    expect(await reason(['https://policy.internal/mesh'])).toBe(
      'https://policy.internal/mesh is a URL, and -f reads files; fetch it first: curl -s https://policy.internal/mesh | inmesh … -f -',
    );
  });

  it('says that there is nothing to read', async () => {
    expect(await reason([folder])).toBe('… holds no .yaml, .yml or .json file');
    expect(await reason(['-'], ' \n')).toBe('standard input is empty; a policy has at least one resource');
    await writeFile(join(folder, 'a.yaml'), '');
    expect(await reason([join(folder, 'a.yaml'), '-'])).toBe('…/a.yaml, standard input are empty; a policy has at least one resource');
  });

  it('does not take in more than a document may have', async () => {
    const megabyte = Buffer.alloc(2 ** 20, '#');
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield await Promise.resolve(megabyte);
    }
    const reading = await readPolicy(['-'], memoryIo({ stdin: endless() }).io);
    expect(reading).toEqual({ ok: false, reason: 'standard input holds more than the 67108864 bytes a document may have' });
  });

  it('tells a person at the keyboard how to end', async () => {
    const { io, out, err } = memoryIo({ input: 'a: 1', tty: { stdin: true, stdout: true, stderr: true } });
    await readPolicy(['-'], io);
    expect([out(), err()]).toEqual(['', 'reading a policy from the keyboard; end it with Ctrl-D\n']);
  });
});
