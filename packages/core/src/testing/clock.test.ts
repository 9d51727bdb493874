import { expect, test } from 'vitest';
import { fakeClock } from './clock.ts';

test('fires timers in order of time, each at its own moment, those set meanwhile too', () => {
  const clock = fakeClock();
  const seen: string[] = [];
  const note = (name: string): void => void seen.push(`${name}@${clock.now()}`);
  clock.after(20, () => note('b'));
  clock.after(10, () => {
    note('a');
    clock.after(5, () => note('nested'));
  });
  clock.after(20, () => note('c'));
  clock.after(20, () => note('never')).cancel();
  clock.after(31, () => note('later'));
  clock.advance(30);
  expect(seen).toEqual(['a@10', 'nested@15', 'b@20', 'c@20']);
  expect(clock.now()).toBe(30);
  expect(clock.pending).toBe(1);
});

test('wall time goes with it', () => {
  const clock = fakeClock({ now: 500, wall: 1000 });
  clock.advance(250);
  expect([clock.now(), clock.wall()]).toEqual([750, 1250]);
});

test('lets code that awaits between timers keep up', async () => {
  const clock = fakeClock();
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));
  const seen: number[] = [];
  void (async () => {
    for (let round = 0; round < 3; round += 1) {
      await sleep(10);
      seen.push(clock.now());
    }
  })();
  await clock.pass(100);
  expect(seen).toEqual([10, 20, 30]);
});
