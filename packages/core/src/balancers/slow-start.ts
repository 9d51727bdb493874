import type { ClusterPolicy } from '@inmesh/policy';

type SlowStart = NonNullable<ClusterPolicy['slowStart']>;

/**
 * Share of its weight that an endpoint gets `ageMs` after it joined: max(minimum, (age / window)^(1 / aggression)).
 * Istio `loadBalancer.warmup`, Envoy's applySlowStartFactor; ages under 1 ms count as 1 ms.
 */
export function slowStartFactor({ windowMs, minPercent, aggression }: SlowStart, ageMs: number): number {
  if (ageMs >= windowMs) return 1;
  const passed = Math.max(1, ageMs) / windowMs;
  return Math.min(1, Math.max(minPercent / 100, aggression === 1 ? passed : passed ** (1 / aggression)));
}
