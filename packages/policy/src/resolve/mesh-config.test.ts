import { describe, expect, it } from 'vitest';
import { meshConfig, modelOf, service, to, virtualService, routesAt, targetsOf } from './trying.ts';

describe('settings of the mesh', () => {
  it('have Istio’s defaults', () => {
    expect(modelOf(service('a')).settings).toEqual({
      rootNamespace: 'istio-system',
      domain: 'cluster.local',
      trustDomain: 'cluster.local',
      trustDomainAliases: [],
      outboundTrafficPolicy: 'ALLOW_ANY',
      enableAutoMtls: true,
      dnsRefreshRateMs: 60_000,
      pathNormalization: 'BASE',
      alwaysEjectOne: true,
      connectionsPerEndpoint: 128,
    });
  });

  it('are what MeshConfig says', () => {
    const spec = {
      rootNamespace: 'root',
      domain: 'mesh.internal',
      trustDomain: 'td',
      trustDomainAliases: ['old'],
      enableAutoMtls: false,
      dnsRefreshRate: '5s',
      pathNormalization: { normalization: 'MERGE_SLASHES' },
      alwaysEjectOne: false,
      connectionsPerEndpoint: 7,
    };
    const model = modelOf([meshConfig(spec), service('a'), service('b'), virtualService('a', { hosts: ['a'], http: [to('b')] })]);
    expect(model.settings).toEqual({
      ...spec,
      outboundTrafficPolicy: 'ALLOW_ANY',
      dnsRefreshRate: undefined,
      dnsRefreshRateMs: 5000,
      pathNormalization: 'MERGE_SLASHES',
    });
    expect(targetsOf(routesAt(model, 'a')[0]!)).toBe('outbound|80||b.default.svc.mesh.internal×1');
  });
});
