import { fakeClock, type FakeClock } from '@inmesh/core/testing';
import { beforeEach, expect, it } from 'vitest';
import { Damping, type Listed } from './damping.ts';

let clock: FakeClock;
let damping: Damping<Listed>;
let words: string[];
beforeEach(() => {
  clock = fakeClock();
  words = [];
  damping = new Damping(clock, 30_000, (items) =>
    words.push(items.map(({ key, health }) => (health === 'healthy' ? key : `${key} ${health}`)).join(', ')),
  );
});

const list = (...keys: string[]): Listed[] =>
  keys.map((text) => {
    const [key, health] = text.split(' ') as [string, Listed['health'] | undefined];
    return { key, health: health ?? 'healthy' };
  });

it('keeps as draining for 30 s who vanishes without a word', () => {
  damping.update(list('a', 'b'), 0);
  damping.update(list('a'), 0);
  expect(words).toEqual(['a, b', 'a, b draining']);
  clock.advance(29_999);
  expect(words).toHaveLength(2);
  clock.advance(1);
  expect(words.at(-1)).toBe('a');
  expect(clock.pending).toBe(0);
});

it('forgets at once who was seen draining or unhealthy', () => {
  damping.update(list('a', 'b draining', 'c unhealthy'), 0);
  damping.update(list('a'), 0);
  expect(words.at(-1)).toBe('a');
});

it('who comes back is what the list says', () => {
  damping.update(list('a', 'b'), 0);
  damping.update(list('a'), 0);
  clock.advance(10_000);
  damping.update(list('a', 'b'), 0);
  expect(words.at(-1)).toBe('a, b');
  clock.advance(60_000);
  expect(words.at(-1)).toBe('a, b');
});

it('in doubt everybody stays what he was, until it is over: then draining, then gone', () => {
  damping.update(list('a', 'b', 'c unhealthy'), 0);
  damping.update([], 10_000);
  expect(words.at(-1)).toBe('a, b, c unhealthy');
  damping.update(list('a'), 10_000);
  expect(words.at(-1)).toBe('a, b, c unhealthy');
  clock.advance(10_000);
  expect(words.at(-1)).toBe('a, b draining');
  clock.advance(30_000);
  expect(words.at(-1)).toBe('a');
});

it('a new doubt prolongs an old one, and does not bring back who is draining', () => {
  damping.update(list('a', 'b', 'c'), 0);
  damping.update(list('a', 'b'), 0);
  damping.update(list('a'), 10_000);
  clock.advance(8000);
  damping.update(list('a'), 18_000);
  clock.advance(9999);
  expect(words.at(-1)).toBe('a, b, c draining');
  clock.advance(1);
  expect(words.at(-1)).toBe('a, b draining, c draining');
});

it('while nothing can be asked no doubt runs out', () => {
  damping.update(list('a', 'b'), 0);
  damping.update(list('a'), 10_000);
  clock.advance(5000);
  damping.hold();
  clock.advance(60_000);
  damping.update(list('a'), 75_000);
  expect(words.at(-1)).toBe('a, b');
  clock.advance(10_000);
  expect(words.at(-1)).toBe('a, b draining');
});

it('closed, it leaves no timer', () => {
  damping.update(list('a'), 0);
  damping.update([], 0);
  expect(clock.pending).toBe(1);
  damping.close();
  expect(clock.pending).toBe(0);
});
