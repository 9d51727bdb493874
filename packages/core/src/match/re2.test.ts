import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fullMatch, literalPrefix, re2, replaceAll } from './re2.ts';

describe('patterns', () => {
  it('are compiled once', () => {
    expect(re2('a[b-c]')).toBe(re2('a[b-c]'));
  });

  it('do not pile up', () => {
    const first = re2('the-first-of-many');
    for (let index = 0; index < 2048; index += 1) re2(`filler-${index}`);
    expect(re2('the-first-of-many')).not.toBe(first);
  });
});

describe('replaceAll', () => {
  it.each([
    ['/v1', '/v2', '/v1/a/v1', '/v2/a/v2'],
    ['/v(\\d+)/(\\w+)', '/\\2/\\1', '/v12/users/x', '/users/12/x'],
    ['a*', 'X', 'baac', 'XbXcX'],
    ['b', '[\\0]', 'abc', 'a[b]c'],
    ['b', '\\\\', 'abc', 'a\\c'],
    ['(a)|(b)', '<\\1\\2>', 'ab', '<a><b>'],
    ['b', '\\7', 'abc', 'ac'],
    ['b', '$1$&', 'abc', 'a$1$&c'],
    ['z', 'y', 'abc', 'abc'],
    ['^/', '/x/', '/a/b', '/x/a/b'],
  ])('%s → %s turns %s into %s', (pattern, substitution, text, expected) => {
    expect(replaceAll(pattern, substitution)(text)).toBe(expected);
  });
});

describe('literalPrefix', () => {
  it.each([
    ['/api/v[0-9]+/.*', '/api/v'],
    ['^/api/.*$', '/api/'],
    ['/a|/b', ''],
    ['/a(b|c)', '/a'],
    ['/a(?:b|c)|d', ''],
    ['/a[|]b', '/a'],
    ['/a\\|b', '/a'],
    ['/ab*', '/a'],
    ['/ab?c', '/a'],
    ['/ab{0,2}', '/a'],
    ['/ab+', '/ab'],
    ['(?i)/a', ''],
    ['.*', ''],
    ['/😀*', '/'],
    ['\\Q/a|b\\E', ''],
    ['/plain', '/plain'],
  ])('of %s is %s', (pattern, prefix) => {
    expect(literalPrefix(pattern)).toBe(prefix);
  });

  it('is one every full match has', () => {
    const pieces = fc.array(
      fc.constantFrom('a', 'b', '/', 'a*', 'b+', '/?', '(a|b)', '|', '[ab]', '[|a]', '.', '\\|', '(?:/|a)*', 'b{0,1}', '^', '$', '(', ')'),
      { maxLength: 8 },
    );
    const texts = fc.array(fc.constantFrom('a', 'b', '/', '|'), { maxLength: 6 });
    fc.assert(
      fc.property(pieces, texts, (parts, letters) => {
        const pattern = parts.join('');
        let matches;
        try {
          matches = fullMatch(pattern);
        } catch {
          return;
        }
        const text = letters.join('');
        if (matches(text)) expect(text.startsWith(literalPrefix(pattern))).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
