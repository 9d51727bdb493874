import { byAge, labelOf } from '../resolve/order.ts';
import type { Analyzer } from './analyzer.ts';

/** Several DestinationRules of one namespace for one host: of some parts only the oldest counts (INM0305). */
export const splitRules: Analyzer = (world, tell) => {
  const groups = Map.groupBy(world.all('DestinationRule'), ({ spec, metadata }) =>
    JSON.stringify([
      metadata.namespace,
      world.host(spec.host, metadata.namespace),
      spec.exportTo.toSorted(),
      spec.workloadSelector?.matchLabels,
    ]),
  );
  for (const rules of groups.values()) {
    const sorted = rules.toSorted((a, b) => byAge(a.metadata, b.metadata));
    const holder = sorted.find(({ spec }) => spec.trafficPolicy !== undefined);
    const subsets = new Map<string, string>();
    for (const rule of sorted) {
      if (holder !== undefined && holder !== rule && rule.spec.trafficPolicy !== undefined)
        tell(
          rule,
          'warning',
          'INM0305',
          ['spec', 'trafficPolicy'],
          `${labelOf(holder)} has a trafficPolicy for ${rule.spec.host} too; it is older and this one is ignored`,
          'write one DestinationRule',
        );
      for (const [index, { name }] of rule.spec.subsets.entries()) {
        const owner = subsets.get(name);
        if (owner !== undefined)
          tell(
            rule,
            'warning',
            'INM0305',
            ['spec', 'subsets', index, 'name'],
            `${owner} defines subset "${name}" too; it is older and this one is ignored`,
            'rename or remove one',
          );
        else subsets.set(name, labelOf(rule));
      }
    }
  }
};
