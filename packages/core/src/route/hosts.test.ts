import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Addressed, HostTable } from './hosts.ts';

const host = (value: string, port: number | null, ...domains: string[]): Addressed<string> => ({ value, port, domains });

describe('the host table', () => {
  const table = new HostTable([
    host('reviews', 9080, 'reviews', 'reviews.default', 'reviews.default.svc.cluster.local'),
    host('reviews other', 9090, 'reviews'),
    host('any foo', null, '*.foo.com'),
    host('foo at 443', 443, '*.foo.com'),
    host('bar.foo at 80', 80, '*.bar.foo.com'),
    host('exact', null, 'a.bar.foo.com'),
    host('late', 9080, 'reviews'),
  ]);

  it.each([
    ['reviews', 9080, 'reviews'],
    ['reviews.default.svc.cluster.local', 9080, 'reviews'],
    ['reviews', 9090, 'reviews other'],
    ['reviews', 80, undefined],
    ['ratings', 9080, undefined],
    ['x.foo.com', 80, 'any foo'],
    ['x.foo.com', 443, 'foo at 443'],
    ['x.y.foo.com', 443, 'foo at 443'],
    ['foo.com', 443, undefined],
    ['xfoo.com', 443, undefined],
    ['x.bar.foo.com', 80, 'bar.foo at 80'],
    ['x.bar.foo.com', 443, 'foo at 443'],
    ['bar.foo.com', 80, 'any foo'],
    ['a.bar.foo.com', 80, 'exact'],
    ['', 80, undefined],
  ])('%s:%i is %s', (name, port, expected) => {
    expect(table.find(name, port)).toBe(expected);
  });

  it('knows on which ports a name is spoken of', () => {
    expect(table.portsOf('reviews')).toEqual([9080, 9090]);
    expect(table.portsOf('x.bar.foo.com')).toEqual([null, 80, 443]);
    expect(table.portsOf('nobody')).toEqual([]);
  });

  it('finds what comparing all domains would find', () => {
    const domain = fc.constantFrom('a', 'a.b', 'b.c', 'a.b.c', '*.b', '*.c', '*.b.c', '*.a.b.c');
    const entry = fc.record({ domains: fc.array(domain, { minLength: 1, maxLength: 3 }), port: fc.constantFrom(null, 80, 90) });
    const rank = (domains: readonly string[], name: string): number =>
      Math.max(
        ...domains.map((each) =>
          each === name ? 1000 : each.startsWith('*.') && name.endsWith(each.slice(1)) && name.length >= each.length ? each.length : -1,
        ),
      );
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 8 }),
        fc.constantFrom('a', 'a.b', 'x.b', 'b.c', 'a.b.c', 'x.a.b.c'),
        fc.constantFrom(80, 90),
        (entries, name, port) => {
          let best: (typeof entries)[number] | undefined;
          let bestRank = -1;
          for (const each of entries) {
            if (each.port !== null && each.port !== port) continue;
            const own = rank(each.domains, name);
            const value = own < 0 ? -1 : own * 2 + (each.port === null ? 0 : 1);
            if (value > bestRank) [best, bestRank] = [each, value];
          }
          expect(new HostTable(entries.map((each) => ({ ...each, value: each }))).find(name, port)).toBe(best);
        },
      ),
    );
  });
});
