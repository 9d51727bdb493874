import type { ClusterPolicy, LoadBalancer } from '@inmesh/policy';
import type { Exchange } from '../exchange.ts';
import type { EndpointState } from '../endpoint/state.ts';

/** What a balancer is told: its own settings, and what holds for every kind. */
export type BalancerConfig<Kind extends LoadBalancer['kind']> = Extract<LoadBalancer, { kind: Kind }> & {
  /** Obeyed by round robin and least request only, as in Istio (`warmup`). */
  readonly slowStart: ClusterPolicy['slowStart'];
  /** Effective weight > 0: the endpoint's own, or its share of its locality's. Any unit; only ratios count. */
  readonly weightOf: (state: EndpointState) => number;
};

/** Picks made anew in order to avoid endpoints tried before: Istio's `host_selection_retry_max_attempts`. */
export const REPICKS = 5;

/** Was this endpoint given to an earlier attempt of the call? By address: the list may have been replaced in between. */
export function triedBefore(exchange: Exchange, state: EndpointState): boolean {
  for (const endpoint of exchange.tried) if (endpoint.address === state.endpoint.address) return true;
  return false;
}

/** The weights, and whether they are all the same: most algorithms have a cheaper form then. */
export function weigh(
  endpoints: readonly EndpointState[],
  weightOf: (state: EndpointState) => number,
): { readonly weights: Float64Array; readonly equal: boolean } {
  const weights = new Float64Array(endpoints.length);
  let equal = true;
  for (let index = 0; index < endpoints.length; index += 1) {
    const weight = weightOf(endpoints[index]!);
    weights[index] = weight;
    if (weight !== weights[0]) equal = false;
  }
  return { weights, equal };
}
