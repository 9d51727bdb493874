import { describe, expect, it } from 'vitest';
import type { HeaderOp } from '../model.ts';
import { authorityOf, headerOps, type HeaderOperations, mergeHeaderOps } from './headers.ts';

const stage = (given: Partial<HeaderOperations>): HeaderOperations => ({ set: {}, add: {}, remove: [], ...given });
const short = (ops: readonly HeaderOp[]): string =>
  ops.map((op) => (op.op === 'remove' ? `-${op.name}` : `${op.op === 'set' ? '=' : '+'}${op.name}:${op.value}`)).join(' ');

describe('header operations', () => {
  it('remove comes first, then set, then add, each by name', () => {
    expect(short(headerOps(stage({ add: { 'X-B': '2', 'X-A': '1' }, set: { 'X-D': '4', 'x-c': '3' }, remove: ['X-Z', 'X-Y'] })))).toBe(
      '-x-z -x-y =x-c:3 =x-d:4 +x-a:1 +x-b:2',
    );
    expect(headerOps(undefined)).toEqual([]);
  });

  it('pseudo headers and host are left out', () => {
    const all = { Host: 'a', ':path': '/', ':method': 'GET', authority: 'b', ':authority': 'c', ok: '1' };
    expect(short(headerOps(stage({ set: all, add: all, remove: Object.keys(all) })))).toBe('-ok =ok:1 +ok:1');
  });

  it('with one destination its operations come after those of the route: it wins', () => {
    const merged = mergeHeaderOps(stage({ set: { x: 'route' }, remove: ['a'] }), stage({ set: { x: 'destination' }, remove: ['b'] }), true);
    expect(short(merged)).toBe('-a -b =x:route =x:destination');
  });

  it('with several destinations theirs are a stage of their own before the route: the route wins', () => {
    const merged = mergeHeaderOps(
      stage({ set: { x: 'route' }, remove: ['a'] }),
      stage({ set: { x: 'destination' }, remove: ['b'] }),
      false,
    );
    expect(short(merged)).toBe('-b =x:destination -a =x:route');
  });

  it('an absent scope changes nothing', () => {
    const only = stage({ set: { x: '1' } });
    for (const single of [true, false]) {
      expect(short(mergeHeaderOps(only, undefined, single))).toBe('=x:1');
      expect(short(mergeHeaderOps(undefined, only, single))).toBe('=x:1');
      expect(mergeHeaderOps(undefined, undefined, single)).toEqual([]);
    }
  });

  it('set or add of the authority is a host rewrite, set before add', () => {
    expect(authorityOf(stage({ add: { Host: 'added' }, set: { ':authority': 'set' } }))).toBe('set');
    expect(authorityOf(stage({ add: { authority: 'added' } }))).toBe('added');
    expect(authorityOf(stage({ set: { other: 'x' }, remove: ['host'] }))).toBeNull();
    expect(authorityOf(undefined)).toBeNull();
  });
});
