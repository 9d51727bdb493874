import type { HeaderMatch, RouteMatch, StringMatch } from '@inmesh/policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Call } from '../call.ts';
import { compileMatch } from '../match/conditions.ts';
import { testCall } from '../testing/index.ts';
import { RouteTable } from './table.ts';

const any: RouteMatch = { path: null, method: null, scheme: null, authority: null, headers: [], query: [] };
const at = (value: string, kind: 'exact' | 'prefix' | 'segments' = 'prefix'): RouteMatch => ({
  ...any,
  path: { kind, value, ignoreCase: false },
});
const table = (...matches: RouteMatch[]): RouteTable<number> => new RouteTable(matches.map((match, value) => ({ match, value })));

function scan(matches: readonly RouteMatch[], call: Call): number {
  return matches.findIndex((match) => compileMatch(match)?.(call) ?? true);
}

describe('the route table', () => {
  it('takes the first rule that matches, not the most specific one', () => {
    const routes = table(at('/a'), at('/a/b'), at('/a/b', 'exact'));
    expect(routes.find(testCall({ path: '/a/b' }))).toBe(0);
  });

  it('finds none where none matches', () => {
    const routes = table(at('/a', 'exact'), at('/b'));
    expect(routes.find(testCall({ path: '/a/x' }))).toBeUndefined();
    expect(routes.indexOf(testCall({ path: '/' }))).toBe(-1);
    expect(table().find(testCall())).toBeUndefined();
  });

  it('goes on to a later rule where an earlier one fails on something else than the path', () => {
    const routes = table({ ...at('/a/b', 'exact'), method: { kind: 'exact', value: 'POST' } }, at('/a'));
    expect(routes.find(testCall({ path: '/a/b' }))).toBe(1);
    expect(routes.find(testCall({ path: '/a/b', method: 'POST' }))).toBe(0);
  });

  it('tells many rules of one path apart by a header, and still heeds their order', () => {
    const user = (name: string): RouteMatch => ({
      ...any,
      headers: [{ name: 'user', match: { kind: 'exact', value: name }, invert: false }],
    });
    const rules = [...Array.from({ length: 50 }, (_, index) => user(`u${index}`)), { ...at('/x') }, user('late'), user('u7'), any];
    const routes = table(...rules);
    expect(routes.find(testCall({ headers: { user: 'u7' } }))).toBe(7);
    expect(routes.find(testCall({ headers: { user: 'late' } }))).toBe(51);
    expect(routes.find(testCall({ path: '/x', headers: { user: 'late' } }))).toBe(50);
    expect(routes.find(testCall({ headers: { user: 'nobody' } }))).toBe(53);
    expect(routes.find(testCall())).toBe(53);
  });

  it('looks at no more than a handful of a thousand rules', () => {
    let asked = 0;
    const rules = Array.from({ length: 1000 }, (_, index) => at(`/service-${index}/`));
    const routes = table(
      ...rules.map((rule) => ({ ...rule, headers: [{ name: 'x', match: { kind: 'present' } as const, invert: false }] })),
    );
    const call = testCall({ path: '/service-777/items' });
    expect(routes.find({ ...call, header: () => ((asked += 1), 'there') })).toBe(777);
    expect(asked).toBe(1);
  });

  const texts = ['', '/', '/a', '/A', '/a/', '/a/b', '/ab', '/ab/c', '/a/b/c', '/b', '*', '/Σ', '/ΑΣ', '/aΣ', '/ΑΣB'];
  const path = fc.oneof(
    fc.record({ kind: fc.constantFrom('exact' as const, 'prefix' as const), value: fc.constantFrom(...texts), ignoreCase: fc.boolean() }),
    fc.record({
      kind: fc.constant('segments' as const),
      value: fc.constantFrom('', '/a', '/A', '/a/b', '/ab', '/b'),
      ignoreCase: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('regex' as const),
      value: fc.constantFrom('.*', '/a.*', '/a/b?', '/(a|b)', '/a|/b', '(?i)/A', '/ab*/c'),
    }),
  );
  const text: fc.Arbitrary<StringMatch> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('exact' as const), value: fc.constantFrom('1', '2', '3', '') }) },
    fc
      .record({ kind: fc.constantFrom('prefix' as const, 'regex' as const), value: fc.constantFrom('1', '2', '[12]?') })
      .filter(({ kind, value }) => kind === 'regex' || value.length === 1),
    fc.constant({ kind: 'present' as const }),
  );
  const named: fc.Arbitrary<HeaderMatch> = fc.record({ name: fc.constantFrom('x', 'y', ':method'), match: text, invert: fc.boolean() });
  const rule: fc.Arbitrary<RouteMatch> = fc.record({
    path: fc.option(path),
    method: fc.option(fc.constant<StringMatch>({ kind: 'exact', value: 'POST' }), { freq: 5 }),
    scheme: fc.constant(null),
    authority: fc.constant(null),
    headers: fc.oneof({ weight: 1, arbitrary: fc.constant([]) }, { weight: 3, arbitrary: fc.array(named, { maxLength: 2 }) }),
    query: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(named, { maxLength: 1 }) }),
  });
  const call = fc
    .record({
      path: fc.constantFrom(...texts, '/a/b/c/d', '/AB', '/aσ', '/c'),
      method: fc.constantFrom('GET', 'POST', '1'),
      query: fc.constantFrom('', 'x=1', 'y=2&x=1', 'x'),
      headers: fc.constantFrom<Record<string, string | string[]>>(
        {},
        { x: '1' },
        { x: '2', y: '1' },
        { y: '3' },
        { x: '' },
        { x: ['1', '2'] },
      ),
    })
    .map((fields) => testCall(fields));

  it('answers what a scan of the list answers', () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 40 }), fc.array(call, { minLength: 1, maxLength: 12 }), (matches, calls) => {
        const routes = table(...matches);
        // Twice: what was computed at the first visit must answer as well.
        for (const asked of [...calls, ...calls]) expect(routes.indexOf(asked)).toBe(scan(matches, asked));
      }),
      { numRuns: 1500 },
    );
  });

  it('answers what a scan answers for a list that only headers tell apart', () => {
    const pathless = rule.map((match) => ({ ...match, path: null }));
    fc.assert(
      fc.property(fc.array(pathless, { minLength: 8, maxLength: 60 }), fc.array(call, { minLength: 1, maxLength: 8 }), (matches, calls) => {
        const routes = table(...matches);
        for (const asked of [...calls, ...calls]) expect(routes.indexOf(asked)).toBe(scan(matches, asked));
      }),
      { numRuns: 1000 },
    );
  });
});
