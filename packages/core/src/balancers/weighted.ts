import type { EndpointState } from '../endpoint/state.ts';
import type { Runtime } from '../handler.ts';
import type { Picker } from '../kind.ts';
import type { LoadBalancer } from '@inmesh/policy';
import { type BalancerConfig, weigh } from './balancer.ts';
import { Edf } from './edf.ts';
import { slowStartFactor } from './slow-start.ts';

/** Plans made per slow-start window: EDF weighs an endpoint only when it is picked, so one that was light waits long. */
const PLANS_PER_WINDOW = 10;

/**
 * The rule that round robin and least request share (Envoy's EdfLoadBalancerBase): while weights differ or an endpoint
 * is warming up, earliest deadline first; else `even`, the plain algorithm.
 * `adjust` is the weight an endpoint has when it is picked, given its own.
 */
export function weightedPicker(
  { slowStart, weightOf }: BalancerConfig<LoadBalancer['kind']>,
  endpoints: readonly EndpointState[],
  { clock, random }: Runtime,
  even: Picker,
  adjust: (weight: number, state: EndpointState) => number,
): Picker {
  const { weights, equal } = weigh(endpoints, weightOf);
  const planned = (full: Float64Array): Picker => {
    const edf = new Edf(full, random);
    return {
      pick: () => {
        const index = edf.next;
        const state = endpoints[index]!;
        edf.advance(adjust(full[index]!, state));
        return state;
      },
    };
  };
  const settled = (): Picker => (equal ? even : planned(weights));
  if (slowStart === null) return settled();

  let warmUntil = -Infinity;
  for (const { since } of endpoints) warmUntil = Math.max(warmUntil, since + slowStart.windowMs);
  if (warmUntil <= clock.now()) return settled();
  const warming = (now: number): Picker =>
    planned(weights.map((weight, index) => weight * slowStartFactor(slowStart, now - endpoints[index]!.since)));
  let replanAt = -Infinity;
  let current: Picker = even;
  return {
    pick: (exchange) => {
      if (replanAt !== Infinity) {
        const now = clock.now();
        if (now >= warmUntil) {
          current = settled();
          replanAt = Infinity;
        } else if (now >= replanAt) {
          current = warming(now);
          replanAt = Math.min(warmUntil, now + slowStart.windowMs / PLANS_PER_WINDOW);
        }
      }
      return current.pick(exchange);
    },
  };
}
