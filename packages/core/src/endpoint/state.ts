import type { Endpoint } from './endpoint.ts';

/** A moving picture of an endpoint's latency; made by the balancer that wants one. */
export interface LatencyRecord {
  /** `failed`: the answer counts as a failure for balancing (429, 5xx, connection errors). */
  record(rttMs: number, failed: boolean, now: number): void;
}

/** What a cluster has learned of one endpoint. Kept by address: it survives endpoint updates and policy changes. */
export class EndpointState {
  /** As last reported; the address never changes. */
  endpoint: Endpoint;
  /** Attempts in flight. */
  active = 0;
  /** Out of rotation by outlier detection. */
  ejected = false;
  /** Monotonic moment at which it joined, or came back: slow start counts from here. */
  since: number;
  /** Priority it was last given (0 = first); retries that avoid priorities ask for it. */
  priority = 0;
  latency: LatencyRecord | undefined = undefined;

  constructor(endpoint: Endpoint, now: number) {
    this.endpoint = endpoint;
    this.since = now;
  }
}
