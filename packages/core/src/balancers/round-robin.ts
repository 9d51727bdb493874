import type { BalancerKind } from '../kind.ts';
import type { BalancerConfig } from './balancer.ts';
import { weightedPicker } from './weighted.ts';

/** Everyone in turn, heavier ones more often. Istio `simple: ROUND_ROBIN`; Envoy's round_robin. */
export const roundRobin: BalancerKind<BalancerConfig<'roundRobin'>> = {
  name: 'roundRobin',
  picker: (config, endpoints, runtime) => {
    // A random start: many clients, or a list that changes often, shall not all begin with the first.
    let turn = Math.floor(runtime.random() * endpoints.length);
    const rotation = {
      pick: () => {
        turn = turn + 1 < endpoints.length ? turn + 1 : 0;
        return endpoints[turn];
      },
    };
    return weightedPicker(config, endpoints, runtime, rotation, (weight) => weight);
  },
};
