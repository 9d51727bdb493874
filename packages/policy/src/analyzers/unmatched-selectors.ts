import { selects, type Analyzer } from './analyzer.ts';
import { selectorOf } from './policies.ts';

/** Selectors of policies that select nobody (IST0127), as far as the document tells who there is. */
export const unmatchedSelectors: Analyzer = (world, tell) => {
  const workloads = [
    ...world.all('Pod').map(({ metadata }) => ({ namespace: metadata.namespace, labels: metadata.labels })),
    ...world
      .all('WorkloadEntry')
      .map(({ metadata, spec }) => ({ namespace: metadata.namespace, labels: { ...metadata.labels, ...spec.labels } })),
  ];
  const byNamespace = Map.groupBy(workloads, (one) => one.namespace);
  for (const kind of ['PeerAuthentication', 'RequestAuthentication', 'AuthorizationPolicy', 'Telemetry'] as const)
    for (const policy of world.all(kind)) {
      const labels = selectorOf(policy);
      const { namespace } = policy.metadata;
      // A selector of a Telemetry reaches no further than its namespace, be it the root's.
      const there = namespace === world.rootNamespace && kind !== 'Telemetry' ? workloads : (byNamespace.get(namespace) ?? []);
      if (Object.keys(labels).length > 0 && there.length > 0 && !there.some((one) => selects(labels, one.labels)))
        tell(
          policy,
          'warning',
          'IST0127',
          ['spec', 'selector', 'matchLabels'],
          `no workload carries ${Object.entries(labels).map(([key, value]) => `${key}=${value}`).join(', ')}`, // prettier-ignore
          'correct the labels, or remove the policy',
        );
    }
};
