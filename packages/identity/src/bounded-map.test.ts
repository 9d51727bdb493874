import { expect, it } from 'vitest';
import { BoundedMap } from './bounded-map.ts';

it('a new entry pushes out the one that was not used for longest', () => {
  const map = new BoundedMap<number>(2);
  map.set('a', 1);
  map.set('b', 2);
  expect(map.get('a')).toBe(1);
  map.set('c', 3);
  expect([map.get('a'), map.get('b'), map.get('c'), map.size]).toEqual([1, undefined, 3, 2]);
});

it('setting an entry again, or after it was deleted, pushes out nobody', () => {
  const map = new BoundedMap<number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.set('a', 3);
  map.delete('b');
  map.set('c', 4);
  expect([map.get('a'), map.get('c')]).toEqual([3, 4]);
});
