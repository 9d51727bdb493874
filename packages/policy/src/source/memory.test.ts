import { expect, it } from 'vitest';
import { memorySource } from './memory.ts';
import type { SourceUpdate } from './source.ts';

it('tells after watch returned, then each change once, failures and the way back', async () => {
  const source = memorySource('one');
  const told: SourceUpdate[] = [];
  const watch = source.watch((update) => told.push(update));
  expect(told).toEqual([]);
  await Promise.resolve();
  source.set('one');
  source.set('two');
  source.fail('gone');
  source.set('two');
  watch.close();
  source.set('three');
  expect(told).toMatchObject([
    { texts: [{ file: 'memory', text: 'one' }] },
    { texts: [{ text: 'two' }] },
    { ok: false, reason: 'gone' },
    { texts: [{ text: 'two' }] },
  ]);
});

it('says nothing if it was closed at once', async () => {
  const told: SourceUpdate[] = [];
  memorySource('one')
    .watch((update) => told.push(update))
    .close();
  await Promise.resolve();
  expect(told).toEqual([]);
});
