import { describe, expect, it } from 'vitest';
import { edited, editResponse, flatten, rawOf, valueOf, valuesOf } from './headers.ts';

describe('headers of a request', () => {
  it('are taken in every form undici accepts', () => {
    const want = ['host', 'shop', 'accept', 'text/plain', 'x-many', 'one', 'x-many', 'two'];
    expect(flatten({ Accept: 'text/plain', 'X-Many': ['one', 'two'] }, 'shop')).toEqual(want);
    expect(flatten(['Accept', 'text/plain', 'X-Many', ['one', 'two']], 'shop')).toEqual(want);
    expect(flatten([['Accept', 'text/plain'], ['X-Many', ['one', 'two']]], 'shop')).toEqual(want); // prettier-ignore
    expect(flatten(new Headers([['accept', 'text/plain']]), 'shop')).toEqual(['host', 'shop', 'accept', 'text/plain']);
    expect(flatten(new Map([['Accept', 'text/plain']]), 'shop')).toEqual(['host', 'shop', 'accept', 'text/plain']);
    expect(flatten([Buffer.from('Accept'), Buffer.from('text/plain')], 'shop')).toEqual(['host', 'shop', 'accept', 'text/plain']);
    expect(flatten({ count: 5, absent: undefined, empty: null }, 'shop')).toEqual(['host', 'shop', 'count', '5', 'empty', '']);
    for (const nothing of [undefined, null]) expect(flatten(nothing, 'shop')).toEqual(['host', 'shop']);
  });

  it('lose the second length that the fetch of Node 22 writes, not a real contradiction', () => {
    expect(flatten({ 'content-length': '5, 5' }, 'shop')).toEqual(['host', 'shop', 'content-length', '5']);
    expect(flatten({ 'content-length': '5, 6' }, 'shop')).toEqual(['host', 'shop', 'content-length', '5, 6']);
  });

  it('are found by name, several joined', () => {
    const flat = flatten({ 'x-a': ['1', '2'], 'x-b': '3' }, 'shop');
    expect([valueOf(flat, 'x-a'), valueOf(flat, 'x-b'), valueOf(flat, 'x-c'), valuesOf(flat, 'x-a')]).toEqual([
      '1,2',
      '3',
      undefined,
      ['1', '2'],
    ]);
  });

  it('begin with the host: the one they name, or that of the origin', () => {
    expect(flatten({ accept: '*/*', Host: 'cart' }, 'shop')).toEqual(['host', 'cart', 'accept', '*/*']);
    expect(flatten(['Host', Buffer.from('cart')], 'shop')).toEqual(['host', 'cart']);
    expect(flatten({ host: ['cart', 'till'] }, 'shop')).toEqual(['host', 'cart,till']);
  });

  it('are sent as they are where nothing is edited', () => {
    const flat = flatten({ 'x-a': '1' }, 'shop');
    expect(edited(flat, [], 'shop')).toBe(flat);
    expect(edited(flat, [], 'cart')).toEqual(['host', 'cart', 'x-a', '1']);
    expect(flat).toEqual(['host', 'shop', 'x-a', '1']);
  });

  it('are edited in the order of the operations, on a copy', () => {
    const flat = flatten({ 'x-a': ['1', '2'], 'x-b': '3', Host: 'old' }, 'shop');
    const ops = [
      { op: 'remove', name: 'x-b' },
      { op: 'set', name: 'x-a', value: '9' },
      { op: 'add', name: 'x-a', value: '10' },
    ] as const;
    expect(edited(flat, ops, 'new')).toEqual(['host', 'new', 'x-a', '9', 'x-a', '10']);
    expect(flat).toEqual(['host', 'old', 'x-a', '1', 'x-a', '2', 'x-b', '3']);
  });
});

describe('headers of a response', () => {
  it('are edited on a copy, and only if something changes', () => {
    const before = { 'x-a': '1', 'x-b': '2', 'set-cookie': ['a=1'] };
    const headers = editResponse(before, [
      { op: 'remove', name: 'x-a' },
      { op: 'add', name: 'set-cookie', value: 'b=2' },
      { op: 'add', name: 'x-b', value: '3' },
      { op: 'set', name: 'x-c', value: '4' },
    ]);
    expect(headers).toEqual({ 'x-b': ['2', '3'], 'set-cookie': ['a=1', 'b=2'], 'x-c': '4' });
    expect(before).toEqual({ 'x-a': '1', 'x-b': '2', 'set-cookie': ['a=1'] });
    expect(editResponse(before, [{ op: 'remove', name: 'x-absent' }])).toBe(before);
  });

  it('have the raw form that handlers of older undici versions read', () => {
    expect(rawOf({ 'x-a': ['1', '2'], 'x-b': '3' }).map(String)).toEqual(['x-a', '1', 'x-a', '2', 'x-b', '3']);
  });
});
