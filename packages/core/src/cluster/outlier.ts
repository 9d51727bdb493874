import type { Outlier } from '@inmesh/policy';
import type { Clock, Timer } from '../clock.ts';
import type { EndpointState } from '../endpoint/state.ts';
import type { Observer } from '../observer.ts';
import type { UpstreamStats } from '../upstream-stats.ts';
import type { Verdict } from '../verdict.ts';

/** Envoy's max_ejection_time, unless the base is longer. */
const LONGEST_EJECTION_MS = 300_000;

/** Timers fire up to a millisecond early; what is due that soon is due. */
const TIMER_SLACK_MS = 1;

/** What an answer stands for in HTTP terms, by grpc-status 0–16 (Envoy source/common/grpc/status.cc, grpcToHttpStatus). */
const HTTP_OF_GRPC = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

/** The HTTP code outlier detection sees in a reply: its status, or what its grpc-status stands for. */
export function httpCodeOf(status: number, grpcStatus: number): number {
  return grpcStatus < 0 ? status : (HTTP_OF_GRPC[grpcStatus] ?? 500);
}

/**
 * The HTTP code a failure without an answer counts as. Timeouts are 504. All that ends a connection or stream is 503, as
 * Envoy's router reports every such reset as LocalOriginConnectFailed (router.cc onUpstreamReset); the rest is 500.
 */
function httpCodeOfFailure(reason: Verdict['reason']): number {
  switch (reason) {
    case 'ATTEMPT_TIMEOUT':
    case 'DEADLINE_EXCEEDED':
      return 504;
    case 'CONNECT_FAILED':
    case 'RESET':
    case 'STREAM_RESET':
    case 'REFUSED':
      return 503;
    default:
      return 500;
  }
}

/** How long the present ejection of an endpoint lasts: base × multiplier, at most 300 s or the base if that is longer. */
export function ejectionMs(policy: Outlier, state: EndpointState): number {
  return Math.min(policy.baseEjectionMs * Math.max(state.ejections, 1), Math.max(policy.baseEjectionMs, LONGEST_EJECTION_MS));
}

/**
 * Outlier detection of one cluster (Istio `outlierDetection`, Envoy source/common/upstream/outlier_detection_impl.cc): an
 * endpoint that answers badly several times in a row leaves the rotation for a while, longer each time.
 *
 * Counters live on the endpoint states and survive policy changes; thresholds are looked up at each use, so new ones hold
 * at once. As in Envoy an ejection ends at a sweep; the sweep's timer runs only while there is something to undo.
 */
export class OutlierDetection {
  readonly #cluster: string;
  readonly #clock: Clock;
  readonly #stats: UpstreamStats;
  readonly #onChange: () => void;
  #observer: Observer;
  #policy: Outlier | null = null;
  #members: readonly EndpointState[] = [];
  #ejected = 0;
  #timer: Timer | undefined = undefined;

