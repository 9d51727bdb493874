import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clientForms, covers, fullName, HostIndex, moreSpecific, overlap } from './hosts.ts';

describe('names in rules', () => {
  it.each([
    ['reviews', 'reviews.shop.svc.cluster.local'],
    ['Reviews', 'reviews.shop.svc.cluster.local'],
    ['reviews.prod', 'reviews.prod'],
    ['reviews.prod.svc.cluster.local', 'reviews.prod.svc.cluster.local'],
    ['API.Example.com', 'api.example.com'],
    ['10.0.0.1', '10.0.0.1'],
    ['::1', '::1'],
    ['*', '*'],
    ['*.example.com', '*.example.com'],
  ])('%s of namespace shop means %s', (written, meant) => {
    expect(fullName(written, 'shop', 'cluster.local')).toBe(meant);
  });

  it.each([
    ['a.com', 'a.com', true],
    ['a.com', 'b.a.com', false],
    ['*.a.com', 'b.a.com', true],
    ['*.a.com', 'c.b.a.com', true],
    ['*.a.com', 'a.com', false],
    ['*.a.com', '.a.com', false],
    ['*.a.com', 'ba.com', false],
    ['*', 'a.com', true],
    ['*', '*.a.com', true],
    ['*.com', '*.a.com', true],
    ['*.a.com', '*.com', false],
    ['*.a.com', '*.a.com', true],
    ['a.com', '*.com', false],
  ])('%s covers %s: %s', (pattern, host, expected) => {
    expect(covers(pattern, host)).toBe(expected);
  });

  it('two names overlap if one covers the other', () => {
    expect(overlap('*.a.com', 'b.a.com')).toBe(true);
    expect(overlap('b.a.com', '*.a.com')).toBe(true);
    expect(overlap('*.a.com', '*.b.com')).toBe(false);
  });

  it('sorts names before wildcards, long wildcards before short ones, then by the alphabet', () => {
    expect(['*', '*.com', 'b.com', '*.b.com', 'a.com', '*.a.com'].toSorted(moreSpecific)).toEqual([
      'a.com',
      'b.com',
      '*.a.com',
      '*.b.com',
      '*.com',
      '*',
    ]);
  });
});

describe('HostIndex', () => {
  const label = fc.constantFrom('a', 'b', 'ab');
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const pattern = fc.oneof(
    name,
    name.map((suffix) => `*.${suffix}`),
    fc.constant('*'),
  );

  it('finds what a scan for the most specific cover finds', () => {
    fc.assert(
      fc.property(fc.array(pattern), pattern, (patterns, host) => {
        const index = new HostIndex<string>();
        for (const one of patterns) index.add(one, one, (present) => present);
        const scanned = patterns.filter((one) => covers(one, host)).toSorted(moreSpecific)[0];
        expect(index.mostSpecific(host)).toBe(scanned);
        expect([...index.coveringWildcards(host)]).toEqual(
          [...new Set(patterns.filter((one) => one.startsWith('*') && covers(one, host)))].toSorted(moreSpecific),
        );
      }),
    );
  });

  it('lets the caller join what stands for one host', () => {
    const index = new HostIndex<readonly number[]>();
    for (const [at, host] of ['a', '*.a', 'a', '*.a'].entries()) index.add(host, [at], (present, added) => [...present, ...added]);
    expect([...index.entries()]).toEqual([['a', [0, 2]], ['*.a', [1, 3]]]); // prettier-ignore
  });
});

describe('names clients may write', () => {
  const host = 'reviews.prod.svc.cluster.local';

  it.each([
    ['another namespace', 'default', [host, `${host}.`, 'reviews.prod', 'reviews.prod.svc']],
    ['its own namespace', 'prod', [host, `${host}.`, 'reviews', 'reviews.prod', 'reviews.prod.svc']],
  ])('from %s', (_, namespace, forms) => {
    expect(clientForms(host, namespace, 'cluster.local', false)).toEqual(forms);
  });

  it('a host outside the cluster has its own name only', () => {
    expect(clientForms('api.example.com', 'prod', 'cluster.local', false)).toEqual(['api.example.com', 'api.example.com.']);
    expect(clientForms(host, 'prod', 'other.domain', false)).toEqual([host, `${host}.`]);
    expect(clientForms('*.prod.svc.cluster.local', 'prod', 'cluster.local', false)).toEqual([
      '*.prod.svc.cluster.local',
      '*.prod.svc.cluster.local.',
    ]);
  });

  it('the pods of a headless service stand under each of its names', () => {
    expect(clientForms(host, 'prod', 'cluster.local', true)).toEqual([
      host, `${host}.`, 'reviews', 'reviews.prod', 'reviews.prod.svc',
      `*.${host}`, `*.${host}.`, '*.reviews', '*.reviews.prod', '*.reviews.prod.svc',
    ]); // prettier-ignore
  });
});
