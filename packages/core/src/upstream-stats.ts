import type { MeshError } from './errors.ts';

/** Envoy's default bounds of histograms, in milliseconds, as far as a connection can take. */
export const CONNECT_BOUNDS: readonly number[] = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

/** Calls that ended with one status. */
export interface CodeCount {
  readonly status: number;
  count: number;
}

/**
 * What Envoy counts of an upstream cluster (its "cluster statistics", whose names these are), counted where it happens. Plain numbers:
 * a call pays an addition, nothing is told to anyone. Leased with its cluster, so a policy change keeps it and no counter goes back.
 */
export class UpstreamStats {
  /** Attempts that were given an endpoint. */
  rqTotal = 0;
  /** Calls that had to wait for a connection. */
  rqPendingTotal = 0;
  /** Refused because of `http1MaxPendingRequests` or `http2MaxRequests`; of these, because of the latter. */
  rqPendingOverflow = 0;
  rqActiveOverflow = 0;
  /** Attempts whose connection could not be made, or ended. */
  rqPendingFailureEject = 0;
  /** The call's time was up before headers came; the attempt's own was. */
  rqTimeout = 0;
  rqPerTryTimeout = 0;
  /** Streams reset by the other side, and by us. */
  rqRxReset = 0;
  rqTxReset = 0;
  /** Given up before they had a connection. */
  rqCancelled = 0;
  rqRetry = 0;
  rqRetrySuccess = 0;
  /** Not retried because of `maxRetries` or the budget; because the policy's count was reached. */
  rqRetryOverflow = 0;
  rqRetryLimitExceeded = 0;
  /** Retries whose pause was our own backoff, and those whose pause the server asked for. */
  rqRetryBackoffExponential = 0;
  rqRetryBackoffRatelimited = 0;

  /** Connections begun, failed (late ones too), and over. */
  cxTotal = 0;
  cxActive = 0;
  cxConnectFail = 0;
  cxConnectTimeout = 0;
  cxDestroy = 0;
  /** Calls that had to wait because `maxConnections` was reached. */
  cxOverflow = 0;
  /** Calls for which there was no endpoint. */
  cxNoneHealthy = 0;
  /** Connections made, by CONNECT_BOUNDS and one beyond, and the milliseconds they took. Empty before the first. */
  readonly cxConnectCounts: number[] = [];
  cxConnectMs = 0;

  membershipChange = 0;
  updateSuccess = 0;
  updateFailure = 0;
  updateEmpty = 0;
  /** Attempts placed while so few endpoints were healthy that all were used. */
  lbHealthyPanic = 0;

  ejectionsEnforced = 0;
  /** Not ejected because `maxEjectionPercent` was reached. */
  ejectionsOverflow = 0;
  detected5xx = 0;
  enforced5xx = 0;
  detectedGateway = 0;
  enforcedGateway = 0;
  detectedLocalOrigin = 0;
  enforcedLocalOrigin = 0;

  /** How calls ended, retries of theirs not counted: few statuses, in order of appearance. */
  readonly codes: CodeCount[] = [];
  #latest: CodeCount | undefined = undefined;

  /** A call ended with this status. Most end as the one before did. */
  charge(status: number): void {
    let code = this.#latest;
    if (code?.status !== status) {
      code = this.codes.find((one) => one.status === status);
      if (code === undefined) this.codes.push((code = { status, count: 0 }));
      this.#latest = code;
    }
    code.count += 1;
  }

  /** An attempt did not come to its end. `answered`: headers had come. */
  failed({ code, phase }: MeshError, answered: boolean): void {
    switch (code) {
      case 'ATTEMPT_TIMEOUT':
        this.rqPerTryTimeout += 1;
        break;
      case 'DEADLINE_EXCEEDED':
        // As Envoy: what has been answered is cut short, but was not waited for in vain.
        if (!answered) this.rqTimeout += 1;
        break;
      // Envoy's stream reset reasons, as its connection pool counts them (conn_pool_base.cc, onStreamReset).
      case 'CONNECT_FAILED':
      case 'RESET':
        this.rqPendingFailureEject += 1;
        return;
      case 'STREAM_RESET':
      case 'REFUSED':
        this.rqRxReset += 1;
        return;
      default:
    }
    if (!answered && phase === 'unsent') this.rqCancelled += 1;
    else this.rqTxReset += 1;
  }

  /** A call that waited for a connection waits no more, and has none. */
  gaveUp({ code }: MeshError): void {
    if (code === 'DEADLINE_EXCEEDED') this.rqTimeout += 1;
    this.rqCancelled += 1;
  }

  /** A connection is being made: then come `connected` or `connectFailed`, and after `connected` `disconnected`. */
  connecting(): void {
    this.cxTotal += 1;
    this.cxActive += 1;
  }

  connected(ms: number): void {
    const counts = this.cxConnectCounts;
    while (counts.length <= CONNECT_BOUNDS.length) counts.push(0);
    let bucket = 0;
    while (bucket < CONNECT_BOUNDS.length && ms > CONNECT_BOUNDS[bucket]!) bucket += 1;
    counts[bucket]! += 1;
    this.cxConnectMs += ms;
  }

  connectFailed(timedOut: boolean): void {
    this.cxConnectFail += 1;
    if (timedOut) this.cxConnectTimeout += 1;
    this.disconnected();
  }

  disconnected(): void {
    this.cxActive -= 1;
    this.cxDestroy += 1;
  }

  /** As it stands. */
  copy(): UpstreamCounts {
    const { codes, cxConnectCounts } = this;
    return Object.assign({}, this, { codes: codes.map((code) => ({ ...code })), cxConnectCounts: [...cxConnectCounts] });
  }
}

/** What was counted, as plain data. */
export type UpstreamCounts = Readonly<
  Omit<UpstreamStats, 'charge' | 'failed' | 'gaveUp' | 'connecting' | 'connected' | 'connectFailed' | 'disconnected' | 'copy'>
>;

/** How near a limit is. */
export interface Breaker {
  readonly open: boolean;
  readonly remaining: number;
}

/** The statistics of a cluster at a moment: what was counted since it was first used, and how it stands now. Plain data. */
export interface UpstreamView {
  /** `outbound|9080|v1|reviews.shop.svc.cluster.local`. */
  readonly cluster: string;
  readonly counts: UpstreamCounts;
  readonly rqActive: number;
  readonly rqPendingActive: number;
  readonly membershipTotal: number;
  /** In rotation: healthy, and not ejected. */
  readonly membershipHealthy: number;
  readonly ejectionsActive: number;
  /** Questions the mesh itself asked endpoints of the service, of whatever subset; undefined: none. */
  readonly healthChecks: { readonly success: number; readonly failure: number; readonly healthy: number } | undefined;
  /** null: no limit. */
  readonly breakers: {
    readonly cx: Breaker | null;
    readonly rq: Breaker | null;
    readonly rqPending: Breaker | null;
    readonly rqRetry: Breaker | null;
  };
}