  /** `onChange`: an endpoint was ejected or came back. */
  constructor(cluster: string, clock: Clock, observer: Observer, stats: UpstreamStats, onChange: () => void) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#observer = observer;
    this.#stats = stats;
    this.#onChange = onChange;
  }

  /** How many members are ejected now. */
  get ejected(): number {
    return this.#ejected;
  }

  /** The newest policy; null turns detection off and lets everyone back in. */
  use(policy: Outlier | null, observer: Observer): void {
    const intervalMs = this.#policy?.intervalMs;
    this.#observer = observer;
    this.#policy = policy;
    if (policy === null) {
      this.close();
      for (const state of this.#members) {
        if (state.ejected) this.#return(state);
        state.ejections = 0;
        state.consecutive5xx = 0;
        state.consecutiveGateway = 0;
        state.consecutiveLocalOrigin = 0;
      }
    } else if (this.#timer !== undefined && policy.intervalMs !== intervalMs) {
      this.close();
      this.#arm(policy);
    }
  }

  /** The complete list of the cluster's endpoints. One that left is no member of the count any more. */
  setMembers(members: readonly EndpointState[]): void {
    for (const state of this.#members) if (state.gone && state.ejected) this.#return(state);
    this.#members = members;
  }

  /** Learns from one outcome. Refusals of our own and callers who went away say nothing about an endpoint. */
  learn(state: EndpointState, verdict: Verdict): void {
    const policy = this.#policy;
    if (policy === null || state.gone) return;
    if (verdict.reason === 'reply') {
      // An answer, even a bad one, shows that the way to the endpoint is fine.
      if (policy.splitLocalOrigin) state.consecutiveLocalOrigin = 0;
      const code = httpCodeOf(verdict.status, verdict.grpcStatus);
      const bad = policy.statusCodes === null ? code >= 500 && code <= 599 : policy.statusCodes.includes(code);
      this.#count(policy, state, bad ? code : 200);
    } else if (verdict.origin === 'upstream') {
      if (policy.splitLocalOrigin) this.#countLocalOrigin(policy, state, verdict);
      else this.#count(policy, state, httpCodeOfFailure(verdict.reason));
    }
  }

  /** Stops the sweep; what is ejected stays so. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** `code` 200 is a success, anything else a failure. */
  #count(policy: Outlier, state: EndpointState, code: number): void {
    if (code === 200) {
      // Reading first keeps the ordinary answer from writing to an object shared by all calls.
      if (state.consecutive5xx !== 0) state.consecutive5xx = 0;
      if (state.consecutiveGateway !== 0) state.consecutiveGateway = 0;
      return;
    }
    state.consecutive5xx += 1;
    if (code >= 502 && code <= 504) {
      state.consecutiveGateway += 1;
      if (policy.consecutiveGateway > 0 && state.consecutiveGateway >= policy.consecutiveGateway && !state.ejected) {
        this.#eject(policy, state, 'Gateway', `${state.consecutiveGateway} gateway errors in a row, the latest ${code}`);
        state.consecutiveGateway = 0;
      }
    } else state.consecutiveGateway = 0;
    if (policy.consecutive5xx > 0 && state.consecutive5xx >= policy.consecutive5xx && !state.ejected) {
      this.#eject(policy, state, '5xx', `${state.consecutive5xx} bad answers in a row, the latest ${code}`);
      state.consecutive5xx = 0;
    }
  }

  #countLocalOrigin(policy: Outlier, state: EndpointState, verdict: Verdict): void {
    state.consecutiveLocalOrigin += 1;
    if (policy.consecutiveLocalOrigin > 0 && state.consecutiveLocalOrigin >= policy.consecutiveLocalOrigin && !state.ejected) {
      this.#eject(
        policy,
        state,
        'LocalOrigin',
        `${state.consecutiveLocalOrigin} failures on the way in a row, the latest ${verdict.reason}`,
      );
      state.consecutiveLocalOrigin = 0;
    }
  }

  #eject(policy: Outlier, state: EndpointState, kind: '5xx' | 'Gateway' | 'LocalOrigin', reason: string): void {
    this.#stats[`detected${kind}`] += 1;
    const total = this.#members.length;
    const withinCap = (this.#ejected + 1) * 100 <= policy.maxEjectionPercent * total;
    // Of several, one may always go (else the default of 10 % never ejects anything below ten endpoints); the only one never by this rule.
    if (!withinCap && !(policy.alwaysEjectOne && this.#ejected === 0 && total > 1)) {
      this.#stats.ejectionsOverflow += 1;
      return;
    }
    this.#stats.ejectionsEnforced += 1;
    this.#stats[`enforced${kind}`] += 1;
    state.ejected = true;
    state.ejectedAt = this.#clock.now();
    // The multiplier stops where the length does (Envoy: one step later), so that a long-bad endpoint is forgiven in bounded time.
    if (policy.baseEjectionMs * (state.ejections - 1) < Math.max(policy.baseEjectionMs, LONGEST_EJECTION_MS)) state.ejections += 1;
    this.#ejected += 1;
    this.#arm(policy);
    this.#observer.event({
      type: 'endpoint.ejected',
      cluster: this.#cluster,
      address: state.endpoint.address,
      reason,
      ms: ejectionMs(policy, state),
    });
    this.#onChange();
  }

  #return(state: EndpointState): void {
    state.ejected = false;
    state.since = this.#clock.now();
    // It begins with a clean slate, also in the counters that did not trigger.
    state.consecutive5xx = 0;
    state.consecutiveGateway = 0;
    state.consecutiveLocalOrigin = 0;
    this.#ejected -= 1;
    this.#observer.event({ type: 'endpoint.returned', cluster: this.#cluster, address: state.endpoint.address });
    this.#onChange();
  }

  #arm(policy: Outlier): void {
    this.#timer ??= this.#clock.after(policy.intervalMs, () => this.#sweep());
  }

  #sweep(): void {
    this.#timer = undefined;
    const policy = this.#policy;
    if (policy === null) return;
    const now = this.#clock.now() + TIMER_SLACK_MS;
    let more = false;
    for (const state of this.#members) {
      if (state.ejected) {
        if (now - state.ejectedAt >= ejectionMs(policy, state)) this.#return(state);
      } else if (state.ejections > 0) state.ejections -= 1;
      if (state.ejections > 0) more = true;
    }
    if (more) this.#arm(policy);
  }
}
