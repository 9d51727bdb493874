import { describe, expect, it } from 'vitest';
import { documentOf, judge, named, resource, type Row } from '../testing/problems.ts';
import { isKind } from './index.ts';

const fields = (more: object = {}): Record<string, unknown> => ({ service: 'reviews', indicator: { availability: {} }, objective: 99.9, ...more }); // prettier-ignore

const rows: readonly Row[] = [
  ['an ordinary one', fields(), null],
  ['a latency', fields({ indicator: { latency: { threshold: '250ms' } } }), null],
  ['a host of a ServiceEntry', fields({ service: 'api.example.com' }), null],
  ['no service', { indicator: { availability: {} }, objective: 99 }, 'spec.service', /required/],
  ['all services', fields({ service: '*' }), 'spec.service', /name a service|no destination/],
  ['no indicator', { service: 'a', objective: 99 }, 'spec.indicator', /required/],
  ['an indicator of nothing', fields({ indicator: {} }), 'spec.indicator', /missing/],
  ['two indicators', fields({ indicator: { availability: {}, latency: { threshold: '1s' } } }), 'spec.indicator.latency', /excludes latency/],
  ['a latency without a threshold', fields({ indicator: { latency: {} } }), 'spec.indicator.latency.threshold', /required/],
  ['a threshold of 0', fields({ indicator: { latency: { threshold: '0s' } } }), 'spec.indicator.latency.threshold', /0 means/],
  ['an indicator that is none', fields({ indicator: { availability: {}, throughput: {} } }), 'spec.indicator.throughput', /unknown field/],
  ['no objective', { service: 'a', indicator: { availability: {} } }, 'spec.objective', /required/],
  ['an objective of 100', fields({ objective: 100 }), 'spec.objective', /below 100/],
  ['an objective of 0', fields({ objective: 0 }), 'spec.objective', /above 0/],
  ['an objective in words', fields({ objective: '99.9%' }), 'spec.objective', /number/],
  ['a window of an hour', fields({ window: '1h' }), null],
  ['a window of 90 days', fields({ window: '90d' }), null],
  ['a window in weeks', fields({ window: '4w' }), null],
  ['a window shorter than an hour', fields({ window: '59m' }), 'spec.window', /1h to 90d/],
  ['a window longer than 90 days', fields({ window: '13w' }), 'spec.window', /1h to 90d/],
  ['a window of a month', fields({ window: '1month' }), 'spec.window', /not a duration/],
  ['enforcement', fields({ enforcement: { when: 'ticket', actions: ['freezeWeights'] } }), null],
  ['enforcement of nothing', fields({ enforcement: {} }), 'spec.enforcement.actions', /required/],
  ['no actions', fields({ enforcement: { actions: [] } }), 'spec.enforcement.actions', /empty/],
  ['an action that is none', fields({ enforcement: { actions: ['freezeWeight'] } }), 'spec.enforcement.actions[0]', /not one of tightenRetries, freezeWeights/],
  ['a time that is none', fields({ enforcement: { when: 'always', actions: ['tightenRetries'] } }), 'spec.enforcement.when', /not one of page, ticket/],
]; // prettier-ignore

describe('ServiceLevelObjective', () => {
  it.each(named(rows))('judges $name', ({ row }) => judge('ServiceLevelObjective', row));

  it('fills in 30 days, and that enforcement begins at a page', () => {
    const [read] = documentOf(resource('ServiceLevelObjective', fields({ enforcement: { actions: ['tightenRetries'] } }))).resources.filter(
      isKind('ServiceLevelObjective'),
    );
    expect(read?.spec).toMatchObject({ window: 30 * 24 * 3_600_000, enforcement: { when: 'page', actions: ['tightenRetries'] } });
  });
});
