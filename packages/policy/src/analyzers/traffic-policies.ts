import type { SpecOf } from '../kinds/index.ts';
import type { Analyzer } from './analyzer.ts';

type TrafficPolicy = NonNullable<SpecOf<'DestinationRule'>['trafficPolicy']>;
type Blocks = Pick<TrafficPolicy, 'connectionPool' | 'loadBalancer' | 'outlierDetection' | 'tls'>;
type Path = readonly (string | number)[];

/** Every traffic policy of a DestinationRule: of the rule, of its subsets. */
export function* policiesOf(
  spec: SpecOf<'DestinationRule'>,
): Generator<{ readonly policy: TrafficPolicy; readonly path: Path; readonly subset: boolean }> {
  if (spec.trafficPolicy !== undefined) yield { policy: spec.trafficPolicy, path: ['spec', 'trafficPolicy'], subset: false };
  for (const [index, { trafficPolicy }] of spec.subsets.entries())
    if (trafficPolicy !== undefined) yield { policy: trafficPolicy, path: ['spec', 'subsets', index, 'trafficPolicy'], subset: true };
}

/** TLS that verifies nobody (IST0128, IST0129). */
export const serverVerification: Analyzer = (world, tell) => {
  const judge = (tls: Blocks['tls']): string | undefined =>
    tls?.insecureSkipVerify === true && tls.mode !== 'DISABLE'
      ? `mode ${tls.mode} without verification: anybody can pose as the server`
      : undefined;
  const hint = 'remove insecureSkipVerify, and name caCertificates if the server uses a private authority';
  for (const rule of world.all('DestinationRule'))
    for (const { policy, path } of policiesOf(rule.spec)) {
      const fault = judge(policy.tls);
      if (fault !== undefined) tell(rule, 'warning', 'IST0128', [...path, 'tls', 'insecureSkipVerify'], fault, hint);
      for (const [index, settings] of policy.portLevelSettings.entries()) {
        const portFault = judge(settings.tls);
        if (portFault !== undefined)
          tell(
            rule,
            'warning',
            'IST0129',
            [...path, 'portLevelSettings', index, 'tls', 'insecureSkipVerify'],
            `port ${settings.port?.number}: ${portFault}`,
            hint,
          );
      }
    }
};

/** Failover that never happens, since nobody finds out that an endpoint fails (INM0304). */
export const failoverWithoutDetection: Analyzer = (world, tell) => {
  const everywhere = world.mesh?.spec.defaultTrafficPolicy?.outlierDetection !== undefined;
  if (everywhere) return;
  for (const rule of world.all('DestinationRule')) {
    const judge = (blocks: Blocks, path: Path, inherited: boolean): void => {
      const setting = blocks.loadBalancer?.localityLbSetting;
      const asks =
        setting !== undefined &&
        setting.enabled !== false &&
        (setting.failover.length > 0 || setting.failoverPriority.length > 0 || setting.enabled === true);
      if (!asks || setting.distribute.length > 0 || blocks.outlierDetection !== undefined || inherited) return;
      tell(
        rule,
        'warning',
        'INM0304',
        [...path, 'loadBalancer', 'localityLbSetting'],
        'failover needs outlierDetection, without it no locality ever counts as failed and locality is ignored',
        'add outlierDetection: {} to the same policy',
      );
    };
    const above = rule.spec.trafficPolicy?.outlierDetection !== undefined;
    for (const { policy, path, subset } of policiesOf(rule.spec)) {
      judge(policy, path, subset && above);
      for (const [index, settings] of policy.portLevelSettings.entries()) judge(settings, [...path, 'portLevelSettings', index], false);
    }
  }
};

/** Settings that do not hold for a port, since its port-level settings replace all of them (INM0302). */
export const hiddenByPort: Analyzer = (world, tell) => {
  for (const rule of world.all('DestinationRule'))
    for (const { policy, path } of policiesOf(rule.spec))
      for (const [index, settings] of policy.portLevelSettings.entries()) {
        const lost = (['connectionPool', 'loadBalancer', 'outlierDetection', 'tls'] as const).filter(
          (block) => policy[block] !== undefined && settings[block] === undefined,
        );
        if (lost.length > 0)
          tell(
            rule,
            'warning',
            'INM0302',
            [...path, 'portLevelSettings', index],
            `${lost.join(', ')} above ${lost.length === 1 ? 'does' : 'do'} not hold for port ${settings.port?.number}: port-level settings replace the whole policy`,
            `repeat ${lost.length === 1 ? 'it' : 'them'} here if meant`,
          );
      }
};
