import { byAge, labelOf } from '../resolve/order.ts';
import { selects, type Analyzer } from './analyzer.ts';

/** Two Sidecars for one workload (IST0110), or two for all workloads of a namespace (IST0111): one of them has no effect. */
export const sidecars: Analyzer = (world, tell) => {
  for (const [namespace, all] of Map.groupBy(world.all('Sidecar'), ({ metadata }) => metadata.namespace)) {
    const sorted = all.toSorted((a, b) => byAge(a.metadata, b.metadata));
    const [first, ...others] = sorted.filter(({ spec }) => spec.workloadSelector === undefined);
    for (const other of others)
      if (first !== undefined)
        tell(
          other,
          'warning',
          'IST0111',
          [],
          `${labelOf(first)} is for all workloads of ${namespace} too; it is older and holds`,
          'add a workloadSelector, or remove one',
        );

    const pods = world.all('Pod').filter(({ metadata }) => metadata.namespace === namespace);
    const selecting = sorted.filter(({ spec }) => spec.workloadSelector !== undefined);
    for (const [index, one] of selecting.entries())
      for (const earlier of selecting.slice(0, index)) {
        const pod = pods.find(({ metadata: { labels } }) =>
          [one, earlier].every(({ spec }) => selects(spec.workloadSelector?.labels ?? {}, labels)),
        );
        if (pod === undefined) continue;
        tell(
          one,
          'warning',
          'IST0110',
          ['spec', 'workloadSelector'],
          `${labelOf(earlier)} selects pod ${pod.metadata.name} too; it is older and holds`,
          'make the selectors exclude each other',
        );
        break;
      }
  }
};
