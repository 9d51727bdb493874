import type { SideTelemetry } from '@inmesh/policy';
import type { Call } from './call.ts';
import type { Endpoint } from './endpoint/endpoint.ts';
import type { Trace } from './ports/trace.ts';

/** What an observer may know of a route when it binds its series, once per route and destination at compile time. */
export interface RouteInfo {
  readonly side: 'client';
  /** `PassthroughCluster` and `BlackHoleCluster` stand for traffic outside the mesh. */
  readonly cluster: string;
  /** Host of the destination service. */
  readonly service: string;
  readonly serviceName: string;
  readonly serviceNamespace: string;
  readonly route: string;
  readonly protocol: 'http' | 'grpc' | 'tcp';
  /** What the policy wants to be told of these calls. */
  readonly telemetry: SideTelemetry;
}

/** What an observer may know of a port when it binds its series for those who call it. */
export interface InboundInfo {
  readonly side: 'server';
  /** `inbound|9080||`, as Istio names it. */
  readonly cluster: string;
  readonly port: number;
  /** Service the workload serves there; '' if no registry knows one. */
  readonly service: string;
  readonly serviceName: string;
  readonly serviceNamespace: string;
  readonly route: string;
  readonly telemetry: SideTelemetry;
}

/** Counts calls. The default does nothing, so nobody asks whether there is one. */
export interface Observer {
  route(info: RouteInfo): RouteObserver;
  /** Counts calls to one port of this process; who makes each is its `call.peer`. Default: nobody counts. */
  inbound?(info: InboundInfo): RouteObserver;
  event(event: MeshEvent): void;
}

/** What is done with the calls of one route to one destination, or of one port. None of it may throw or keep what it is given. */
export interface RouteObserver {
  /** A call, or a connection of TCP, is over. */
  ended(call: EndedCall): void;
  /** Messages of gRPC in both directions since it was last told: every reporting interval while they come, and when the call ends. Default: nobody counts. */
  messages?(call: EndedCall, requests: number, responses: number): void;
  /** TCP: a connection is established, and it is known to whom. Comes once, before `bytes` and `ended`. */
  opened?(connection: EndedCall): void;
  /** TCP: bytes from client to server and back since it was last told, as `messages`. */
  bytes?(connection: EndedCall, received: number, sent: number): void;
}

/**
 * A call as it stands at its end. Words are those of Istio and Envoy: requests go from client to server on both sides. The object
 * is the call's own; it is not to be kept.
 */
export interface EndedCall {
  /** undefined: what came in could not be read as a call. */
  readonly call: Call | undefined;
  /** Of the latest attempt; undefined: none was made. Inbound there is none. */
  readonly endpoint: Endpoint | undefined;
  /** HTTP status the caller was sent; 0: none. */
  readonly status: number;
  /** −1 if not gRPC. */
  readonly grpcStatus: number;
  /** Response flags, a bit set of errors.ts. */
  readonly flags: number;
  /** From the call's start to its last byte. */
  readonly ms: number;
  /** Bytes of bodies, as far as the transport knows them. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Bytes of start line and headers, as HTTP/1.1 writes them (of HTTP/2: before compression). */
  readonly requestHead: number;
  readonly responseHead: number;
  /** Both ends of the connection proved who they are. */
  readonly mutual: boolean;
  /** Spoken in HTTP/2; else HTTP/1.1, or no HTTP at all. */
  readonly http2: boolean;
  /** Attempts made. */
  readonly attempts: number;
  /** Milliseconds from the start of the latest attempt to its headers; −1: none came. */
  readonly upstreamMs: number;
  /** Envoy's RESPONSE_CODE_DETAILS. */
  readonly details: string;
  /** Why the connection to the endpoint could not be made or broke; '' if it did not. */
  readonly failure: string;
  /** Its place in a trace; undefined: nobody traces. */
  readonly trace: Trace | undefined;
  /** Of the answer, by lower-case name. */
  responseHeader(name: string): string | undefined;
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
  /** Lines of an access log were lost, or (`dropped` 0) what a rule says of its format or filter means nothing. */
  | { readonly type: 'log.failed'; readonly log: string; readonly reason: string; readonly dropped: number }
  | { readonly type: 'cluster.panic'; readonly cluster: string; readonly active: boolean }
  /** The error budget of a ServiceLevelObjective burns, faster or slower than before; `slo`: `namespace/name`. */
  | {
      readonly type: 'slo.burning';
      readonly slo: string;
      readonly service: string;
      readonly reporter: 'source' | 'destination';
      readonly severity: 'ticket' | 'page';
    }
  | { readonly type: 'slo.recovered'; readonly slo: string; readonly service: string; readonly reporter: 'source' | 'destination' };

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
    inbound: (info) => joined(observers.map((observer) => orSilent(() => observer.inbound?.(info)) ?? silentRoute)),
    event: (event) => {
      for (const observer of observers) orSilent(() => observer.event(event));
    },
  };
}

function joined(all: readonly RouteObserver[]): RouteObserver {
  const routes = all.filter((route) => route !== silentRoute);
  return {
    ended: (call) => {
      for (const route of routes) {
        try {
          route.ended(call);
        } catch {
          // Counting is never worth a call.
        }
      }
    },
    messages: (call, requests, responses) => {
      for (const route of routes) orSilent(() => route.messages?.(call, requests, responses));
    },
    opened: (connection) => {
      for (const route of routes) orSilent(() => route.opened?.(connection));
    },
    bytes: (connection, received, sent) => {
      for (const route of routes) orSilent(() => route.bytes?.(connection, received, sent));
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
