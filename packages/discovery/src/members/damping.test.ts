import { fakeClock, testEndpoint } from '@inmesh/core/testing';
import { expect, test } from 'vitest';
import { Damping } from './damping.ts';

const words = (damping: Damping): string =>
  damping.endpoints.map(({ address, health }) => (health === 'healthy' ? address : `${address} ${health}`)).join(', ');
const a = testEndpoint('a:1');
const b = testEndpoint('b:1');

test('who vanishes drains for a while; who is back meanwhile is as before, and drains anew when he vanishes again', () => {
  const clock = fakeClock();
  const told: string[] = [];
  const damping = new Damping(clock, 1000, () => told.push(words(damping)));
  damping.list([a, b]);
  damping.list([b]);
  expect(words(damping)).toBe('b:1, a:1 draining');
  clock.advance(600);
  damping.list([a, b]);
  expect([words(damping), clock.pending]).toEqual(['a:1, b:1', 0]);
  damping.list([b]);
  clock.advance(600);
  // Another list meanwhile does not lengthen it.
  damping.list([]);
  clock.advance(400);
  expect(told).toEqual(['b:1 draining']);
  clock.advance(600);
  expect([told.at(-1), damping.empty, clock.pending]).toEqual(['', true, 0]);
});

test('who was seen draining, or ill, goes at once; a closed one has no timers', () => {
  const clock = fakeClock();
  const damping = new Damping(clock, 1000, () => expect.fail());
  damping.list([
    { ...a, health: 'draining' },
    { ...b, health: 'unhealthy' },
  ]);
  damping.list([]);
  expect(damping.empty).toBe(true);
  damping.list([a]);
  damping.list([]);
  damping.close();
  expect(clock.pending).toBe(0);
});
