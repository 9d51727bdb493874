import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { lastGoodFile } from './last-good.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-last-good-'));
  path = join(folder, 'deep', 'web.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

const texts = [{ file: 'https://policy/mesh', text: 'kind: VirtualService' }];

it('gives back what it kept, for its owner only, and leaves no other file', async () => {
  await lastGoodFile(path, 'https://policy/mesh').save(texts, 'v1');
  expect(await lastGoodFile(path, 'https://policy/mesh').load()).toEqual({ ok: true, texts, version: 'v1' });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(folder, 'deep'))).toEqual(['web.json']);
});

it('says when it is done, whoever asked it to keep something', async () => {
  const file = lastGoodFile(path, 's');
  void file.save(texts, 'v1');
  await file.idle();
  expect(await lastGoodFile(path, 's').load()).toMatchObject({ version: 'v1' });
});

it('writes overlapping saves in order, the newest last', async () => {
  const file = lastGoodFile(path, 's');
  await Promise.all(Array.from({ length: 20 }, (_, round) => file.save(texts, `v${round}`)));
  expect(await file.load()).toMatchObject({ version: 'v19' });
});

it('does not obey a changed, a cut or another source’s document', async () => {
  const file = lastGoodFile(path, 's');
  expect(await file.load()).toMatchObject({ ok: false, reason: `no last good document in ${path}` });
  await file.save(texts, 'v1');
  expect(await lastGoodFile(path, 'other').load()).toMatchObject({ ok: false, reason: expect.stringContaining('of another source (s)') });
  const whole = readFileSync(path, 'utf8');
  for (const damaged of [whole.replace('Virtual', 'virtual'), whole.slice(0, -1), whole.split('\n')[1]!, '']) {
    writeFileSync(path, damaged);
    expect(await file.load()).toMatchObject({ ok: false, reason: expect.stringContaining('damaged') });
  }
});

it('rejects what it cannot write, and still can later', async () => {
  writeFileSync(join(folder, 'deep'), 'a file where the folder should be');
  const file = lastGoodFile(path, 's');
  await expect(file.save(texts, 'v1')).rejects.toThrow(/EEXIST|ENOTDIR/);
  rmSync(join(folder, 'deep'));
  await file.save(texts, 'v2');
  expect(await file.load()).toMatchObject({ version: 'v2' });
});
