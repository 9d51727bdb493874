/** Cumulative counts by upper bound, as a histogram of Prometheus has them. */
export type Buckets = Map<number, number>;

/** As Prometheus' histogram_quantile: linear within a bucket; null if nothing was counted. */
export function quantile(buckets: Buckets, share: number): number | null {
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  const total = sorted.at(-1)?.[1] ?? 0;
  if (!(total > 0)) return null;
  const rank = share * total;
  const at = sorted.findIndex(([, count]) => count >= rank);
  const [bound, count] = sorted[at]!;
  const [lower, below] = at === 0 ? [0, 0] : sorted[at - 1]!;
  // Of calls above the last bound that has a number, it is all that is known.
  if (bound === Infinity) return lower;
  return count === below ? bound : lower + ((bound - lower) * (rank - below)) / (count - below);
}
