import { selects, type Analyzer, type World } from './analyzer.ts';

/** Subsets whose labels select none of the endpoints that the document declares (IST0173). */
export const emptySubsets: Analyzer = (world, tell) => {
  const members = membersByHost(world);
  for (const rule of world.all('DestinationRule')) {
    const known = members.get(world.host(rule.spec.host, rule.metadata.namespace)) ?? [];
    if (known.length === 0) continue;
    for (const [index, subset] of rule.spec.subsets.entries())
      if (!known.some((labels) => selects(subset.labels, labels)))
        tell(
          rule,
          'warning',
          'IST0173',
          ['spec', 'subsets', index, 'labels'],
          `subset "${subset.name}" selects none of the ${known.length} endpoints of ${rule.spec.host}`,
          'calls to it are answered with 503; correct the labels',
        );
  }
};

type Labels = Readonly<Record<string, string>>;

/** Labels of the members of each service, as far as the document declares them. */
function membersByHost(world: World): ReadonlyMap<string, readonly Labels[]> {
  const members = new Map<string, readonly Labels[]>();
  // By each of their labels, so that a selector looks at few: all pods for each service would be a square.
  const workloads = new Map<string, Labels[]>();
  const index = (namespace: string, labels: Labels): void => {
    for (const [key, value] of Object.entries(labels)) {
      const place = JSON.stringify([namespace, key, value]);
      const list = workloads.get(place);
      if (list === undefined) workloads.set(place, [labels]);
      else list.push(labels);
    }
  };
  for (const { metadata } of world.all('Pod')) index(metadata.namespace, metadata.labels);
  for (const { metadata, spec } of world.all('WorkloadEntry')) index(metadata.namespace, { ...metadata.labels, ...spec.labels });
  const selected = (namespace: string, selector: Labels): readonly Labels[] => {
    const [first] = Object.entries(selector);
    return first === undefined
      ? []
      : (workloads.get(JSON.stringify([namespace, ...first])) ?? []).filter((labels) => selects(selector, labels));
  };
  for (const { metadata, spec } of world.all('Service'))
    if (Object.keys(spec.selector).length > 0)
      members.set(world.host(metadata.name, metadata.namespace), selected(metadata.namespace, spec.selector));
  for (const { metadata, spec } of world.all('ServiceEntry')) {
    const own =
      spec.workloadSelector === undefined
        ? spec.endpoints.map(({ labels }) => labels)
        : selected(metadata.namespace, spec.workloadSelector.labels);
    for (const host of spec.hosts) members.set(host.toLowerCase(), [...(members.get(host.toLowerCase()) ?? []), ...own]);
  }
  return members;
}
