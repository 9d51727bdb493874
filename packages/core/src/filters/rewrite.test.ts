import type { PathRewrite } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { compileRewrite } from './rewrite.ts';

const prefix = (from: string, to: string, ignoreCase = false): PathRewrite => ({ kind: 'prefix', prefix: from, value: to, ignoreCase });
const segments = (from: string, to: string): PathRewrite => ({ kind: 'segments', prefix: from, value: to });
const regex = (pattern: string, substitution: string): PathRewrite => ({ kind: 'regex', pattern, substitution });

describe('a path rewrite', () => {
  it.each<[string, PathRewrite, string, string]>([
    ['replaces a matched prefix', prefix('/foo', '/xyz'), '/foo/bar', '/xyz/bar'],
    ['concatenates as Envoy does', prefix('/foo', '/'), '/foo/bar', '//bar'],
    ['is clean with a slash on both', prefix('/foo/', '/'), '/foo/bar', '/bar'],
    ['replaces no other prefix', prefix('/foo', '/xyz'), '/bar', '/bar'],
    ['replaces a prefix whose case is ignored', prefix('/Foo', '/xyz', true), '/fOO/Bar', '/xyz/Bar'],
    ['heeds case otherwise', prefix('/Foo', '/xyz'), '/foo/bar', '/foo/bar'],
    ['keeps a leading slash', prefix('/foo/', ''), '/foo/bar', '/bar'],
    ['replaces all', { kind: 'full', value: '/new' }, '/foo/bar', '/new'],
    // The table of Gateway API's HTTPPathModifier.
    ['segments /xyz', segments('/foo', '/xyz'), '/foo/bar', '/xyz/bar'],
    ['segments /xyz/', segments('/foo', '/xyz/'), '/foo/bar', '/xyz/bar'],
    ['match /foo/ behaves as /foo', segments('/foo/', '/xyz'), '/foo/bar', '/xyz/bar'],
    ['match /foo/ and /xyz/', segments('/foo/', '/xyz/'), '/foo/bar', '/xyz/bar'],
    ['segments alone', segments('/foo', '/xyz'), '/foo', '/xyz'],
    ['segments with a slash', segments('/foo', '/xyz'), '/foo/', '/xyz/'],
    ['segments to nothing', segments('/foo', ''), '/foo/bar', '/bar'],
    ['segments to nothing, with a slash', segments('/foo', ''), '/foo/', '/'],
    ['segments to nothing, alone', segments('/foo', ''), '/foo', '/'],
    ['segments to the root', segments('/foo', '/'), '/foo/bar', '/bar'],
    ['segments to the root, with a slash', segments('/foo', '/'), '/foo/', '/'],
    ['segments to the root, alone', segments('/foo', '/'), '/foo', '/'],
    ['segments leave a longer word', segments('/foo', '/xyz'), '/foobar', '/foobar'],
    ['the root as segments', segments('', '/xyz'), '/foo', '/xyz/foo'],
    ['regex replaces every occurrence', regex('/v1', '/v2'), '/v1/a/v1', '/v2/a/v2'],
    ['regex groups', regex('^/user/([^/]+)(/.*)$', '\\2/instance/\\1'), '/user/7/api', '/api/instance/7'],
  ])('%s', (_, rewrite, path, expected) => {
    expect(compileRewrite(rewrite)(path)).toBe(expected);
  });
});
