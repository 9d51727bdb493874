import { describe, expect, test } from 'vitest';
import type { LocalityPolicy } from '@inmesh/policy';
import { type TestEndpoint, testEndpoint, testLocality, testWorkload } from '../testing/index.ts';
import { distribute, rankByFailover, rankByPriority } from './locality.ts';

type Failover = Extract<LocalityPolicy, { kind: 'failover' }>;

const here = testWorkload({
  locality: testLocality('eu/a/1'),
  labels: { app: 'shop', version: 'v1' },
  network: 'n1',
  node: 'node-1',
  cluster: 'c1',
});

function ranks(policy: Partial<Failover>, ...endpoints: readonly TestEndpoint[]): number[] {
  const list = endpoints.map((fields, index) => testEndpoint(`10.0.0.${index + 1}:80`, fields));
  return [...rankByFailover({ kind: 'failover', byLocality: false, failover: [], failoverPriority: [], ...policy }, here, list)];
}

const at = (...localities: readonly string[]): TestEndpoint[] => localities.map((locality) => ({ locality }));

describe('by locality', () => {
  test('nearest first: subzone, zone, region, elsewhere', () => {
    expect(ranks({ byLocality: true }, ...at('us/a/1', 'eu/a/1', 'eu/b/1', 'eu/a/2', 'eu/a/1'))).toEqual([3, 0, 2, 1, 0]);
  });

  test('without gaps', () => {
    expect(ranks({ byLocality: true }, ...at('us/a/1', 'eu/b/1'))).toEqual([1, 0]);
    expect(ranks({ byLocality: true }, ...at('us/a/1', 'asia/b/1'))).toEqual([0, 0]);
  });

  test('failover names the region to go to, others come last', () => {
    expect(ranks({ byLocality: true, failover: [{ from: 'eu', to: 'us' }] }, ...at('eu/a/1', 'asia/a/1', 'us/a/1'))).toEqual([0, 2, 1]);
    expect(ranks({ byLocality: true, failover: [{ from: 'asia', to: 'us' }] }, ...at('eu/a/1', 'asia/a/1', 'us/a/1'))).toEqual([0, 1, 1]);
  });
});

describe('by priority of the registry', () => {
  test('comes before all else, without gaps', () => {
    expect(ranks({ byLocality: true }, { priority: 65_536, locality: 'eu/a/1' }, { locality: 'us/a/1' }, { locality: 'eu/a/1' })).toEqual([
      2, 1, 0,
    ]);
    expect(ranks({ byLocality: true }, { priority: 9, locality: 'us/a/1' }, { priority: 9, locality: 'eu/a/1' })).toEqual([1, 0]);
  });

  test('stands alone where place does not count', () => {
    const rank = (...priorities: (number | undefined)[]) => [...rankByPriority(priorities.map((priority, index) => testEndpoint(`10.0.0.${index}:80`, priority === undefined ? {} : { priority })))]; // prettier-ignore
    expect(rank(10, undefined, 20, 10, 0)).toEqual([1, 0, 2, 1, 0]);
    expect(rank(undefined, undefined)).toEqual([0, 0]);
    expect(rank()).toEqual([]);
  });
});

describe('by failoverPriority', () => {
  test('the more labels agree from the first on, the nearer', () => {
    const failoverPriority = ['app', 'version', 'kubernetes.io/hostname'];
    expect(
      ranks(
        { failoverPriority },
        { labels: { app: 'other', version: 'v1' }, node: 'node-1' },
        { labels: { app: 'shop', version: 'v1' }, node: 'node-1' },
        { labels: { app: 'shop', version: 'v1' }, node: 'node-2' },
        { labels: { app: 'shop', version: 'v2' }, node: 'node-1' },
      ),
    ).toEqual([3, 0, 1, 2]);
  });

  test('a label may name the value that is wanted', () => {
    expect(ranks({ failoverPriority: ['version=v2'] }, { labels: { version: 'v1' } }, { labels: { version: 'v2' } })).toEqual([1, 0]);
  });

  test('knows places as labels, as Istio adds them', () => {
    const failoverPriority = ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone', 'topology.istio.io/subzone'];
    expect(ranks({ failoverPriority }, ...at('eu/a/1', 'eu/a/2', 'eu/b/1', 'us/a/1'))).toEqual([0, 1, 2, 3]);
    expect(
      ranks(
        { failoverPriority: ['topology.istio.io/cluster'] },
        { labels: { 'topology.istio.io/cluster': 'c2' } },
        { labels: { 'topology.istio.io/cluster': 'c1' } },
      ),
    ).toEqual([1, 0]);
  });

  test('another network as the first label adds and does not end the comparison', () => {
    const failoverPriority = ['topology.istio.io/network', 'topology.kubernetes.io/region'];
    expect(
      ranks(
        { failoverPriority },
        { network: 'n2', locality: 'us' },
        { network: 'n2', locality: 'eu' },
        { network: 'n1', locality: 'us' },
        { network: 'n1', locality: 'eu' },
      ),
      // 2 + 1, 2, 1, 0.
    ).toEqual([3, 2, 1, 0]);
  });

  test('with locality too: place decides among those whom labels leave equal', () => {
    expect(
      ranks(
        { byLocality: true, failoverPriority: ['version'] },
        { labels: { version: 'v2' }, locality: 'eu/a/1' },
        { labels: { version: 'v1' }, locality: 'us/a/1' },
        { labels: { version: 'v1' }, locality: 'eu/a/1' },
        { labels: { version: 'v2' }, locality: 'eu/b/1' },
      ),
    ).toEqual([2, 1, 0, 3]);
  });
});

describe('distribute', () => {
  function weights(to: Readonly<Record<string, number>>, ...localities: readonly string[]): Record<string, number> {
    const list = localities.map((text, index) => {
      const [locality, weight = '1'] = text.split(' ×');
      return testEndpoint(`10.0.0.${index + 1}:80`, { locality: locality!, weight: Number(weight) });
    });
    const groups = distribute({ kind: 'distribute', to: Object.entries(to).map(([pattern, percent]) => ({ pattern, percent })) }, list);
    return Object.fromEntries(groups.map(({ weight, members }) => [members.map((index) => `${index}`).join(), weight]));
  }

  test('each locality gets its percent, whatever its size', () => {
    expect(weights({ 'eu/a/*': 80, 'eu/b/*': 20 }, 'eu/a/1', 'eu/b/1', 'eu/b/1', 'eu/b/1')).toEqual({ '0': 80, '1,2,3': 20 });
  });

  test('localities that share a pattern share its percent by weight, rounded up', () => {
    expect(weights({ 'eu/*': 70, us: 30 }, 'eu/a/1 ×2', 'eu/b/1', 'us/a/1')).toEqual({ '0': 47, '1': 24, '2': 30 });
  });

  test('localities that no pattern matches get nothing', () => {
    expect(weights({ 'eu/a/*': 100 }, 'eu/a/1', 'eu/b/1', '')).toEqual({ '0': 100 });
  });

  test('the most specific pattern takes a locality, in whatever order they are written', () => {
    expect(weights({ '*': 10, 'eu/*': 20, 'eu/a/1': 70 }, 'eu/a/1', 'eu/a/2', 'us/a/1')).toEqual({ '0': 70, '1': 20, '2': 10 });
  });
});
