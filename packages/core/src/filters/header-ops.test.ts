import type { HeaderOp } from '@inmesh/policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyHeaderOps, valuesAfter } from './header-ops.ts';

describe('header operations', () => {
  it('apply in their order', () => {
    const ops: HeaderOp[] = [
      { op: 'remove', name: 'a' },
      { op: 'set', name: 'b', value: '2' },
      { op: 'add', name: 'b', value: '3' },
      { op: 'add', name: 'c', value: '4' },
    ];
    expect(applyHeaderOps([['A', '1'], ['B', '1'], ['b', '1'], ['d', '5']], ops)).toEqual([['d', '5'], ['b', '2'], ['b', '3'], ['c', '4']]); // prettier-ignore
  });

  const name = fc.constantFrom('a', 'b');
  const op: fc.Arbitrary<HeaderOp> = fc.oneof(
    fc.record({ op: fc.constant('remove' as const), name }),
    fc.record({ op: fc.constantFrom('set' as const, 'add' as const), name, value: fc.constantFrom('1', '2') }),
  );

  it('say the same of one header as of the whole list', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.constantFrom('x', 'y'))), fc.array(op), (headers, ops) => {
        const of = (list: readonly (readonly [string, string])[]): string[] =>
          list.filter(([each]) => each === 'a').map(([, value]) => value);
        expect(valuesAfter('a', of(headers), ops)).toEqual(of(applyHeaderOps(headers, ops)));
      }),
    );
  });

  it('without add can be applied twice to the same end', () => {
    const idempotent = op.filter((each) => each.op !== 'add');
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.constantFrom('x', 'y'))), fc.array(idempotent), (headers, ops) => {
        const once = applyHeaderOps(headers, ops);
        const sorted = (list: readonly (readonly [string, string])[]): string[] => list.map((pair) => pair.join()).toSorted();
        expect(sorted(applyHeaderOps(once, ops))).toEqual(sorted(once));
      }),
    );
  });
});
