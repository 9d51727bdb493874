import type { ResourceOf } from '../kinds/index.ts';
import { byAge, labelOf } from '../resolve/order.ts';
import { selects, type Analyzer } from './analyzer.ts';
import { elsewhere, selectorOf } from './policies.ts';

/** Two Telemetries for one workload (IST0159), or two for all workloads of a namespace (IST0160). */
export const telemetries: Analyzer = (world, tell) => {
  const attached = world.all('Telemetry').filter((one) => !elsewhere(one));
  for (const [namespace, all] of Map.groupBy(attached, ({ metadata }) => metadata.namespace)) {
    const sorted = all.toSorted((a, b) => byAge(a.metadata, b.metadata));
    const [first, ...others] = sorted.filter((one) => !selecting(one));
    for (const other of others)
      if (first !== undefined)
        tell(
          other,
          'warning',
          'IST0160',
          [],
          `${labelOf(first)} is for all workloads of ${namespace} too; it is older and holds`,
          'add a selector, or remove one',
        );

    const pods = world.all('Pod').filter(({ metadata }) => metadata.namespace === namespace);
    const some = sorted.filter(selecting);
    for (const [index, one] of some.entries())
      for (const earlier of some.slice(0, index)) {
        const pod = pods.find(({ metadata: { labels } }) => [one, earlier].every((telemetry) => selects(selectorOf(telemetry), labels)));
        if (pod === undefined) continue;
        tell(
          one,
          'warning',
          'IST0159',
          ['spec', 'selector'],
          `${labelOf(earlier)} selects pod ${pod.metadata.name} too; where they differ the younger holds`,
          'make the selectors exclude each other',
        );
        break;
      }
  }
};

const selecting = (telemetry: ResourceOf<'Telemetry'>): boolean => Object.keys(selectorOf(telemetry)).length > 0;
