import type { LoadBalancer } from '@inmesh/policy';
import type { EndpointState } from '../endpoint/state.ts';
import type { Runtime } from '../handler.ts';
import type { BalancerKind, Building, Picker } from '../kind.ts';
import type { BalancerConfig } from './balancer.ts';
import { leastRequest } from './least-request.ts';
import { maglev } from './maglev.ts';
import { peakEwma } from './peak-ewma.ts';
import { random } from './random.ts';
import { ringHash } from './ring-hash.ts';
import { roundRobin } from './round-robin.ts';

/** Kinds that choose among endpoints; passthrough dials where the caller asked to, and chooses nothing. */
export type BalancerName = Exclude<LoadBalancer['kind'], 'passthrough'>;

/** Every load-balancing algorithm, by the name the model gives it. */
export const balancers: { readonly [Name in BalancerName]: BalancerKind<BalancerConfig<Name>> } = {
  leastRequest,
  maglev,
  peakEwma,
  random,
  ringHash,
  roundRobin,
};

/** The picker of whichever kind the model names. */
export function balance<Name extends BalancerName>(
  kind: Name,
  config: BalancerConfig<Name>,
  endpoints: readonly EndpointState[],
  runtime: Runtime,
): Picker | Building {
  return balancers[kind].picker(config, endpoints, runtime);
}
