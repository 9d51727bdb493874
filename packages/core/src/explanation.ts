import type { Flag, GrpcStatusName } from './errors.ts';
import type { RequestDescription } from './route/request-call.ts';

/** What to explain: a request as a person writes it down. */
export type ExplainRequest = RequestDescription;

/**
 * What would become of a request under a policy, and why. Plain JSON, the same for the CLI, the console and tests; what
 * is absent is null or an empty list. Milliseconds are `…Ms`, percentages 0–100, shares 0–1.
 */
export interface Explanation {
  /** `refuse`: the mesh answers with an error of its own. */
  readonly decision: 'route' | 'redirect' | 'directResponse' | 'refuse';
  /** Of the answer the mesh gives itself; null where upstream answers. */
  readonly status: number | null;
  /** Envoy's response flag of a refusal, null where Envoy has none. */
  readonly flag: Flag | null;
  /** Of calls of gRPC only: what `status` is to the caller, `UNAVAILABLE` for 503; null where upstream answers. */
  readonly grpcStatus?: GrpcStatusName | null;
  /** FQDN of the service addressed; null if no registry knows it. */
  readonly service: string | null;
  /** Port addressed. */
  readonly port: number;
  /** `VirtualService ns/name`; null for the implicit route to a service, and outside the mesh. */
  readonly resource: string | null;
  readonly route: string | null;
  /** Where calls go, in the order of the policy. `PassthroughCluster` and `BlackHoleCluster` stand for hosts outside the mesh. */
  readonly clusters: readonly ExplainedCluster[];
  readonly timeoutMs: number | null;
  readonly retries: ExplainedRetries | null;
  readonly fault: ExplainedFault | null;
  readonly mirrors: readonly { readonly cluster: string; readonly percent: number }[];
  /** As upstream will see it; null if nothing is sent. Of several destinations, as the one with the largest share does. */
  readonly request: ExplainedRequest | null;
  /** What is done to the headers of the answer; null if nothing. */
  readonly response: ExplainedResponse | null;
  readonly redirect: { readonly status: number; readonly location: string } | null;
  /** A body of bytes is given in base64, as the policy writes it. */
  readonly directResponse: { readonly status: number; readonly body: string } | null;
  /** Sentences, in the order in which things are decided. */
  readonly why: readonly string[];
}

export interface ExplainedCluster {
  /** `outbound|PORT|SUBSET|HOST`. */
  readonly name: string;
  readonly weight: number;
  readonly share: number;
  readonly endpoints: readonly ExplainedEndpoint[];
  /** `LEAST_REQUEST`, `ROUND_ROBIN`, `RANDOM`, `PASSTHROUGH`, `RING_HASH`, `MAGLEV`, `PEAK_EWMA`; null where nothing is balanced. */
  readonly loadBalancer: string | null;
}

export interface ExplainedEndpoint {
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `region/zone/subzone`, trailing parts left out where unknown. */
  readonly locality: string | null;
}

export interface ExplainedRetries {
  /** Beyond the first try. */
  readonly attempts: number;
  /** Words of the policy, then its status codes. */
  readonly retryOn: readonly string[];
  readonly perTryTimeoutMs: number | null;
  readonly backoffMs: { readonly base: number; readonly max: number };
  /** `retryBudget` of the destination with the largest share. */
  readonly budget: { readonly percent: number; readonly minConcurrency: number; readonly intervalMs: number } | null;
}

export interface ExplainedFault {
  readonly delay: { readonly ms: number; readonly percent: number } | null;
  /** One of the two statuses is null. */
  readonly abort: { readonly httpStatus: number | null; readonly grpcStatus: number | null; readonly percent: number } | null;
}

export interface ExplainedRequest {
  readonly method: string;
  readonly authority: string;
  /** With its query. */
  readonly path: string;
  /** By lower-case name, several values joined with a comma. The host is the authority's. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface ExplainedResponse {
  readonly set: Readonly<Record<string, string>>;
  /** Several values of one name joined with a comma. */
  readonly add: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}
