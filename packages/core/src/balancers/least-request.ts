import type { BalancerKind } from '../kind.ts';
import type { BalancerConfig } from './balancer.ts';
import { weightedPicker } from './weighted.ts';

/**
 * The one with fewer calls in flight of two drawn at random; with weights, in proportion to weight / (active + 1).
 * Istio's default and `simple: LEAST_REQUEST`; Envoy's least_request with choice count 2 and active request bias 1.
 */
export const leastRequest: BalancerKind<BalancerConfig<'leastRequest'>> = {
  name: 'leastRequest',
  picker: (config, endpoints, runtime) => {
    const { length } = endpoints;
    const { random } = runtime;
    const twoChoices = {
      pick: () => {
        // With replacement, and the first stays unless the second has strictly fewer: as Envoy draws.
        const first = endpoints[Math.floor(random() * length)]!;
        const second = endpoints[Math.floor(random() * length)]!;
        return second.active < first.active ? second : first;
      },
    };
    return weightedPicker(config, endpoints, runtime, twoChoices, (weight, { active }) => weight / (active + 1));
  },
};
