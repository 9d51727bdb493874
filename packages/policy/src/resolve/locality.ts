import type { LocalityLbSetting } from '../kinds/parts/load-balancer.ts';
import type { Locality, LocalityPolicy } from '../model.ts';
import type { KnownService } from './known-service.ts';
import { compareText } from './order.ts';

const NEAR_ZONE = ['topology.istio.io/network', 'topology.kubernetes.io/region', 'topology.kubernetes.io/zone'] as const;
const NEAR_NODE = [...NEAR_ZONE, 'topology.istio.io/subzone', 'kubernetes.io/hostname'] as const;

/**
 * How place counts for a destination (Istio loadbalancer.go, GetLocalityLbSetting and ApplyLocalityLoadBalancer):
 * the DestinationRule's setting, else trafficDistribution of the service, else the mesh's. A rule that says
 * `enabled: false` ends it. Falling over needs outlier detection, since without it no endpoint ever turns unhealthy;
 * trafficDistribution works without.
 */
export function localityPolicy(
  rule: LocalityLbSetting | undefined,
  distribution: KnownService['trafficDistribution'],
  mesh: LocalityLbSetting,
  outlierDetection: boolean,
  place: Locality,
): LocalityPolicy {
  if (rule === undefined && distribution !== 'any')
    return { kind: 'failover', byLocality: false, failover: [], failoverPriority: distribution === 'sameNode' ? NEAR_NODE : NEAR_ZONE };
  const setting = rule ?? mesh;
  if (setting.enabled === false) return { kind: 'off' };
  if (setting.distribute.length > 0) {
    const entry = setting.distribute.find(({ from }) => matchesPlace(from ?? '', place));
    if (entry === undefined) return { kind: 'off' };
    // Which of two overlapping patterns Istio takes is left to chance; here the more specific one comes first.
    const to = Object.entries(entry.to).map(([pattern, percent]) => ({ pattern, percent }));
    return {
      kind: 'distribute',
      to: to.sort((a, b) => specificity(b.pattern) - specificity(a.pattern) || compareText(a.pattern, b.pattern)),
    };
  }
  if (!outlierDetection) return { kind: 'off' };
  const { failover, failoverPriority } = setting;
  // With labels given, regions count only if failover between regions is asked for as well.
  return { kind: 'failover', byLocality: failoverPriority.length === 0 || failover.length > 0, failover, failoverPriority };
}

/** `region/zone/subzone`; `*` and a missing segment match anything. */
export function matchesPlace(pattern: string, { region, zone, subzone }: Locality): boolean {
  const [wantRegion = '', wantZone = '', wantSubzone = ''] = pattern.split('/');
  const fits = (want: string, is: string): boolean => want === '*' || want === '' || want === is;
  return fits(wantRegion, region) && fits(wantZone, zone) && fits(wantSubzone, subzone);
}

const specificity = (pattern: string): number => pattern.split('/').filter((part) => part !== '*' && part !== '').length;
