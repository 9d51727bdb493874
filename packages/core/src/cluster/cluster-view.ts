import type { LoadBalancer } from '@inmesh/policy';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Resolution } from '../ports/resolver.ts';
import type { UpstreamView } from '../upstream-stats.ts';

/** How a cluster stands, for explain and status. Plain data, made anew at each call. */
export interface ClusterView {
  readonly name: string;
  readonly pickerKind: LoadBalancer['kind'];
  /** A new table is being built; the old one serves. */
  readonly building: boolean;
  /** Endpoints have been asked for. Before that, only those the document itself names are listed. */
  readonly started: boolean;
  readonly resolution: Resolution['state'];
  /** Why the latest look-up failed; null if it did not. */
  readonly reason: string | null;
  /** Attempts under way, and calls waiting for endpoints or a connection. */
  readonly active: number;
  readonly waiting: number;
  readonly retries: number;
  /** undefined: it was never used. */
  readonly stats: UpstreamView | undefined;
  readonly endpoints: readonly EndpointView[];
}

export interface EndpointView {
  readonly endpoint: Endpoint;
  readonly health: Endpoint['health'];
  readonly active: number;
  readonly ejected: boolean;
  /** Milliseconds since 1970 at which its ejection is over (it returns at the sweep after that); null if not ejected. */
  readonly ejectedUntil: number | null;
  /** Multiplier of its ejections' length. */
  readonly ejections: number;
  readonly priority: number;
}
