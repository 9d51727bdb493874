import type { Clock } from '../clock.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Closeable } from './resolver.ts';

/** Who finds out how those endpoints are that no platform watches: endpoints with a `probe`. An endpoint that several services name is asked once. */
export interface HealthChecks {
  /** Starts with an empty list. `onChange`: another answer of `judge` is due. Never throws. */
  follow(onChange: () => void, tools: HealthTools): HealthWatch;
}

export interface HealthTools {
  readonly clock: Clock;
  readonly random: () => number;
  /** An endpoint of the list was asked, and was well or not. Left out: nobody counts. */
  readonly answered?: (well: boolean) => void;
}

export interface HealthWatch extends Closeable {
  /** The endpoints with what is known of each; these are asked from now on, and no others. */
  judge(endpoints: readonly Endpoint[]): readonly Endpoint[];
}
