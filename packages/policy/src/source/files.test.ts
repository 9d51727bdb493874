import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readTexts } from './files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-files-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it('looks again when anything moved while it was looking', async () => {
  writeFileSync(join(folder, 'a.yaml'), 'old');
  writeFileSync(join(folder, 'b.yaml'), 'old');
  let looks = 0;
  const { texts } = await readTexts(folder, 1000, async () => {
    looks += 1;
    if (looks === 1) writeFileSync(join(folder, 'a.yaml'), 'new!');
    if (looks === 2) rmSync(join(folder, 'b.yaml'));
    if (looks === 3) writeFileSync(join(folder, 'c.yaml'), 'new!');
  });
  expect(texts.map(({ text }) => text)).toEqual(['new!', 'new!']);
  expect(looks).toBe(4);
});

it('gives up on what never rests', async () => {
  writeFileSync(join(folder, 'a.yaml'), '');
  let round = 0;
  const change = async (): Promise<void> => writeFileSync(join(folder, 'a.yaml'), 'x'.repeat((round += 1)));
  await expect(readTexts(folder, 1000, change)).rejects.toThrow('keeps changing while it is read');
});

it('needs no second look by default', async () => {
  writeFileSync(join(folder, 'a.json'), '{}');
  expect((await readTexts(join(folder, 'a.json'), 1000)).texts).toEqual([{ file: join(folder, 'a.json'), text: '{}' }]);
});
