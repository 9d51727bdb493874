/**
 * The inbound half of the model: what a document demands of those who call this workload. Plain comparable JSON, as
 * `model.ts`; trust-domain aliases are expanded, selectors decided, defaults filled in.
 */

import type { RouteMatch, StringMatch } from './route-match.ts';

/** What one workload demands of its callers. */
export interface InboundModel {
  readonly mtls: InboundMtls;
  /** Rules of all RequestAuthentications that select the workload, sorted by issuer. */
  readonly jwt: readonly JwtRule[];
  /** Every AuthorizationPolicy that selects the workload, sorted by action, namespace and name; their order decides nothing. */
  readonly authorization: readonly AuthorizationPolicy[];
  /** Cross-origin rules of the services this workload is a member of; the first route that matches decides. */
  readonly cors: readonly CorsRoute[];
  /** Services the workload is a member of, sorted by host. Known by its labels; without any it could be anybody. */
  readonly services: readonly InboundService[];
  /** Proxies in front of this workload whose X-Forwarded-For entries are believed, counted from the right. Default 0. */
  readonly trustedHops: number;
}

/** A service that sends its callers to the workload. */
export interface InboundService {
  /** FQDN, or a `*.` wildcard of a ServiceEntry. */
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
  /** Workload ports it sends them to; null: it knows them by names only the workload's pod could tell. */
  readonly ports: readonly number[] | null;
}

export type MtlsMode = 'DISABLE' | 'PERMISSIVE' | 'STRICT';

/** Whether callers must come by mutual TLS (PeerAuthentication; Istio's ComposePeerAuthentication). */
export interface InboundMtls {
  readonly mode: MtlsMode;
  /** Workload port → its own mode. */
  readonly ports: Readonly<Record<string, MtlsMode>>;
  /** The policies it came from, most specific first: `PeerAuthentication ns/name`. */
  readonly resources: readonly string[];
}

/** What the workloads of a namespace demand of their callers; of a list of these the first that is for a workload holds, all by itself. */
export interface PeerRule {
  /** null: any. */
  readonly namespace: string | null;
  /** A workload must carry them all. */
  readonly labels: Readonly<Record<string, string>>;
  readonly mtls: InboundMtls;
}

/** Tokens of one issuer: where they are looked for, how they are verified, what is passed on (RequestAuthentication jwtRules). */
export interface JwtRule {
  /** `RequestAuthentication ns/name`. */
  readonly resource: string;
  /** Exact `iss`; '' accepts any issuer (allowed with jwksUri only). */
  readonly issuer: string;
  /** Any of these; empty accepts every audience. */
  readonly audiences: readonly string[];
  /** Where the keys come from: a URL, inline JWKS text, or by discovery at the issuer. */
  readonly keys:
    { readonly kind: 'uri'; readonly uri: string } | { readonly kind: 'inline'; readonly jwks: string } | { readonly kind: 'discovery' };
  /** Where a token may be. Never empty: Authorization: Bearer and `access_token` unless the rule says otherwise. */
  readonly locations: readonly TokenLocation[];
  /** Header (lower-case) that carries the verified payload on, base64url; null: none. */
  readonly outputPayloadToHeader: string | null;
  readonly outputClaimToHeaders: readonly { readonly header: string; readonly claim: readonly string[] }[];
  readonly forwardOriginalToken: boolean;
  /** Time a fetch of keys may take. */
  readonly timeoutMs: number;
  /** Claims that are split at spaces into lists, beside `scope` and `permission`. */
  readonly spaceDelimitedClaims: readonly string[];
}

export type TokenLocation =
  /** name is lower-case; prefix '' takes the whole value. */
  | { readonly in: 'header'; readonly name: string; readonly prefix: string }
  | { readonly in: 'query'; readonly name: string }
  | { readonly in: 'cookie'; readonly name: string };

/** One AuthorizationPolicy. It matches a call if any of its rules does; without rules it matches none. */
export interface AuthorizationPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly action: 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM';
  /** Extension provider of a CUSTOM policy, '' else. */
  readonly provider: string;
  /** Judged and reported, never enforced (annotation istio.io/dry-run). */
  readonly dryRun: boolean;
  readonly rules: readonly AuthorizationRule[];
}

/** Matches if one source, one operation (an empty list: any) and all conditions do. */
export interface AuthorizationRule {
  readonly from: readonly (readonly Condition[])[];
  readonly to: readonly (readonly Condition[])[];
  readonly when: readonly Condition[];
}

/**
 * `attribute` has one of `values` (an empty list: holds) and none of `notValues`. Values are written as Istio writes them:
 * exact, `prefix*`, `*suffix`, `*`; serviceAccounts are `namespace/name`; principals have no scheme. A missing attribute
 * fails `values` and passes `notValues`.
 */
export interface Condition {
  readonly attribute: Attribute;
  readonly values: readonly string[];
  readonly notValues: readonly string[];
}

export type Attribute =
  | {
      readonly name:
        | 'host'
        | 'method'
        | 'path'
        | 'destination.port'
        | 'destination.ip'
        | 'source.ip'
        | 'remote.ip'
        | 'source.principal'
        | 'source.namespace'
        | 'source.serviceAccount'
        | 'source.trustDomain'
        | 'request.auth.principal'
        | 'request.auth.audiences'
        | 'request.auth.presenter'
        | 'connection.sni';
    }
  /** name is lower-case. */
  | { readonly name: 'request.headers'; readonly header: string }
  /** Path of nested claims. */
  | { readonly name: 'request.auth.claims'; readonly claim: readonly string[] }
  /** Envoy's own metadata: nobody sets it in a process, so it is always missing. */
  | { readonly name: 'experimental.envoy.filters'; readonly key: string };

/** Cross-origin rules of one route: which calls they are for, and what is allowed (VirtualService corsPolicy, HTTPRoute CORS filter). */
export interface CorsRoute {
  /** `VirtualService ns/name`. */
  readonly resource: string;
  /** Hosts (lower-case, without port, or `*.suffix`) the call must be addressed to. */
  readonly domains: readonly string[];
  readonly match: RouteMatch;
  /** null: the route that matches has no cross-origin rules. */
  readonly cors: Cors | null;
}

export interface Cors {
  readonly allowOrigins: readonly StringMatch[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeSeconds: number | null;
  readonly allowCredentials: boolean;
  /** What happens to a preflight of another origin: it goes on to the application, or it is answered without permission. */
  readonly unmatchedPreflights: 'FORWARD' | 'IGNORE';
}
