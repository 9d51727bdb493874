import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDisk } from './disk.ts';

let folder: string;
beforeEach(() => (folder = join(mkdtempSync(join(tmpdir(), 'inmesh-disk-')), 'data')));
afterEach(() => rmSync(join(folder, '..'), { recursive: true }));

const state = (index: number) => () => ({ epoch: 'e', index, registrations: {} });
const FILE = 'registrations.json';

test('what was saved is there at the next start, for its owner only', async () => {
  const first = await openDisk(folder);
  expect(first.kept).toMatchObject({ index: 0, registrations: {} });
  await first.save(state(7));
  expect((await openDisk(folder)).kept).toEqual({ epoch: 'e', index: 7, registrations: {} });
  expect(statSync(join(folder, FILE)).mode & 0o077).toBe(0);
  expect(readdirSync(folder)).toEqual([FILE]);
});

test('two registries are two histories', async () => {
  expect((await openDisk(folder)).kept.epoch).not.toBe((await openDisk(`${folder}2`)).kept.epoch);
  rmSync(`${folder}2`, { recursive: true });
});

test('many changes at once are few writes, and whoever waits waits for his own', async () => {
  const disk = await openDisk(folder);
  let taken = 0;
  let index = 0;
  const saves = Array.from({ length: 100 }, async () => {
    const mine = (index += 1);
    await disk.save(() => {
      taken += 1;
      return { epoch: 'e', index, registrations: {} };
    });
    expect((JSON.parse(readFileSync(join(folder, FILE), 'utf8')) as { index: number }).index).toBeGreaterThanOrEqual(mine);
  });
  await Promise.all(saves);
  expect(taken).toBeLessThan(5);
});

test('a file that cannot be understood is kept for whoever can, and says what to do', async () => {
  await (await openDisk(folder)).save(state(1));
  for (const text of ['', '{', '[]', 'null', '{"format":9}']) {
    writeFileSync(join(folder, FILE), text);
    await expect(openDisk(folder)).rejects.toMatchObject({
      name: 'UnreadableError',
      message: expect.stringMatching(/restore it, or move it away/) as string,
    });
    expect(readFileSync(join(folder, FILE), 'utf8')).toBe(text);
  }
});

test('what cannot be written is told, does no harm, and is tried again', async () => {
  const disk = await openDisk(folder);
  // A folder in the place of the temporary file: root may write anywhere.
  mkdirSync(join(folder, `${FILE}.new`));
  await disk.save(state(1));
  expect(disk.trouble()).toMatch(/registrations\.json cannot be written/);
  rmdirSync(join(folder, `${FILE}.new`));
  await disk.save(state(2));
  expect([disk.trouble(), (await openDisk(folder)).kept.index]).toEqual(['', 2]);
});
