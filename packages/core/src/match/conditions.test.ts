import type { HeaderMatch, PathMatch, RouteMatch, StringMatch } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { type TestCall, testCall } from '../testing/index.ts';
import { compileMatch, conditions, describeFailure } from './conditions.ts';

const any: RouteMatch = { path: null, method: null, scheme: null, authority: null, headers: [], query: [] };
const exact = (value: string): StringMatch => ({ kind: 'exact', value });
const prefix = (value: string): StringMatch => ({ kind: 'prefix', value });
const regex = (value: string): StringMatch => ({ kind: 'regex', value });
const present: StringMatch = { kind: 'present' };
const header = (name: string, match: StringMatch): Partial<RouteMatch> => ({ headers: [{ name, match, invert: false }] });
const without = (name: string, match: StringMatch): Partial<RouteMatch> => ({ headers: [{ name, match, invert: true }] });
const query = (name: string, match: StringMatch, invert = false): Partial<RouteMatch> => ({
  query: [{ name, match, invert }] as HeaderMatch[],
});
const path = (kind: 'exact' | 'prefix' | 'segments', value: string, ignoreCase = false): Partial<RouteMatch> => ({
  path: { kind, value, ignoreCase },
});
const pathRegex = (value: string): Partial<RouteMatch> => ({ path: { kind: 'regex', value } satisfies PathMatch });

const matches = (match: Partial<RouteMatch>, call: TestCall): boolean => compileMatch({ ...any, ...match })?.(testCall(call)) ?? true;

