import type { MeshError } from './errors.ts';
import type { Endpoint } from './endpoint/endpoint.ts';
import type { UpstreamStats } from './upstream-stats.ts';
import type { ClusterPolicy } from '@inmesh/policy';

/** Connections to one endpoint. `close` lets calls that are on them finish. */
export interface Wire {
  close(): void;
}

/** In place of a grpc-status: the headers arrived without one, the trailers will say how it went. */
export const AWAITED = -2;

/**
 * One attempt, placed: which endpoint, and who must learn how it goes. Made by the cluster, told by the transport.
 * Both calls are synchronous, never throw, and come in this order; `responded` is left out when no headers came, and comes
 * again after AWAITED.
 */
export interface Placement {
  readonly endpoint: Endpoint;
  /** What transports keep for this endpoint (connection pools), by a key of theirs; closed when the endpoint leaves. */
  readonly wires: Map<string, Wire>;
  /** Connection settings, TLS and protocol of the destination. */
  readonly policy: ClusterPolicy;
  /** Of the endpoint's cluster: transports count its connections there. */
  readonly stats: UpstreamStats;
  /** Response headers arrived. grpcStatus −1: none in the headers. AWAITED: not before the trailers, which then say it. */
  responded(status: number, grpcStatus: number): void;
  /** The attempt is over: body read to its end (no error), or failed, or dropped (`CANCELLED`). */
  ended(error: MeshError | undefined): void;
}
