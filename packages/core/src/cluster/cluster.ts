import type { ClusterPolicy, PeerRule, Service, Workload } from '@inmesh/policy';
import type { Endpoint } from '../endpoint/endpoint.ts';
import type { Handler, Runtime } from '../handler.ts';
import { type ClusterConfig, ClusterState } from './cluster-state.ts';
import type { ClusterView } from './cluster-view.ts';
import type { EndpointFeed } from './feed.ts';
import type { UpstreamStats, UpstreamView } from '../upstream-stats.ts';

export type { ClusterView, EndpointView } from './cluster-view.ts';

/** What a cluster needs beyond its policy. */
export interface ClusterTools {
  /** Scoped to this cluster by name, in this snapshot: what is leased in it is found again by the next. */
  readonly runtime: Runtime;
  /** Of the service port, shared with other subsets (`leaseFeed`). */
  readonly feed: EndpointFeed;
  /** Model.peers. */
  readonly peers: readonly PeerRule[];
  /** Settings.connectionsPerEndpoint. */
  readonly connectionsPerEndpoint: number;
}

/** One destination × subset × port of one snapshot: the bottom of the outbound stack. */
export interface Cluster {
  /** `outbound|PORT|SUBSET|HOST`. */
  readonly name: string;
  readonly policy: ClusterPolicy;
  /** One attempt on an endpoint of its choice. Throws or rejects with NO_ENDPOINT, NO_CLUSTER, OVERFLOW, or how the attempt failed. */
  readonly handler: Handler;
  /** Its snapshot has been assigned: from now on its policy holds for all calls of the cluster, old ones' retries included. */
  activate(): void;
  /** Looks for endpoints now instead of at the first call. */
  start(): void;
  /** For the retry filter: may one more retry be under way? Whoever got true calls `endRetry` when that retry is over. */
  tryRetry(): boolean;
  endRetry(): void;
  /** For retries that shall leave their priority (`retryRemoteLocalities`): the one an endpoint was last given. */
  priorityOf(endpoint: Endpoint): number | undefined;
  /** What was counted of it, to be added to. */
  readonly stats: UpstreamStats;
  /** What was counted, and how it stands; undefined: it was never used. */
  upstream(): UpstreamView | undefined;
  view(): ClusterView;
}

/** Starts nothing: endpoints are asked for at the first call, or by `start`. */
export function createCluster(policy: ClusterPolicy, service: Service, workload: Workload, tools: ClusterTools): Cluster {
  const { runtime, feed, peers, connectionsPerEndpoint } = tools;
  const config: ClusterConfig = { policy, service, workload, runtime, connectionsPerEndpoint };
  const state = runtime.lease(
    'cluster',
    () => new ClusterState(config, feed),
    (left) => left.close(),
  );
  return {
    name: policy.name,
    policy,
    handler: (exchange, transport) => state.place(exchange, transport, policy),
    activate: () => {
      state.use(config);
      feed.obey(peers); // before endpoints of the new service come
      feed.use(service);
    },
    start: () => state.start(),
    tryRetry: () => state.tryRetry(),
    endRetry: () => state.endRetry(),
    priorityOf: ({ address }) => state.priorityOf(address),
    stats: state.stats,
    upstream: () => state.upstream(),
    view: () => state.view(),
  };
}
