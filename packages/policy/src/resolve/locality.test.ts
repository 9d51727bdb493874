import { describe, expect, it } from 'vitest';
import type { LocalityPolicy } from '../model.ts';
import { localityPolicy, matchesPlace } from './locality.ts';
import { clusterAt, destinationRule, meshConfig, modelOf, service } from './trying.ts';

const place = { region: 'eu', zone: 'a', subzone: '1' };
const setting = (given: object): Parameters<typeof localityPolicy>[2] => ({
  distribute: [],
  failover: [],
  failoverPriority: [],
  enabled: undefined,
  ...given,
});
const BY_PLACE = { kind: 'failover', byLocality: true, failover: [], failoverPriority: [] };
const ZONE = {
  kind: 'failover',
  byLocality: false,
  failover: [],
  failoverPriority: ['topology.istio.io/network', 'topology.kubernetes.io/region', 'topology.kubernetes.io/zone'],
};
const NODE = { ...ZONE, failoverPriority: [...ZONE.failoverPriority, 'topology.istio.io/subzone', 'kubernetes.io/hostname'] };

describe('how place counts', () => {
  it.each([
    ['nothing said, no outlier detection', undefined, 'any', {}, false, { kind: 'off' }],
    ['outlier detection alone switches it on, since the mesh default is on', undefined, 'any', {}, true, BY_PLACE],
    ['the mesh switched it off', undefined, 'any', { enabled: false }, true, { kind: 'off' }],
    [
      'the rule switched it off; the mesh is not asked',
      { enabled: false },
      'any',
      { distribute: [{ from: '*', to: { eu: 100 } }] },
      true,
      { kind: 'off' },
    ],
    ['the rule switched it off; neither is the service', { enabled: false }, 'sameZone', {}, true, { kind: 'off' }],
    ['the rule before the service', {}, 'sameZone', {}, true, BY_PLACE],
    ['the rule says failover, without outlier detection', { failover: [{ from: 'eu', to: 'us' }] }, 'any', {}, false, { kind: 'off' }],
    [
      'the rule says failover',
      { failover: [{ from: 'eu', to: 'us' }] },
      'any',
      {},
      true,
      { ...BY_PLACE, failover: [{ from: 'eu', to: 'us' }] },
    ],
    [
      'labels alone',
      { failoverPriority: ['a', 'b=1'] },
      'any',
      {},
      true,
      { ...BY_PLACE, byLocality: false, failoverPriority: ['a', 'b=1'] },
    ],
    [
      'labels and regions',
      { failoverPriority: ['a'], failover: [{ from: 'eu', to: 'us' }] },
      'any',
      {},
      true,
      { ...BY_PLACE, failoverPriority: ['a'], failover: [{ from: 'eu', to: 'us' }] },
    ],
    ['same zone needs no outlier detection', undefined, 'sameZone', {}, false, ZONE],
    ['same node', undefined, 'sameNode', {}, false, NODE],
    ['the service before the mesh', undefined, 'sameZone', { distribute: [{ from: '*', to: { eu: 100 } }] }, true, ZONE],
    [
      'distribute of the mesh needs no outlier detection',
      undefined,
      'any',
      { distribute: [{ from: '*', to: { eu: 100 } }] },
      false,
      { kind: 'distribute', to: [{ pattern: 'eu', percent: 100 }] },
    ],
    ['distribute from elsewhere', { distribute: [{ from: 'us/*', to: { us: 100 } }] }, 'any', {}, true, { kind: 'off' }],
    [
      'the first entry that fits',
      {
        distribute: [
          { from: 'us', to: { us: 100 } },
          { from: 'eu', to: { eu: 100 } },
          { from: 'eu/a/*', to: { us: 100 } },
        ],
      },
      'any',
      {},
      true,
      { kind: 'distribute', to: [{ pattern: 'eu', percent: 100 }] },
    ],
    [
      'the more specific places first',
      { distribute: [{ from: 'eu/*', to: { 'eu/*': 30, 'eu/a/1': 60, 'eu/b': 10 } }] },
      'any',
      {},
      true,
      {
        kind: 'distribute',
        to: [
          { pattern: 'eu/a/1', percent: 60 },
          { pattern: 'eu/b', percent: 10 },
          { pattern: 'eu/*', percent: 30 },
        ],
      },
    ],
  ] as const)('%s', (_, rule, distribution, mesh, outlier, expected) => {
    const given = rule === undefined ? undefined : setting(rule);
    expect(localityPolicy(given, distribution, setting(mesh), outlier, place)).toEqual(expected as LocalityPolicy);
  });

  it.each([
    ['*', true], ['eu', true], ['eu/*', true], ['eu/a', true], ['eu/a/*', true], ['eu/a/1', true], ['', true],
    ['us', false], ['eu/b', false], ['eu/a/2', false], ['eu/b/*', false],
  ] as const)('a workload in eu/a/1 is in %s: %s', (pattern, expected) => {
    expect(matchesPlace(pattern, place)).toBe(expected);
  }); // prettier-ignore

  it('comes from resources as it should', () => {
    const locality = (documents: readonly string[]): LocalityPolicy =>
      clusterAt(modelOf(documents, { locality: place }), 'outbound|80||a.default.svc.cluster.local').locality;
    const outlier = destinationRule('a', { host: 'a', trafficPolicy: { outlierDetection: {} } });
    expect(locality([service('a')])).toEqual({ kind: 'off' });
    expect(locality([service('a'), outlier])).toEqual(BY_PLACE);
    expect(locality([service('a'), outlier, meshConfig({ localityLbSetting: { enabled: false } })])).toEqual({ kind: 'off' });
    expect(locality([service('a'), meshConfig({ defaultTrafficPolicy: { outlierDetection: {} } })])).toEqual(BY_PLACE);
    expect(locality([service('a', { spec: { trafficDistribution: 'PreferClose' } })])).toEqual(ZONE);
    expect(locality([service('a', { spec: { trafficDistribution: 'PreferSameNode' } })])).toEqual(NODE);
    expect(
      locality([service('a', { metadata: { annotations: { 'networking.istio.io/traffic-distribution': 'PreferSameZone' } } })]),
    ).toEqual(ZONE);
  });
});
