import { describe, expect, it } from 'vitest';
import { LeaseBook } from './lease.ts';

describe('leases', () => {
  it('find a value again by key, and close it when the last scope lets go', () => {
    const book = new LeaseBook();
    const closed: string[] = [];
    const make = (name: string) => [() => ({ name }), (value: { name: string }) => void closed.push(value.name)] as const;
    const first = book.scope();
    const kept = first.at('cluster')('a', ...make('a'));
    first.at('cluster')('b', ...make('b'));
    const second = book.scope();
    expect(second.at('cluster')('a', ...make('another'))).toBe(kept);
    first.release();
    expect([closed, book.keys()]).toEqual([['b'], ['cluster/a']]);
    first.release();
    expect(book.size).toBe(1);
    second.release();
    expect([closed, book.size]).toEqual([['b', 'a'], 0]);
  });

  it('count a scope once, however often it asks', () => {
    const book = new LeaseBook();
    const scope = book.scope();
    const lease = scope.at('here');
    lease('key', () => ({}));
    lease('key', () => ({}));
    scope.release();
    expect(book.size).toBe(0);
  });

  it('of two places do not meet', () => {
    const scope = new LeaseBook().scope();
    expect(scope.at('one')('key', () => ({}))).not.toBe(scope.at('two')('key', () => ({})));
  });
});
