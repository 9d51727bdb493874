import type { Wire } from '../placement.ts';
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
  /** No longer in the list; kept only until its last attempt has ended. */
  gone = false;
  /** Bad answers in a row, as outlier detection counts them. */
  consecutive5xx = 0;
  consecutiveGateway = 0;
  consecutiveLocalOrigin = 0;
  /** Monotonic moment of the latest ejection. */
  ejectedAt = 0;
  /** Grows by one with each ejection, shrinks with each sweep in good standing: the multiplier of the next ejection's length. */
  ejections = 0;
  /** What transports keep for it; made at its first attempt. */
  wires: Map<string, Wire> | undefined = undefined;

  constructor(endpoint: Endpoint, now: number) {
    this.endpoint = endpoint;
    this.since = now;
  }

  /** It left, or nobody names its cluster any more: connections close, calls on them finish. */
  closeWires(): void {
    const { wires } = this;
    this.wires = undefined;
    if (wires !== undefined) for (const wire of wires.values()) wire.close();
  }
}
