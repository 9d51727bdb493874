import type { Destination, JwtRule, Mirror, MtlsMode, Route, RouteAction } from '@inmesh/policy';
import type { Call } from './call.ts';
import type { Cluster } from './cluster/cluster.ts';
import { authenticate } from './filters/authenticate.ts';
import { authorize, custom } from './filters/authorize.ts';
import { charging } from './filters/charge.ts';
import { type CompiledCors, cors } from './filters/cors.ts';
import { deadline } from './filters/deadline.ts';
import { direct } from './filters/direct.ts';
import { edits } from './filters/edits.ts';
import { fault } from './filters/fault.ts';
import { hash } from './filters/hash.ts';
import { hedge } from './filters/hedge.ts';
import { mirror } from './filters/mirror.ts';
import { observe } from './filters/observe.ts';
import { peer } from './filters/peer.ts';
import { redirect } from './filters/redirect.ts';
import { retry } from './filters/retry.ts';
import { missing, split } from './filters/split.ts';
import { timeout } from './filters/timeout.ts';
import { trace } from './filters/trace.ts';
import { transparentRetry } from './filters/transparent-retry.ts';
import { MeshError } from './errors.ts';
import type { Authorization } from './inbound/authorization.ts';
import type { Ledger } from './inbound/ledger.ts';
import type { PortRbacStats } from './inbound/rbac-stats.ts';
import type { TokenVerifier } from './ports/tokens.ts';
import type { Begin } from './ports/tracer.ts';
import type { Filter, Handler, Runtime } from './handler.ts';
import type { FilterKind } from './kind.ts';
import { type RouteObserver, silentRoute } from './observer.ts';

/**
 * The order of both stacks, written once. A call goes down through these and comes back. A filter that a route
 * does not configure is not in its chain: no function, no cost.
 */

/** What the filters of a whole route may ask for. */
interface RouteParts {
  readonly route: Route;
  readonly observer: RouteObserver;
  /** undefined: nobody traces. */
  readonly begin: Begin | undefined;
}

/** What the filters of one destination may ask for. */
interface WayParts extends RouteParts {
  readonly destination: Destination;
  readonly cluster: Cluster;
  readonly clusterOf: (name: string) => Cluster | undefined;
}

const ROUTE: readonly Layer<RouteParts>[] = [
  // First, so that every outcome is counted: refusals by the mesh, injected faults and fixed answers included.
  layer(observe, ({ observer }) => ({ observer })),
  // Next, so that all that is done for the call is done in its trace, and what is refused has a place there, too.
  layer(trace, ({ begin }) => (begin === undefined ? null : { begin })),
  // Above timeout and retry: an injected abort is meant to be seen, an injected delay to be felt (Envoy's fault filter
  // runs before its router). Above split: who gets a fault does not depend on where he would have gone.
  layer(fault, ({ route }) => route.fault),
  // Then `ends` below: split draws one destination, and retries stay in it.
];

const WAY: readonly Layer<WayParts>[] = [
  // What is hashed, mirrored and sent is the request as this destination shall see it.
  layer(edits, ({ route, destination }) => changes(route, destination)),
  // Once per call, not per attempt: a retry walks on along the ring from the same key.
  layer(hash, ({ route, cluster }) => (hashes(cluster) && route.hash.length > 0 ? { keys: route.hash } : null)),
  // Above retry: a retry is not copied again. Above timeout: the copy lives by a deadline of its own.
  layer(mirror, ({ route, clusterOf }) => mirrored(route, clusterOf)),
  // Spans all attempts and the pauses between them.
  layer(timeout, ({ route }) => (route.timeoutMs === null ? null : { ms: route.timeoutMs, waited: route.fault?.delay != null })),
  // What is below retry happens again with each.
  layer(retry, ({ route, cluster }) => (route.retries === null ? null : { policy: route.retries, timeoutMs: route.timeoutMs, cluster })),
  // Below retry: an attempt that is repeated is hedged again, and each has its own per-try timeout.
  layer(hedge, ({ route, cluster }) =>
    cluster.policy.hedging.length === 0 ? null : { hedging: cluster.policy.hedging, retries: route.retries, cluster },
  ),
  // Below retry, as gRPC has it: what no server began is not one of the tries a policy counts. It asks for no configuration.
  layer(transparentRetry, ({ cluster }) => ({ cluster })),
  // Then, for each attempt, the cluster: limits, choice of an endpoint, the attempt itself with its own time limit.
];

/** What the inbound filters of a port may ask for. */
export interface InboundParts {
  readonly mtls: MtlsMode;
  /** undefined: nobody traces. */
  readonly begin: Begin | undefined;
  /** undefined: nobody has cross-origin rules. */
  readonly cors: ((call: Call) => CompiledCors | undefined) | undefined;
  readonly jwt: readonly JwtRule[];
  readonly verifier: TokenVerifier | undefined;
  readonly authorization: Authorization;
  /** undefined: nobody keeps decisions. */
  readonly ledger: Ledger | undefined;
  readonly stats: PortRbacStats;
}

