import type { LookupAddress } from 'node:dns';
import { beforeEach, expect, it, vi } from 'vitest';
import { askSystem } from './system.ts';

/** What the system is asked and has not answered yet. */
const { hanging } = vi.hoisted(() => ({ hanging: new Map<string, (addresses: LookupAddress[] | Error) => void>() }));
vi.mock('node:dns/promises', () => ({
  lookup: (host: string) =>
    new Promise((resolve, reject) => hanging.set(host, (answer) => (answer instanceof Error ? reject(answer) : resolve(answer)))),
}));

const found = (address: string): LookupAddress[] => [{ address, family: 4 }];
const turn = () => new Promise((resolve) => setImmediate(resolve));
const answer = async (host: string, what: LookupAddress[] | Error): Promise<void> => {
  const say = hanging.get(host)!;
  hanging.delete(host);
  say(what);
  await turn();
};

beforeEach(() => hanging.clear());

it('takes two threads at most, however many names hang; the others wait for their turn', async () => {
  const asked = ['a', 'b', 'c', 'd'].map((host) => askSystem(host).catch((error: Error) => error.message));
  await turn();
  expect([...hanging.keys()]).toEqual(['a', 'b']);
  await answer('b', new Error('b: no'));
  expect([...hanging.keys()]).toEqual(['a', 'c']);
  await answer('a', found('10.0.0.1'));
  await answer('c', found('10.0.0.3'));
  await answer('d', found('10.0.0.4'));
  expect(await Promise.all(asked)).toEqual([found('10.0.0.1'), 'b: no', found('10.0.0.3'), found('10.0.0.4')]);
});

it('asks once for a name that several want at a time, and anew afterwards', async () => {
  const [first, second] = [askSystem('a'), askSystem('a')];
  const other = askSystem('b');
  await turn();
  expect([...hanging.keys()]).toEqual(['a', 'b']);
  await answer('a', found('10.0.0.1'));
  expect(await Promise.all([first, second])).toEqual([found('10.0.0.1'), found('10.0.0.1')]);
  const later = askSystem('a');
  await turn();
  expect([...hanging.keys()]).toEqual(['b', 'a']);
  await answer('a', found('10.0.0.2'));
  await answer('b', found('10.0.0.9'));
  expect([await later, await other]).toEqual([found('10.0.0.2'), found('10.0.0.9')]);
});
