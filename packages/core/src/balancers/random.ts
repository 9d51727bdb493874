import type { BalancerKind } from '../kind.ts';
import type { BalancerConfig } from './balancer.ts';

/** Anyone, whatever the weights. Istio `simple: RANDOM`; Envoy's random. */
export const random: BalancerKind<BalancerConfig<'random'>> = {
  name: 'random',
  picker: (_, endpoints, runtime) => {
    const { length } = endpoints;
    return { pick: () => endpoints[Math.floor(runtime.random() * length)] };
  },
};
