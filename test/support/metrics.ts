/** Lines of Prometheus text: what a metric says, by its labels. */
export interface Shown {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The samples of one name. */
export function shown(text: string, name: string): Shown[] {
  return [...text.matchAll(/^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/gm)].flatMap(([, found, labels = '', value]) =>
    found === name ? [{ labels: Object.fromEntries([...labels.matchAll(/([\w]+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, said]) => [key!, said!])), value: Number(value) }] : [],
  ); // prettier-ignore
}

/** The statistics of one cluster, without `envoy_cluster_`; those with more labels by theirs. */
export function clusterStats(text: string, cluster: string): Record<string, number> {
  const stats: Record<string, number> = {};
  for (const [, name] of text.matchAll(/^# TYPE envoy_cluster_(\S+)/gm)) {
    for (const { labels: { cluster_name: of, ...rest }, value } of shown(text, `envoy_cluster_${name}`)) {
      if (of === cluster) stats[[name, ...Object.values(rest)].join(' ')] = value;
    } // prettier-ignore
  }
  return stats;
}
