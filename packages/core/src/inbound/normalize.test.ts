import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalizeTarget, type PathNormalization } from './normalize.ts';

const path = (target: string, mode: PathNormalization = 'BASE') => normalizeTarget(target, mode)?.path;
const modes = ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const;

describe('the path as rules and routers see it', () => {
  it.each([
    ['/info/../private', '/private'],
    ['/public/%2e%2E/private', '/private'],
    ['/public/%2E/%2E%2E/private', '/private'],
    ['/app\\admin', '/app/admin'],
    ['/app\\..\\admin', '/admin'],
    ['/app/%2E./admin', '/admin'],
    ['/a//../b', '/a/b'],
    ['/../../x', '/x'],
    ['/a/..', '/'],
    ['/a/b/..', '/a/'],
    ['/a/.', '/a/'],
    ['admin', '/admin'],
    ['', '/'],
    ['/%41%2d%7e', '/A-~'],
    ['/%c0%ae%2F', '/%c0%ae%2F'],
    ['/xyz%30..//abc', '/xyz0..//abc'],
    ['/a"<>`{|}^ b', '/a%22%3C%3E%60%7B%7C%7D%5E%20b'],
    ['/[a];b,c=d', '/[a];b,c=d'],
    ['/\u00e9', '/%E9'],
    ['/\u{1f600}\u20ac', '/%F0%9F%98%80%E2%82%AC'],
    ['/a%4', '/a%4'],
    ['/%7F%C3', '/%7F%C3'],
    ['/\x7f\x01', '/%7F%01'],
    ['/%2Fapp%5cadmin%5Cabc', '/%2Fapp%5cadmin%5Cabc'],
    ['/%252e%252e/admin', '/%252e%252e/admin'],
    ['/.../..;/admin', '/.../..;/admin'],
    ['/%', '/%'],
    ['/%zz', '/%zz'],
  ])('BASE: %s is %s', (target, expected) => expect(path(target)).toBe(expected));

  it.each([
    ['/%2%65%2%65/admin', '/%252e%252e/admin'],
    ['/%%32%65%%32%65/admin', '/%252e%252e/admin'],
    ['/a%2%66b', '/a%252fb'],
  ])('an escape inside an escape is none: %s is %s', (target, expected) => expect(path(target)).toBe(expected));

  it.each([
    ['//admin', 'MERGE_SLASHES', '/admin'],
    ['/xyz%30..//abc', 'MERGE_SLASHES', '/xyz0../abc'],
    ['/a%2f%2fb', 'MERGE_SLASHES', '/a%2f%2fb'],
    ['/%2Fapp%5cadmin%5Cabc', 'DECODE_AND_MERGE_SLASHES', '/app/admin/abc'],
    ['/admin%2fx', 'DECODE_AND_MERGE_SLASHES', '/admin/x'],
    ['/a%2f..%2fadmin', 'DECODE_AND_MERGE_SLASHES', '/admin'],
    ['/%c0%2fadmin', 'DECODE_AND_MERGE_SLASHES', '/%c0/admin'],
    ['/a/../b//c', 'NONE', '/a/../b//c'],
  ] as const)('%s in mode %s is %s', (target, mode, expected) => expect(path(target, mode)).toBe(expected));

  it.each(modes)('a fragment is cut off in mode %s, a query is left alone', (mode) => {
    expect(normalizeTarget('/user/profile#section1', mode)).toEqual({ path: '/user/profile', query: '' });
    expect(normalizeTarget('/a?x=/../%2e#y', mode)).toEqual({ path: '/a', query: 'x=/../%2e' });
    expect(normalizeTarget('/a#b?c', mode)).toEqual({ path: '/a', query: '' });
  });

  it('a NUL is no path', () => {
    for (const mode of modes.slice(1)) {
      expect(normalizeTarget('/admin%00', mode)).toBeUndefined();
      expect(normalizeTarget('/admin\0', mode)).toBeUndefined();
    }
  });
});

const hostile = fc.string({
  unit: fc.constantFrom('%', '2', 'e', '5', 'f', 'c', '/', '\\', '.', 'a', '6', '3', '0', 'E', 'F', ';', '%2e', '%2f', '..'),
  maxLength: 24,
});
const runs = { numRuns: 20_000 };

describe('whatever is sent', () => {
  it.each(modes)('normalizing again changes nothing (%s)', (mode) => {
    fc.assert(
      fc.property(hostile, (text) => {
        const once = normalizeTarget(text, mode);
        return once === undefined || normalizeTarget(once.path, mode)?.path === once.path;
      }),
      runs,
    );
  });

  it.each(modes.slice(1))('no segment of dots is left, written or escaped (%s)', (mode) => {
    fc.assert(
      fc.property(hostile, (text) => {
        const { path: found } = normalizeTarget(text, mode) ?? { path: '/' };
        return found.startsWith('/') && !/\/\.{1,2}(?:\/|$)/.test(found.replace(/%2e/gi, '.'));
      }),
      runs,
    );
  });

  it('merging leaves no two slashes, decoding no escaped one', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const decoded = path(text, 'DECODE_AND_MERGE_SLASHES') ?? '';
        return !(path(text, 'MERGE_SLASHES') ?? '').includes('//') && !/\/\/|%2f|%5c|\\/i.test(decoded);
      }),
      runs,
    );
  });
});
