import { describe, expect, it } from 'vitest';
import { aged, clusterAt, hedgePolicy, modelOf, service } from './trying.ts';

const policy = (name: string, delay: string, { host = 'ratings', namespace = 'default', ...metadata }: object & { host?: string; namespace?: string } = {}) => hedgePolicy(name, { host, idempotent: ['/shop.Ratings/Get', '/shop.Ratings/List*'], delay }, { namespace, ...metadata }); // prettier-ignore

const delays = (documents: readonly string[], namespace = 'default', of = 'default') =>
  clusterAt(
    modelOf([service('ratings', { namespace: of, ports: ['grpc:80'] }), ...documents], { namespace }),
    `outbound|80||ratings.${of}.svc.cluster.local`,
  ).hedging.map(({ delayMs }) => delayMs);

describe('the hedging of a service', () => {
  it('names idempotent paths, a * at their end for the rest', () => {
    const { hedging } = clusterAt(
      modelOf([service('ratings', { ports: ['grpc:80'] }), policy('a', '50ms')]),
      'outbound|80||ratings.default.svc.cluster.local',
    );
    expect(hedging).toEqual([
      {
        resource: 'HedgePolicy default/a',
        paths: [
          { kind: 'exact', value: '/shop.Ratings/Get' },
          { kind: 'prefix', value: '/shop.Ratings/List' },
        ],
        delayMs: 50,
        maxAttempts: 2,
      },
    ]);
  });

  it('is none without a policy, or with one for another service', () => {
    expect(delays([])).toEqual([]);
    expect(delays([policy('a', '50ms', { host: 'reviews' })])).toEqual([]);
  });

  it('is asked in order of age', () => {
    expect(delays([policy('young', '1s', aged(2)), policy('old', '2s', aged(1))])).toEqual([2000, 1000]);
  });

  it('is that of the most specific host alone', () => {
    expect(delays([policy('all', '1s', { host: '*.default.svc.cluster.local' })])).toEqual([1000]);
    expect(delays([policy('all', '1s', { host: '*.default.svc.cluster.local' }), policy('one', '2s')])).toEqual([2000]);
  });

  it("is looked for in the caller's namespace, then the service's, then the root's", () => {
    const full = 'ratings.shop.svc.cluster.local';
    const root = policy('root', '3s', { namespace: 'istio-system', host: full });
    const theirs = policy('theirs', '2s', { namespace: 'shop' });
    const own = policy('own', '1s', { host: full });
    const foreign = policy('foreign', '4s', { namespace: 'elsewhere', host: full });
    expect(delays([foreign, root, theirs, own], 'default', 'shop')).toEqual([1000]);
    expect(delays([foreign, root, theirs], 'default', 'shop')).toEqual([2000]);
    expect(delays([foreign, root], 'default', 'shop')).toEqual([3000]);
    expect(delays([foreign], 'default', 'shop')).toEqual([]);
  });
});