const INBOUND: readonly Layer<InboundParts>[] = [
  // Who is refused below has a place in his trace, too.
  inboundLayer(trace, ({ begin }) => (begin === undefined ? null : { begin })),
  // Who has not proven himself on a STRICT port hears nothing else of us.
  inboundLayer(peer, ({ mtls, ledger }) => (mtls === 'STRICT' ? { ledger } : null)),
  // Above tokens: a browser's preflight carries none.
  inboundLayer(cors, ({ cors: find }) => (find === undefined ? null : { find })),
  // Above tokens, as Istio's chain has it (CUSTOM may be what mints them), so its rules cannot speak of them.
  inboundLayer(custom, ({ authorization: { custom: rules }, ledger, stats }) => (rules.length === 0 ? null : { rules, ledger, stats })),
  // A bad token is 401 even where a rule would have said 403.
  inboundLayer(authenticate, ({ jwt, verifier, ledger }) =>
    jwt.length === 0 || verifier === undefined ? null : { rules: jwt, verifier, ledger },
  ),
  // AUDIT, DENY, ALLOW, by then with the claims.
  inboundLayer(authorize, ({ authorization, ledger, stats }) =>
    decidesNothing(authorization, ledger) ? null : { authorization, ledger, stats },
  ),
  // Last: time spent above is time of the caller's.
  inboundLayer(deadline, () => ({})),
  // Then your handler.
];

function decidesNothing({ audit, deny, allow, dryDeny, dryAllow }: Authorization, ledger: Ledger | undefined): boolean {
  const noted = ledger !== undefined && (audit.length > 0 || ledger.everything);
  const shadowed = dryDeny.length > 0 || dryAllow !== undefined;
  return deny.length === 0 && allow === undefined && !noted && !shadowed;
}

/** The handler of a port: everything that happens to a call before it is yours. */
export function inboundStack(parts: InboundParts, runtime: Runtime): Handler {
  return compose(INBOUND, parts, runtime, YOURS);
}

const YOURS: Handler = (exchange, transport) => transport.attempt(exchange, undefined);

type Layer<Parts> = (parts: Parts, runtime: Runtime) => Filter | undefined;

function layer<Parts, Config>(kind: FilterKind<Config>, config: (parts: Parts) => Config | null): Layer<Parts> {
  return (parts, runtime) => {
    const chosen = config(parts);
    return chosen === null ? undefined : kind.outbound?.(chosen, runtime);
  };
}

function inboundLayer<Parts, Config>(kind: FilterKind<Config>, config: (parts: Parts) => Config | null): Layer<Parts> {
  return (parts, runtime) => {
    const chosen = config(parts);
    return chosen === null ? undefined : kind.inbound?.(chosen, runtime);
  };
}

function compose<Parts>(layers: readonly Layer<Parts>[], parts: Parts, runtime: Runtime, bottom: Handler): Handler {
  return layers.reduceRight((next, build) => build(parts, runtime)?.(next) ?? next, bottom);
}

/** What a stack is built from. */
export interface StackParts {
  readonly route: Route;
  readonly runtime: Runtime;
  /** Counts what is decided before a destination is drawn. */
  readonly observer: RouteObserver;
  readonly observerOf: (destination: Destination) => RouteObserver;
  /** Gives calls their place in a trace; undefined: nobody traces. */
  readonly begin: Begin | undefined;
  readonly clusterOf: (name: string) => Cluster | undefined;
}

/** The handler of a route: everything that happens to a call it matches. */
export function outboundStack(parts: StackParts): Handler {
  return compose(ROUTE, parts, parts.runtime, end(parts.route.action, parts));
}

const NOTHING_BELOW: Handler = () => {
  throw new MeshError('MISUSE', 'the end of a stack has nothing below it');
};

/** What a route comes to: one of several destinations, or an answer of its own. */
function end(action: RouteAction, parts: StackParts): Handler {
  const { route, runtime } = parts;
  const { responseHeaders } = route;
  switch (action.kind) {
    case 'forward':
      return split.outbound!(
        action.destinations.map((destination) => ({
          weight: destination.weight,
          observer: parts.observerOf(destination),
          handler: way(destination, parts),
        })),
        runtime,
      )(NOTHING_BELOW);
    case 'redirect':
      return redirect.outbound!({ ...action, responseHeaders }, runtime)(NOTHING_BELOW);
    case 'direct':
      return direct.outbound!({ ...action, responseHeaders }, runtime)(NOTHING_BELOW);
    case 'refuse':
      return () => {
        throw new MeshError('ROUTE_INVALID', action.why, { status: action.status });
      };
  }
}

function way(destination: Destination, { route, runtime, observer, begin, clusterOf }: StackParts): Handler {
  if (destination.missing !== null) return missing({ ...destination, missing: destination.missing });
  const cluster = clusterOf(destination.cluster);
  if (cluster === undefined) return missing({ ...destination, missing: { status: 503, why: 'the policy does not declare it' } });
  return compose(WAY, { route, destination, cluster, clusterOf, observer, begin }, runtime, cluster.handler);
}

function changes({ rewrite }: Route, { requestHeaders, responseHeaders, authority }: Destination) {
  const nothing = rewrite === null && authority === null && requestHeaders.length === 0 && responseHeaders.length === 0;
  return nothing ? null : { rewrite, requestHeaders, responseHeaders, authority };
}

function hashes({ policy: { loadBalancer } }: Cluster): boolean {
  return loadBalancer.kind === 'ringHash' || loadBalancer.kind === 'maglev';
}

function mirrored({ mirrors, timeoutMs }: Route, clusterOf: (name: string) => Cluster | undefined) {
  const reachable = mirrors.flatMap(({ cluster, percent }: Mirror) => {
    const to = clusterOf(cluster);
    return to === undefined || percent === 0 ? [] : [{ percent, handler: to.handler, observer: charging(to.stats, silentRoute) }];
  });
  return reachable.length === 0 ? null : { mirrors: reachable, timeoutMs };
}
