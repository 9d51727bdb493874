import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BoundedMap } from './bounded-map.ts';

it('what is used stays, what is not used for long is forgotten', () => {
  const map = new BoundedMap<number>(4);
  map.set('a', 1);
  map.set('b', 2);
  for (const [index, key] of ['c', 'd', 'e', 'f', 'g'].entries()) {
    map.set(key, index);
    expect(map.get('a')).toBe(1);
  }
  expect(map.get('b')).toBeUndefined();
});

it('setting an entry again, or after it was deleted, pushes out nobody', () => {
  const map = new BoundedMap<number>(4);
  map.set('a', 1);
  map.set('b', 2);
  map.set('a', 3);
  map.delete('b');
  map.set('b', 4);
  expect([map.get('a'), map.get('b'), map.size]).toEqual([3, 4, 2]);
});

it('never holds more than its bound, nor anything but what was set last (property)', () => {
  const step = fc.tuple(fc.constantFrom('get', 'set', 'delete'), fc.integer({ min: 0, max: 15 }).map(String));
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 9 }), fc.array(step), (most, steps) => {
      const map = new BoundedMap<number>(most);
      const truth = new Map<string, number>();
      for (const [index, [what, key]] of steps.entries()) {
        if (what === 'set') {
          map.set(key, index);
          truth.set(key, index);
          expect(map.get(key)).toBe(index);
        } else if (what === 'delete') {
          map.delete(key);
          truth.delete(key);
        } else expect([undefined, truth.get(key)]).toContain(map.get(key));
        expect(map.size).toBeLessThanOrEqual(most);
      }
    }),
  );
});
