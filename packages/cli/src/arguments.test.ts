import { describe, expect, it } from 'vitest';
import { caller, header, label, method, path, place, port } from './arguments.ts';

describe('what is written on the command line', () => {
  it('is read into values', () => {
    expect(caller('prod/web')).toEqual({ namespace: 'prod', name: 'web' });
    expect(label('b=2=3', { a: '' })).toEqual({ a: '', b: '2=3' });
    expect(port('65535')).toBe(65535);
    expect(method('M-SEARCH')).toBe('M-SEARCH');
    expect(header('Accept:text/html;q=0.5:x ', [['a', '']])).toEqual([
      ['a', ''],
      ['Accept', 'text/html;q=0.5:x'],
    ]);
    expect(header('x-empty:')).toEqual([['x-empty', '']]);
    expect(path('b', ['a'])).toEqual(['a', 'b']);
  });

  it('may leave out the end of a locality', () => {
    expect(place('eu')).toEqual({ region: 'eu', zone: '', subzone: '' });
    expect(place('eu/a')).toEqual({ region: 'eu', zone: 'a', subzone: '' });
    expect(place('eu/a/1')).toEqual({ region: 'eu', zone: 'a', subzone: '1' });
  });

  it('keeps a label of any name a label', () => {
    const labels = label('__proto__=x');
    expect(Object.entries(labels)).toEqual([['__proto__', 'x']]);
    expect(Object.getPrototypeOf(labels)).toBe(Object.prototype);
  });

  it.each([
    ['a port of 0', () => port('0')],
    ['a port with a sign', () => port('+80')],
    ['a locality of four', () => place('a/b/c/d')],
    ['a locality with a hole', () => place('a//c')],
    ['a label without a key', () => label('=x')],
    ['a path of nothing', () => path('')],
  ])('is refused: %s', (_, read) => {
    expect(read).toThrow(expect.objectContaining({ code: 'commander.invalidArgument' }));
  });
});
