import { expect, it } from 'vitest';
import { compilePathTemplate } from './path-template.ts';

// The first rows are those of Istio's TestAuthz_PathTemplating and CVE-2025-46821.
it.each([
  ['/allow/admin/{**}', '/allow/admin/', true],
  ['/allow/admin/{**}', '/allow/admin/a/b', true],
  ['/allow/admin/{**}', '/allow/admin', false],
  ['/foo/{*}/bar/{**}', '/foo/x/bar/bat.txt', true],
  ['/foo/{*}/bar/{**}', '/foo//bar/bat.txt', false],
  ['/foo/{*}/bar/{**}', '/foo/x/y/bar/bat.txt', false],
  ['/store/{**}/cart', '/store//cart', true],
  ['/store/{**}/cart', '/store/foo/bar/cart', true],
  ['/store/{**}/cart', '/store/cart', false],
  ['/store/{*}/cart', '/store/a*b/cart', true],
  ['/{*}', '/a', true],
  ['/{*}', '/', false],
  ['/{*}', '/a/', false],
])('%s and %s: %s', (template, path, expected) => {
  expect(compilePathTemplate(template, false)(path)).toBe(expected);
  expect(compilePathTemplate(template, true)(path)).toBe(expected);
});

it('a rule that denies sees characters that Envoy’s class lacks', () => {
  for (const odd of ['[', ']', '|', '"', '\u00e9']) {
    expect(compilePathTemplate('/store/{*}/cart', false)(`/store/a${odd}b/cart`)).toBe(false);
    expect(compilePathTemplate('/store/{*}/cart', true)(`/store/a${odd}b/cart`)).toBe(true);
    expect(compilePathTemplate('/store/{**}', true)(`/store/a${odd}b/cart`)).toBe(true);
  }
});
