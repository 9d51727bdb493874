import type { Clock, EndedCall, Endpoint, InboundInfo, Peer, PeerMetadata, RouteInfo, RouteObserver } from '@inmesh/core';
import type { SideTelemetry, Workload } from '@inmesh/policy';
import { compileExpression } from './cel/expression.ts';
import { LabelSet, labelText, type MetricFamily } from './exposition.ts';
import { uriOf } from './facts.ts';
import type { Shape } from './istio-families.ts';
import {
  calledLabels,
  callerLabels,
  destinationLabels,
  type Labels,
  OUTSIDE,
  overflowLabels,
  serviceLabels,
  sourceLabels,
} from './istio-labels.ts';
import { type CallExpression, type MetricPlan, planMetrics } from './metric-rules.ts';
import { Pair } from './pair.ts';
import { type Series, SeriesBook } from './series.ts';

/** Envoy's default histogram bounds, milliseconds or bytes (source/common/stats/histogram_impl.cc); Istio's dashboards count on them. */
export const DEFAULT_BUCKETS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000,
];

export interface CallMetricsOptions {
  readonly workload: Workload;
  readonly trustDomain: string;
  readonly buckets: readonly number[];
  readonly maxSeries: number;
  readonly clock: Clock;
  /** SPIFFE ID of the process, once it has one. */
  readonly principal: () => string | undefined;
}

/** One service as it is called: the pairs of its destinations. */
interface Destinations {
  readonly labels: Labels;
  /** Weakly and by object: a resolver reports new objects, and those it forgot must not stay here. One for each way to be secured. */
  readonly plain: WeakMap<Endpoint, Pair>;
  readonly mutual: WeakMap<Endpoint, Pair>;
  /** Of calls that reached no endpoint. */
  nowhere: Pair | undefined;
}

/** Calls of one side under one set of rules. */
interface Side {
  readonly plan: MetricPlan;
  readonly pairs: Map<string, Pair>;
  readonly services: Map<string, Destinations>;
}

/** Sets of rules that are remembered: those in force, and those of calls still under an earlier policy. */
const SIDES = 8;

/**
 * Istio's metrics of the calls of this process, on both sides.
 *
 * A call costs one look-up and some additions. Series belong to those who call and are called, not to the route that counted first:
 * a policy change binds the same ones again.
 */
export class CallMetrics {
  readonly #options: CallMetricsOptions;
  readonly #book: SeriesBook;
  readonly #sides = new Map<string, Side>();
  /** Pairs that are remembered: as many as could have series, of which a connection of TCP takes four. */
  readonly #most: number;
  #overflowed = 0;

  constructor(options: CallMetricsOptions) {
    this.#options = options;
    this.#most = Math.ceil(options.maxSeries / 4);
    this.#book = new SeriesBook(options, () => this.#purge());
  }

  /** Time series exposed. */
  get size(): number {
    return this.#book.size;
  }

  /** Times that something was counted in an overflow series. */
  get overflowed(): number {
    return this.#overflowed;
  }

  get evicted(): number {
    return this.#book.evicted;
  }

  families(): readonly MetricFamily[] {
    return this.#book.families();
  }

  /** Calls this process makes. */
  route(info: RouteInfo): RouteObserver {
    const side = this.#side(info.telemetry);
    const isGrpc = info.protocol === 'grpc';
    const known = OUTSIDE.has(info.cluster) ? undefined : this.#service(side, info, info.service);
    // Of hosts outside the mesh each is a service: known when it is called.
    const pairOf = (call: EndedCall): Pair =>
      this.#destination(side, info, known ?? this.#service(side, info, call.call?.authority || info.service), call);
    if (info.protocol === 'tcp')
      return {
        opened: (call) => pairOf(call).connection(call, info, 1, 0, 0, 0),
        bytes: (call, received, sent) => pairOf(call).connection(call, info, 0, 0, received, sent),
        ended: (call) => pairOf(call).connection(call, info, 0, 1, 0, 0),
      };
    return {
      ended: (call) => pairOf(call).call(call, info, isGrpc),
      messages: (call, requests, responses) => pairOf(call).messages(call, info, requests, responses),
    };
  }

