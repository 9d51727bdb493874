import type { ClusterPolicy } from '@inmesh/policy';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { EndpointState } from '../endpoint/state.ts';
import type { MeshError } from '../errors.ts';
import { AWAITED, type Placement, type Wire } from '../placement.ts';
import type { UpstreamStats } from '../upstream-stats.ts';

/** Who learns from attempts. */
export interface Learner {
  readonly stats: UpstreamStats;
  /** Response headers arrived. */
  answered(state: EndpointState, status: number, grpcStatus: number, startedAt: number): void;
  /** Trailers arrived, and say how it went (gRPC). */
  concluded(state: EndpointState, status: number, grpcStatus: number): void;
  /** It failed, before the headers or after. */
  failed(state: EndpointState, error: MeshError, answered: boolean, startedAt: number): void;
  /** It holds nothing any more. Always, exactly once, last. */
  released(state: EndpointState): void;
}

/** One attempt under way: hands what the transport reports to its cluster, each thing once. */
export class Attempt implements Placement {
  readonly endpoint: Endpoint;
  readonly wires: Map<string, Wire>;
  readonly policy: ClusterPolicy;
  readonly stats: UpstreamStats;
  readonly startedAt: number;
  readonly #learner: Learner;
  readonly #state: EndpointState;
  #stage: 'sent' | 'awaiting' | 'answered' | 'over' = 'sent';

  constructor(learner: Learner, state: EndpointState, policy: ClusterPolicy, startedAt: number) {
    this.endpoint = state.endpoint;
    this.wires = state.wires ??= new Map();
    this.policy = policy;
    this.stats = learner.stats;
    this.startedAt = startedAt;
    this.#learner = learner;
    this.#state = state;
  }

  responded(status: number, grpcStatus: number): void {
    if (this.#stage === 'sent') {
      this.#stage = grpcStatus === AWAITED ? 'awaiting' : 'answered';
      this.#learner.answered(this.#state, status, grpcStatus, this.startedAt);
    } else if (this.#stage === 'awaiting') {
      this.#stage = 'answered';
      this.#learner.concluded(this.#state, status, grpcStatus);
    }
  }

  ended(error: MeshError | undefined): void {
    if (this.#stage === 'over') return;
    const answered = this.#stage !== 'sent';
    this.#stage = 'over';
    if (error !== undefined) this.#learner.failed(this.#state, error, answered, this.startedAt);
    this.#learner.released(this.#state);
  }
}
