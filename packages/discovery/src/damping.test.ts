import { fakeClock, type FakeClock } from '@inmesh/core/testing';
import { beforeEach, expect, it } from 'vitest';
import { Damping } from './damping.ts';

interface Listed {
  readonly key: string;
  readonly health: 'healthy' | 'draining' | 'unhealthy';
}

let clock: FakeClock;
let damping: Damping<Listed>;
let words: string[];
beforeEach(() => {
  clock = fakeClock();
  words = [];
  damping = new Damping({ clock, keyOf: ({ key }) => key, onOver: () => write(damping.current()) });
});

const write = (items: readonly Listed[]) =>
  words.push(items.map(({ key, health }) => (health === 'healthy' ? key : `${key} ${health}`)).join(', '));

const list = (...keys: string[]): Listed[] =>
  keys.map((text) => {
    const [key, health] = text.split(' ') as [string, Listed['health'] | undefined];
    return { key, health: health ?? 'healthy' };
  });

it('keeps as draining for 30 s who vanishes without a word', () => {
  write(damping.list(list('a', 'b')));
  write(damping.list(list('a')));
  expect(words).toEqual(['a, b', 'a, b draining']);
  clock.advance(29_999);
  expect(words).toHaveLength(2);
  clock.advance(1);
  expect(words.at(-1)).toBe('a');
  expect(clock.pending).toBe(0);
});

it('forgets at once who was seen draining or unhealthy', () => {
  write(damping.list(list('a', 'b draining', 'c unhealthy')));
  write(damping.list(list('a')));
  expect(words.at(-1)).toBe('a');
});

it('forgets at once whose absence is explained', () => {
  write(damping.list(list('a', 'b', 'c')));
  write(damping.list(list('a'), { isExplained: ({ key }) => key === 'b' }));
  expect(words.at(-1)).toBe('a, c draining');
  write(damping.list(list('a'), { isExplained: ({ key }) => key === 'c' }));
  expect(words.at(-1)).toBe('a');
});

it('who comes back is what the list says', () => {
  write(damping.list(list('a', 'b')));
  write(damping.list(list('a')));
  clock.advance(10_000);
  write(damping.list(list('a', 'b')));
  expect(words.at(-1)).toBe('a, b');
  clock.advance(60_000);
  expect(words.at(-1)).toBe('a, b');
});

it('in doubt everybody stays what he was, until it is over: then draining, then gone', () => {
  write(damping.list(list('a', 'b', 'c unhealthy')));
  write(damping.list([], { doubtUntil: 10_000 }));
  expect(words.at(-1)).toBe('a, b, c unhealthy');
  write(damping.list(list('a'), { doubtUntil: 10_000 }));
  expect(words.at(-1)).toBe('a, b, c unhealthy');
  clock.advance(10_000);
  expect(words.at(-1)).toBe('a, b draining');
  clock.advance(30_000);
  expect(words.at(-1)).toBe('a');
});

it('a new doubt prolongs an old one, and does not bring back who is draining', () => {
  write(damping.list(list('a', 'b', 'c')));
  write(damping.list(list('a', 'b')));
  write(damping.list(list('a'), { doubtUntil: 10_000 }));
  clock.advance(8000);
  write(damping.list(list('a'), { doubtUntil: 18_000 }));
  clock.advance(9999);
  expect(words.at(-1)).toBe('a, b, c draining');
  clock.advance(1);
  expect(words.at(-1)).toBe('a, b draining, c draining');
});

it('while nothing can be asked no doubt runs out', () => {
  write(damping.list(list('a', 'b')));
  write(damping.list(list('a'), { doubtUntil: 10_000 }));
  clock.advance(5000);
  damping.hold();
  clock.advance(60_000);
  write(damping.list(list('a'), { doubtUntil: 75_000 }));
  expect(words.at(-1)).toBe('a, b');
  clock.advance(10_000);
  expect(words.at(-1)).toBe('a, b draining');
});

it('closed, it leaves no timer', () => {
  write(damping.list(list('a')));
  write(damping.list([]));
  expect(clock.pending).toBe(1);
  damping.close();
  expect(clock.pending).toBe(0);
});