  /** Calls to this process, by who makes them. */
  inbound(info: InboundInfo): RouteObserver {
    const side = this.#side(info.telemetry);
    // By identity, which is what most callers have: whom a hop token names comes without mutual TLS.
    const known = new Callers();
    const told = new WeakMap<PeerMetadata, Callers>();
    const pairOf = (call: EndedCall): Pair | undefined => {
      const peer = call.call?.peer;
      // What could not be read as a call is nobody's.
      if (peer === undefined) return undefined;
      let callers: Callers | undefined = known;
      if (peer.metadata !== undefined && (callers = told.get(peer.metadata)) === undefined)
        told.set(peer.metadata, (callers = new Callers()));
      return callers.find(peer) ?? callers.keep(peer, this.#caller(side, info, peer));
    };
    return {
      ended: (call) => {
        const pair = pairOf(call);
        if (call.call?.protocol === 'tcp') pair?.connection(call, info, 0, 1, 0, 0);
        else pair?.call(call, info, false);
      },
      messages: (call, requests, responses) => pairOf(call)?.messages(call, info, requests, responses),
      opened: (call) => pairOf(call)?.connection(call, info, 1, 0, 0, 0),
      bytes: (call, received, sent) => pairOf(call)?.connection(call, info, 0, 0, received, sent),
    };
  }

  #side(telemetry: SideTelemetry): Side {
    const key = JSON.stringify(telemetry.metrics);
    let side = this.#sides.get(key);
    if (side === undefined) {
      // A Map keeps the order of insertion: the oldest makes room.
      if (this.#sides.size >= SIDES) this.#sides.delete([...this.#sides.keys()][0]!);
      side = { plan: planMetrics(telemetry, (text) => this.#expression(text)), pairs: new Map(), services: new Map() };
      this.#sides.set(key, side);
    }
    return side;
  }

  /** An expression that makes no sense here is as one that fails: what it was to say is unknown, and the metric is there. */
  #expression(text: string): CallExpression {
    const { workload, trustDomain, clock } = this.#options;
    try {
      const expression = compileExpression(text, { trustDomain, clock });
      return (call, info) => expression(call, info, workload);
    } catch {
      return () => undefined;
    }
  }

  #service(side: Side, info: RouteInfo, host: string): Destinations {
    const key = `${info.cluster} ${info.serviceName} ${info.serviceNamespace} ${host}`;
    let service = side.services.get(key);
    if (service === undefined) {
      service = { labels: serviceLabels({ ...info, service: host }), plain: new WeakMap(), mutual: new WeakMap(), nowhere: undefined };
      if (side.services.size < this.#most) side.services.set(key, service);
    }
    return service;
  }

  #destination(side: Side, info: RouteInfo, service: Destinations, call: EndedCall): Pair {
    const { endpoint, mutual } = call;
    if (endpoint === undefined) {
      if (service.nowhere === undefined || service.nowhere.gone) service.nowhere = this.#towards(side, info, service, call);
      return service.nowhere;
    }
    const pairs = mutual ? service.mutual : service.plain;
    let pair = pairs.get(endpoint);
    if (pair === undefined || pair.gone) pairs.set(endpoint, (pair = this.#towards(side, info, service, call)));
    return pair;
  }

  #towards(side: Side, info: RouteInfo, { labels }: Destinations, { endpoint, mutual }: EndedCall): Pair {
    const { workload, trustDomain } = this.#options;
    const source = sourceLabels(workload, mutual ? this.#principal() : undefined);
    const destination = destinationLabels(endpoint, info, workload, trustDomain);
    // Envoy's client side cannot tell whether the server took the certificate, and says unknown; here it is known.
    return this.#pair(side, info, { ...source, ...destination, ...labels }, mutual ? 'mutual_tls' : 'none');
  }

  #caller(side: Side, info: InboundInfo, peer: Peer): Pair {
    const { workload } = this.#options;
    const secured = peer.connection.principal !== undefined;
    const called = calledLabels(workload, secured ? this.#principal() : undefined, info);
    return this.#pair(side, info, { ...callerLabels(peer), ...called }, secured ? 'mutual_tls' : 'none');
  }

  /** What the certificate says; before there is one, what it will say. */
  #principal(): string | undefined {
    const { principal, workload, trustDomain } = this.#options;
    return principal() ?? uriOf(workload, trustDomain);
  }

  #pair(side: Side, info: RouteInfo | InboundInfo, who: Labels, security: 'mutual_tls' | 'none'): Pair {
    const key = `${security} ${labelText(who)}`;
    let pair = side.pairs.get(key);
    if (pair === undefined) {
      pair = new Pair(who, security, side.plan, this.#book, (shape) => this.#overflow(shape, info));
      // Whoever may make identities, or hosts, could make them without end: beyond the bound they are not remembered.
      if (side.pairs.size < this.#most) side.pairs.set(key, pair);
      else pair.gone = true;
    }
    return pair;
  }

  #overflow(shape: Shape, info: RouteInfo | InboundInfo): Series {
    const { workload } = this.#options;
    const own = info.side === 'client' ? sourceLabels(workload, undefined) : calledLabels(workload, undefined, info);
    this.#overflowed += 1;
    return this.#book.obtain(shape, new LabelSet(overflowLabels(shape, info.side, own)), true)!;
  }

  #purge(): void {
    for (const side of this.#sides.values()) {
      for (const [key, pair] of side.pairs) {
        if (!pair.purge()) continue;
        pair.gone = true;
        side.pairs.delete(key);
      }
      for (const [key, { nowhere }] of side.services) if (nowhere?.gone === true) side.services.delete(key);
    }
  }
}

/** Strangers may be anybody; beyond these they are looked for by all they say. */
const MOST_CALLERS = 8192;

/** Those who call a port and say the same of themselves, by what they proved. */
class Callers {
  readonly #mutual = new Map<string, Pair>();
  readonly #others = new Map<string, Pair>();

  find({ connection, principal }: Peer): Pair | undefined {
    const pair = (connection.principal === undefined ? this.#others : this.#mutual).get(principal?.uri ?? '');
    return pair?.gone === true ? undefined : pair;
  }

  keep({ connection, principal }: Peer, pair: Pair): Pair {
    const known = connection.principal === undefined ? this.#others : this.#mutual;
    if (!pair.gone && known.size < MOST_CALLERS) known.set(principal?.uri ?? '', pair);
    return pair;
  }
}