describe('a rule', () => {
  it.each<[string, Partial<RouteMatch>, TestCall, boolean]>([
    ['without conditions matches all', {}, {}, true],
    ['exact path', path('exact', '/foo'), { path: '/foo' }, true],
    ['exact path, not below it', path('exact', '/foo'), { path: '/foo/' }, false],
    ['exact path heeds case', path('exact', '/foo'), { path: '/Foo' }, false],
    ['exact path, case ignored', path('exact', '/foO', true), { path: '/Foo' }, true],
    ['a path is looked at without its query', path('exact', '/foo'), { path: '/foo', query: 'a=b' }, true],
    ['prefix is a plain string prefix', path('prefix', '/foo'), { path: '/foobar' }, true],
    ['prefix heeds case', path('prefix', '/foo'), { path: '/FOObar' }, false],
    ['prefix, case ignored', path('prefix', '/foo', true), { path: '/FOObar' }, true],
    ['an empty prefix is any path', path('prefix', ''), { path: '*' }, true],
    ['prefix / needs a slash', path('prefix', '/'), { path: '*' }, false],
    ['segments: itself', path('segments', '/foo'), { path: '/foo' }, true],
    ['segments: with slash', path('segments', '/foo'), { path: '/foo/' }, true],
    ['segments: below', path('segments', '/foo'), { path: '/foo/bar' }, true],
    ['segments: not a longer word', path('segments', '/foo'), { path: '/foobar' }, false],
    ['segments, case ignored', path('segments', '/FOO', true), { path: '/foo/x' }, true],
    ['segments: the root holds all', path('segments', ''), { path: '/x' }, true],
    ['regex takes the whole path', pathRegex('/v[0-9]+'), { path: '/v12' }, true],
    ['regex is no search', pathRegex('/v[0-9]+'), { path: '/v12/x' }, false],
    ['method', { method: exact('GET') }, { method: 'GET' }, true],
    ['method heeds case', { method: exact('get') }, { method: 'GET' }, false],
    ['method by regex', { method: regex('GET|HEAD') }, { method: 'HEAD' }, true],
    ['scheme', { scheme: prefix('http') }, { scheme: 'https' }, true],
    ['authority includes the port', { authority: exact('reviews') }, { authority: 'reviews:9080' }, false],
    ['authority as sent', { authority: exact('reviews:9080') }, { authority: 'reviews:9080' }, true],
    ['header value', header('end-user', exact('jason')), { headers: { 'End-User': 'jason' } }, true],
    ['header value heeds case', header('end-user', exact('jason')), { headers: { 'end-user': 'Jason' } }, false],
    ['missing header', header('end-user', exact('')), {}, false],
    ['missing header and a regex that takes all', header('x', regex('.*')), {}, false],
    ['header prefix', header('x', prefix('ja')), { headers: { x: 'jason' } }, true],
    ['repeated headers are joined by a comma', header('x', exact('a,b')), { headers: { x: ['a', 'b'] } }, true],
    ['presence', header('x', present), { headers: { x: '' } }, true],
    ['presence of a missing one', header('x', present), {}, false],
    ['without a value: missing counts as empty', without('x', exact('foo')), {}, true],
    ['without a value: another', without('x', exact('foo')), { headers: { x: 'bar' } }, true],
    ['without a value: that one', without('x', exact('foo')), { headers: { x: 'foo' } }, false],
    ['without the empty value: missing', without('x', exact('')), {}, false],
    ['without .*: missing', without('x', regex('.*')), {}, false],
    ['without .*: there', without('x', regex('.*')), { headers: { x: 'a' } }, false],
    ['without presence: missing', without('x', present), {}, true],
    ['without presence: there', without('x', present), { headers: { x: '' } }, false],
    ['pseudo header :method', header(':method', exact('POST')), { method: 'POST' }, true],
    ['pseudo header :path carries the query', header(':path', exact('/a?b=c')), { path: '/a', query: 'b=c' }, true],
    ['pseudo header :path without query', header(':path', exact('/a')), { path: '/a' }, true],
    ['pseudo header :authority', header(':authority', prefix('rev')), { authority: 'reviews:1' }, true],
    ['host is the authority', header('host', exact('reviews:1')), { authority: 'reviews:1' }, true],
    ['pseudo header :scheme, inverted', without(':scheme', exact('https')), { scheme: 'http' }, true],
    ['query value', query('debug', exact('1')), { query: 'a=b&debug=1' }, true],
    ['query: the first occurrence counts', query('debug', exact('2')), { query: 'debug=1&debug=2' }, false],
    ['query values are not decoded', query('q', exact('a b')), { query: 'q=a%20b' }, false],
    ['query values are compared as written', query('q', exact('a%20b')), { query: 'q=a%20b' }, true],
    ['query names are whole', query('q', present), { query: 'qq=1' }, false],
    ['a parameter without = is empty', query('q', exact('')), { query: 'a&q' }, true],
    ['query presence', query('q', present), { query: 'q' }, true],
    ['query missing', query('q', regex('.*')), { query: '' }, false],
    [
      'all must hold',
      { ...path('prefix', '/a'), method: exact('GET'), ...header('x', exact('1')), ...query('q', present) },
      { path: '/a', query: 'q', headers: { x: '1' } },
      true,
    ],
    [
      'one of four fails',
      { ...path('prefix', '/a'), method: exact('GET'), ...header('x', exact('1')), ...query('q', present) },
      { path: '/a', query: 'q', headers: { x: '2' } },
      false,
    ],
  ])('%s', (_, match, call, expected) => {
    expect(matches(match, call)).toBe(expected);
  });

  it('stays linear on a pattern that ruins a backtracking engine', () => {
    const started = performance.now();
    expect(matches(pathRegex('/(a+)+$'), { path: `/${'a'.repeat(5000)}!` })).toBe(false);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe('a condition that fails', () => {
  it.each<[Partial<RouteMatch>, TestCall, string]>([
    [header('end-user', exact('jason')), { headers: { 'end-user': '' } }, 'header end-user is "" but must equal "jason"'],
    [header('end-user', exact('jason')), {}, 'header end-user is absent but must equal "jason"'],
    [without('x', prefix('a')), { headers: { x: 'ab' } }, 'header x is "ab" but must not start with "a"'],
    [without('x', present), { headers: { x: '1' } }, 'header x is "1" but must be absent'],
    [path('segments', '/a', true), { path: '/b' }, 'path is "/b" but must be "/a" or below it, case ignored'],
    [pathRegex('/a.*'), { path: '/b' }, 'path is "/b" but must match /\\/a.*/ as a whole'.replace('\\/', '/')],
    [query('q', present), {}, 'query parameter q is absent but must be present'],
    [{ method: exact('POST') }, {}, 'method is "GET" but must equal "POST"'],
  ])('%# says what was found and what must be', (match, call, sentence) => {
    const asked = testCall(call);
    const failing = conditions({ ...any, ...match }).find((condition) => !condition.holds(asked))!;
    expect(describeFailure(failing, asked)).toBe(sentence);
  });
});
