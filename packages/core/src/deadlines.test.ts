import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deadlines } from './deadlines.ts';
import { fakeClock } from './testing/index.ts';

function setting() {
  const clock = fakeClock();
  const deadlines = new Deadlines(clock);
  const fired: [name: string, at: number][] = [];
  const item = (name: string) => ({ expired: () => void fired.push([name, clock.now()]) });
  return { clock, deadlines, fired, item };
}

describe('deadlines', () => {
  it('come at their moment, in any order of adding', () => {
    const { clock, deadlines, fired, item } = setting();
    deadlines.add(item('late'), 300);
    deadlines.add(item('early'), 100);
    deadlines.add(item('middle'), 200);
    clock.advance(1000);
    expect(fired).toEqual([['early', 100], ['middle', 200], ['late', 300]]); // prettier-ignore
    expect(deadlines.size).toBe(0);
  });

  it('come also when one before them throws', () => {
    const { clock, deadlines, fired, item } = setting();
    deadlines.add(
      {
        expired: () => {
          throw new Error('a bug of whoever was told');
        },
      },
      100,
    );
    deadlines.add(item('same'), 100);
    deadlines.add(item('later'), 200);
    expect(() => clock.advance(150)).toThrow('a bug');
    clock.advance(150);
    expect(fired.map(([name]) => name)).toEqual(['same', 'later']);
  });

  it('that were removed do not come, and removing twice harms nobody', () => {
    const { clock, deadlines, fired, item } = setting();
    const slot = deadlines.add(item('gone'), 100);
    deadlines.remove(slot);
    deadlines.remove(slot);
    deadlines.add(item('first'), 150);
    deadlines.add(item('second'), 160);
    clock.advance(1000);
    expect(fired.map(([name]) => name)).toEqual(['first', 'second']);
  });

  it('are waited for with one timer, however many there are', () => {
    const { clock, deadlines, item } = setting();
    for (let i = 0; i < 5000; i += 1) deadlines.add(item(String(i)), 5000 + i);
    expect([clock.pending, deadlines.size]).toEqual([1, 5000]);
    deadlines.close();
    expect(clock.pending).toBe(0);
  });

  it('always come, each once, never early, at most a sweep late', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ at: fc.integer({ min: 1, max: 500 }), remove: fc.boolean() }), { maxLength: 60 }), (items) => {
        const { clock, deadlines, fired, item } = setting();
        const slots = items.map(({ at }, index) => deadlines.add(item(String(index)), at));
        items.forEach(({ remove }, index) => remove && deadlines.remove(slots[index]!));
        clock.advance(1000);
        const expected = items.flatMap(({ at, remove }, index) => (remove ? [] : [[String(index), at] as const]));
        expect(fired.length).toBe(expected.length);
        for (const [name, at] of expected) {
          const came = fired.find((each) => each[0] === name)![1];
          expect(came).toBeGreaterThanOrEqual(at - 1);
          expect(came).toBeLessThanOrEqual(at);
        }
      }),
    );
  });
});
