import { describe, expect, it } from 'vitest';
import { constrain } from './constrain.ts';
import type { EnforcedAction, Model } from './model.ts';
import {
  clusterAt,
  destinationRule,
  hedgePolicy,
  modelOf,
  objective,
  routesAt,
  service,
  targetsOf,
  virtualService,
} from './resolve/trying.ts';

const REVIEWS = 'reviews.default.svc.cluster.local';
const RULE = 'ServiceLevelObjective default/reviews';

const subsets = (...names: readonly string[]): string =>
  destinationRule('reviews', { host: 'reviews', subsets: names.map((name) => ({ name, labels: { version: name } })) });

/** A model in which calls to reviews are split as given, and retried. */
function world(split: Readonly<Record<string, number>>, others: readonly string[] = [subsets('v1', 'v2', 'v3')], more: object = {}): Model {
  const route = Object.entries(split).map(([subset, weight]) => ({ destination: { host: 'reviews', subset }, weight }));
  return modelOf([
    service('reviews'),
    service('ratings'),
    ...others,
    virtualService('reviews', { hosts: ['reviews'], http: [{ match: [{ uri: { prefix: '/x' } }], route: [{ destination: { host: 'ratings' } }] }, { route, ...more }] }),
    objective('reviews', { service: 'reviews', indicator: { availability: {} }, objective: 99, enforcement: { actions: ['tightenRetries'] } }),
  ]);
} // prettier-ignore

const enforced = (before: Model, ...actions: readonly EnforcedAction[]) => [
  { objective: { ...before.objectives[0]!, enforcement: { when: 'page', actions } as const }, before },
];
const split = (model: Model): string => targetsOf(routesAt(model, REVIEWS)[1]!).replaceAll(/outbound\|80\|(\w*)\|[\w.]+/g, '$1');
const why = (model: Model): readonly string[] => routesAt(model, REVIEWS).flatMap((route) => route.why ?? []);

describe('while an objective is enforced', () => {
  it('nothing changes that it does not ask for', () => {
    const model = world({ v1: 90, v2: 10 });
    expect(constrain(model, [])).toBe(model);
    expect(constrain(model, enforced(model))).toBe(model);
    expect(constrain(model, enforced(model, 'freezeWeights'))).toEqual(model);
  });

  it('calls to the service are sent once: no retries, no hedging; calls to others are as they were', () => {
    const model = world({ v1: 90, v2: 10 }, [
      subsets('v1', 'v2'),
      hedgePolicy('reviews', { host: 'reviews', idempotent: ['/a.B/C'], delay: '10ms' }),
      hedgePolicy('ratings', { host: 'ratings', idempotent: ['/a.B/C'], delay: '10ms' }),
    ]);
    const after = constrain(model, enforced(model, 'tightenRetries'));
    const ratings = 'ratings.default.svc.cluster.local';
    expect(routesAt(model, REVIEWS)[1]!.retries).not.toBeNull();
    const [others, own] = routesAt(after, REVIEWS);
    expect(own).toEqual({
      ...routesAt(model, REVIEWS)[1]!,
      retries: null,
      why: [`${RULE} burns its budget: calls to ${REVIEWS} are not sent again`],
    });
    expect(others).toEqual(routesAt(model, REVIEWS)[0]);
    expect(routesAt(after, ratings)).toEqual(routesAt(model, ratings));
    const hedged = (one: Model, name: string) => clusterAt(one, name).hedging.length > 0;
    expect([model, after].map((one) => hedged(one, `outbound|80|v1|${REVIEWS}`))).toEqual([true, false]);
    expect([model, after].map((one) => hedged(one, `outbound|80||${ratings}`))).toEqual([true, true]);
  });

  it('splits stay as they were, whatever newer documents say', () => {
    const before = world({ v1: 90, v2: 10 });
    const freeze = (later: Model): string => split(constrain(later, enforced(before, 'freezeWeights')));
    expect(freeze(world({ v1: 50, v2: 50 }))).toBe('v1×90 v2×10');
    expect(freeze(world({ v2: 20, v1: 80 }))).toBe('v1×90 v2×10');
    expect(freeze(world({ v1: 60, v2: 20, v3: 20 }))).toBe('v1×90 v2×10');
    expect(why(constrain(world({ v1: 50, v2: 50 }), enforced(before, 'freezeWeights')))).toEqual([
      `${RULE} burns its budget: the weights stay as they were when that began (10 to outbound|80|v2|${REVIEWS}, 90 to outbound|80|v1|${REVIEWS}), the document says 50 to outbound|80|v1|${REVIEWS}, 50 to outbound|80|v2|${REVIEWS}`,
    ]);
  });

  it('a destination that was taken out stays, with the cluster nobody else names, and one that came is not called', () => {
    const later = world({ v2: 100 }, [subsets('v2')]);
    expect(later.clusters.map(({ subset }) => subset)).not.toContain('v1');
    const frozen = constrain(later, enforced(world({ v1: 90, v2: 10 }), 'freezeWeights'));
    expect(split(frozen)).toBe('v1×90 v2×10');
    expect(clusterAt(frozen, `outbound|80|v1|${REVIEWS}`).labels).toEqual({ version: 'v1' });
    expect(frozen.clusters.map(({ name }) => name)).toEqual(frozen.clusters.map(({ name }) => name).sort());
    expect(split(constrain(world({ v1: 95, v3: 5 }), enforced(world({ v1: 1 }), 'freezeWeights')))).toBe('v1×1');
  });

  it('all else of a newer document holds', () => {
    const later = world({ v1: 50, v2: 50 }, [subsets('v1', 'v2')], { timeout: '3s' });
    const frozen = constrain(later, enforced(world({ v1: 90, v2: 10 }), 'freezeWeights'));
    expect(routesAt(frozen, REVIEWS)[1]!.timeoutMs).toBe(3000);
    // Another rule: other calls than those of the split that was.
    const moved = world({ v1: 50, v2: 50 }, [subsets('v1', 'v2')], { match: [{ uri: { prefix: '/y' } }] });
    expect(split(constrain(moved, enforced(world({ v1: 90, v2: 10 }), 'freezeWeights')))).toBe('v1×50 v2×50');
  });

  it('one destination that became another is no split', () => {
    expect(split(constrain(world({ v2: 1 }), enforced(world({ v1: 1 }), 'freezeWeights')))).toBe('v2×1');
  });

  it('calls do not go to a service that is gone', () => {
    const shared = (weights: readonly number[], hosts: readonly string[]): Model =>
      modelOf([
        ...hosts.map((host) => service(host)),
        virtualService('reviews', { hosts: ['reviews'], http: [{ route: hosts.map((host, index) => ({ destination: { host }, weight: weights[index] })) }] }),
        objective('reviews', { service: 'reviews', indicator: { availability: {} }, objective: 99 }),
      ]); // prettier-ignore
    const before = shared([40, 60], ['reviews', 'canary']);
    const gone = shared([1], ['reviews']);
    expect(constrain(gone, enforced(before, 'freezeWeights'))).toEqual(gone);
  });
});
