import { describe, expect, it } from 'vitest';
import { documentOf, judge, named, resource, type Row } from '../testing/problems.ts';
import { isKind } from './index.ts';

const fields = (more: object = {}): Record<string, unknown> => ({ host: 'ratings', idempotent: ['/shop.Ratings/Get'], delay: '50ms', ...more }); // prettier-ignore

const rows: readonly Row[] = [
  ['an ordinary one', fields(), null],
  ['every method of a service', fields({ idempotent: ['/shop.Ratings/*'] }), null],
  ['all at once', fields({ delay: '0s', maxAttempts: 5 }), null],
  ['nothing named', fields({ idempotent: [] }), 'spec.idempotent', /empty/],
  ['no delay', { host: 'ratings', idempotent: ['/a'] }, 'spec.delay', /missing|required/i],
  ['a method without its service', fields({ idempotent: ['Get'] }), 'spec.idempotent[0]', /no path/],
  ['a wildcard in the middle', fields({ idempotent: ['/shop.*/Get'] }), 'spec.idempotent[0]', /before its end/],
  ['two wildcards', fields({ idempotent: ['/shop.**'] }), 'spec.idempotent[0]', /before its end/],
  ['one attempt, which is none beside it', fields({ maxAttempts: 1 }), 'spec.maxAttempts', /2 to/],
  ['more than gRPC allows', fields({ maxAttempts: 6 }), 'spec.maxAttempts', /2 to/],
  ['a field that is not here', fields({ percentile: 95 }), 'spec.percentile', /unknown field/],
]; // prettier-ignore

describe('HedgePolicy', () => {
  it.each(named(rows))('judges $name', ({ row }) => judge('HedgePolicy', row));

  it('fills in two attempts', () => {
    const [policy] = documentOf(resource('HedgePolicy', fields())).resources.filter(isKind('HedgePolicy'));
    expect(policy?.spec).toEqual({ host: 'ratings', idempotent: ['/shop.Ratings/Get'], delay: 50, maxAttempts: 2 });
  });
});
