import { describe, expect, it } from 'vitest';
import { documentOf, judge, named, resource, type Row } from '../testing/problems.ts';
import { isKind } from './index.ts';

const rows: readonly Row[] = [
  ['an empty one', {}, null],
  ['Peak EWMA for all', { defaultTrafficPolicy: { loadBalancer: { simple: 'PEAK_EWMA' } } }, null],
  ['an algorithm that is none', { defaultTrafficPolicy: { loadBalancer: { simple: 'FASTEST' } } }, 'spec.defaultTrafficPolicy.loadBalancer.simple', /not one of/],
  ['a retry word that is none', { defaultHttpRetryPolicy: { attempts: 1, retryOn: 'always' } }, 'spec.defaultHttpRetryPolicy.retryOn', /always/],
  ['distribute of 90 %', { localityLbSetting: { distribute: [{ from: 'a', to: { a: 90 } }] } }, 'spec.localityLbSetting.distribute[0].to', /90/],
  ['local failures without split', { defaultTrafficPolicy: { outlierDetection: { consecutiveLocalOriginFailures: 1 } } }, 'spec.defaultTrafficPolicy.outlierDetection.consecutiveLocalOriginFailures', /needs split/],
  ['no connection to an endpoint', { connectionsPerEndpoint: 0 }, 'spec.connectionsPerEndpoint', /1 to/],
  ['a domain that is none', { domain: 'Cluster local' }, 'spec.domain', /DNS-1123/],
  ['a connectTimeout of 0', { connectTimeout: '0s' }, 'spec.connectTimeout', /0 means/],
  ['a field of Istio that is not here', { ingressService: 'istio' }, 'spec.ingressService', /unknown field/],
]; // prettier-ignore

describe('MeshConfig', () => {
  it.each(named(rows))('judges $name', ({ row }) => judge('MeshConfig', row));

  it('takes ALLOW_ANY_DYNAMIC_DNS for ALLOW_ANY, which in the process it is', () => {
    const [config] = documentOf(resource('MeshConfig', { outboundTrafficPolicy: { mode: 'ALLOW_ANY_DYNAMIC_DNS' } })).resources.filter(
      isKind('MeshConfig'),
    );
    expect(config?.spec.outboundTrafficPolicy).toEqual({ mode: 'ALLOW_ANY' });
  });

  it("fills Istio's defaults and ours", () => {
    const [config] = documentOf(resource('MeshConfig', {})).resources.filter(isKind('MeshConfig'));
    expect(config?.spec).toMatchObject({
      rootNamespace: 'istio-system',
      domain: 'cluster.local',
      trustDomain: 'cluster.local',
      connectTimeout: 10_000,
      outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
      defaultVirtualServiceExportTo: ['*'],
      dnsRefreshRate: 60_000,
      h2UpgradePolicy: 'DO_NOT_UPGRADE',
      pathNormalization: { normalization: 'BASE' },
      enableAutoMtls: true,
      alwaysEjectOne: true,
      connectionsPerEndpoint: 128,
    });
  });
});
