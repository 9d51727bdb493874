import type { Endpoint } from './endpoint/endpoint.ts';
import type { Peer } from './peer.ts';

/** What an observer may know of a route when it binds its series, once per route and destination at compile time. */
export interface RouteInfo {
  /** `PassthroughCluster` and `BlackHoleCluster` stand for traffic outside the mesh. */
  readonly cluster: string;
  /** Host of the destination service. */
  readonly service: string;
  readonly serviceName: string;
  readonly serviceNamespace: string;
  readonly route: string;
  readonly protocol: 'http' | 'grpc' | 'tcp';
}

/** Counts calls. The default does nothing, so nobody asks whether there is one. */
export interface Observer {
  route(info: RouteInfo): RouteObserver;
  /** Counts calls to this process, by who makes them. Asked once per call: remembers what it made for a peer. Default: nobody counts. */
  inbound?(info: InboundInfo): (peer: Peer) => RouteObserver;
  event(event: MeshEvent): void;
}

/** What an observer may know of a port when it binds its series for those who call it. */
export interface InboundInfo {
  readonly port: number;
  /** Service the workload serves there; '' if no registry knows one. */
  readonly service: string;
  readonly serviceName: string;
  readonly serviceNamespace: string;
}

export interface RouteObserver {
  /**
   * A call is over. `status` 0 if none was sent to the caller; `grpcStatus` −1 if not gRPC; `flags` a bit set of
   * errors.ts; `ms` from the call's start to its last byte; bytes as far as the transport knows them.
   */
  ended(
    endpoint: Endpoint | undefined,
    status: number,
    grpcStatus: number,
    flags: number,
    ms: number,
    bytesIn: number,
    bytesOut: number,
  ): void;
  /** Messages of gRPC in both directions since it was last told: every 5 s while they come, and when the call ends. Default: nobody counts. */
  messages?(endpoint: Endpoint | undefined, requests: number, responses: number): void;
}

/** Rare things worth a log line or a counter of their own. Never one per ordinary call. */
export type MeshEvent =
  | { readonly type: 'policy.applied'; readonly version: string; readonly ms: number }
  | { readonly type: 'policy.rejected'; readonly version: string; readonly reason: string }
  | { readonly type: 'policy.source'; readonly state: 'ok' | 'failing'; readonly reason: string }
  | { readonly type: 'identity.changed'; readonly principal: string; readonly expiresAt: number }
  | { readonly type: 'identity.failed'; readonly reason: string }
  | { readonly type: 'keys.changed'; readonly source: string; readonly total: number }
  | { readonly type: 'keys.failed'; readonly source: string; readonly reason: string }
  | { readonly type: 'endpoints.changed'; readonly cluster: string; readonly total: number }
  | { readonly type: 'endpoints.failed'; readonly cluster: string; readonly reason: string }
  | { readonly type: 'endpoint.ejected'; readonly cluster: string; readonly address: string; readonly reason: string; readonly ms: number }
  | { readonly type: 'endpoint.returned'; readonly cluster: string; readonly address: string }
  | { readonly type: 'call.retried'; readonly cluster: string; readonly attempt: number; readonly reason: string }
  | { readonly type: 'call.hedged'; readonly cluster: string; readonly attempt: number; readonly reason: 'slow' | 'failed' }
  | { readonly type: 'call.overflow'; readonly cluster: string; readonly limit: 'connections' | 'pending' | 'requests' | 'retries' }
  | { readonly type: 'cluster.panic'; readonly cluster: string; readonly active: boolean };

export const silentRoute: RouteObserver = { ended: () => {} };

export const silentObserver: Observer = { route: () => silentRoute, event: () => {} };

/** Several observers as one. One that throws costs nobody a call: what it said is lost, and only it goes without. */
export function joinObservers(observers: readonly Observer[]): Observer {
  if (observers.length === 0) return silentObserver;
  return {
    route: (info) => {
      const routes = observers.map((observer) => orSilent(() => observer.route(info)) ?? silentRoute);
      return joined(routes);
    },
    inbound: (info) => {
      const ports = observers.flatMap((observer) => orSilent(() => observer.inbound?.(info)) ?? []);
      const [only] = ports;
      if (only === undefined) return () => silentRoute;
      // One observer is the rule. It remembers its series, so what stands around one is remembered with it: nothing is made per call.
      const guarded = new WeakMap<RouteObserver, RouteObserver>();
      const guard = (route: RouteObserver): RouteObserver => {
        let found = guarded.get(route);
        if (found === undefined) guarded.set(route, (found = joined([route])));
        return found;
      };
      if (ports.length === 1) return (peer) => guard(orSilent(() => only(peer)) ?? silentRoute);
      return (peer) => joined(ports.map((port) => orSilent(() => port(peer)) ?? silentRoute));
    },
    event: (event) => {
      for (const observer of observers) orSilent(() => observer.event(event));
    },
  };
}

function joined(routes: readonly RouteObserver[]): RouteObserver {
  return {
    ended: (endpoint, status, grpcStatus, flags, ms, bytesIn, bytesOut) => {
      for (const route of routes) {
        try {
          route.ended(endpoint, status, grpcStatus, flags, ms, bytesIn, bytesOut);
        } catch {
          // Counting is never worth a call.
        }
      }
    },
    messages: (endpoint, requests, responses) => {
      for (const route of routes) orSilent(() => route.messages?.(endpoint, requests, responses));
    },
  };
}

function orSilent<T>(tell: () => T): T | undefined {
  try {
    return tell();
  } catch {
    return undefined;
  }
}
