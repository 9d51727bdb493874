import type { Exchange } from './exchange.ts';
import type { EndpointState } from './endpoint/state.ts';
import type { Filter, Runtime } from './handler.ts';

/** A feature of the stack, whole: its options type, its behaviour, its name in explain. One file, one line in `stack.ts`. */
export interface FilterKind<Config> {
  readonly name: string;
  outbound?(config: Config, runtime: Runtime): Filter;
  inbound?(config: Config, runtime: Runtime): Filter;
}

/**
 * Chooses an endpoint for one attempt. Immutable: it is rebuilt when endpoints or their health change, and swapped.
 * `pick` never blocks and never throws; undefined means that there is none.
 */
export interface Picker {
  pick(exchange: Exchange): EndpointState | undefined;
}

/** A load-balancing algorithm: how to choose among endpoints of one priority. */
export interface BalancerKind<Config> {
  readonly name: string;
  /**
   * `endpoints` is never empty; all of them may be picked (health was decided above).
   * Returns a Picker at once, or, where a table must be built that takes longer than a few milliseconds, a Building.
   */
  picker(config: Config, endpoints: readonly EndpointState[], runtime: Runtime): Picker | Building;
}

/** A picker under construction: `step` works for about `ms` milliseconds and returns the picker when it is done. */
export interface Building {
  step(ms: number): Picker | undefined;
}
