import type { Endpoint, InboundInfo, Peer, Principal, RouteInfo, RouteObserver } from '@inmesh/core';
import type { Workload } from '@inmesh/policy';
import { head, labelText, sample } from './exposition.ts';
import {
  destinationLabels,
  outcomeLabels,
  overflowLabels,
  overflowOutcome,
  ownLabels,
  peerLabels,
  serviceLabels,
  sourceLabels,
} from './istio-labels.ts';
import { MessageMetrics, type MessageSeries } from './messages.ts';

/** Envoy's default histogram bounds in milliseconds (source/common/stats/histogram_impl.cc); Istio's dashboards count on them. */
export const DEFAULT_BUCKETS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000,
];

export interface CallMetricsOptions {
  readonly workload: Workload;
  readonly trustDomain: string;
  readonly buckets: readonly number[];
  readonly maxSeries: number;
}

/** One label set: calls per bucket, the last one without bound, then the sum of their milliseconds. Their count is the total. */
interface Series {
  readonly labels: string;
  readonly numbers: Float64Array;
}

/** One service × destination workload: its series by outcome. */
interface Slot {
  readonly destination: string;
  readonly byOutcome: Map<number, Series>;
  /** The latest outcome and its series: most calls end as the one before did. */
  lastKey: number;
  last: Series | undefined;
  messages: MessageSeries | undefined;
}

interface ServiceSeries {
  readonly labels: string;
  /** By destination labels: many endpoints are one workload. */
  readonly slots: Map<string, Slot>;
  /** Weakly and by object: a resolver reports new objects, and those it forgot must not stay here. */
  readonly byEndpoint: WeakMap<Endpoint, Slot>;
  /** Calls that reached no endpoint. */
  readonly nowhere: Slot;
}

/** Servers may invent a grpc-status; what gRPC does not define stands for UNKNOWN (grpc doc/statuscodes.md). */
const LAST_GRPC_STATUS = 16;
const GRPC_UNKNOWN = 2;

/** Destination of endpoints beyond the limit: by then no series is made any more. */
const OVERFLOWED = 'overflowed';

/**
 * istio_requests_total and istio_request_duration_milliseconds of this process, and the two counters of its messages of gRPC.
 *
 * A call costs one look-up and two additions. Series belong to the service, not to the route that counted first: a
 * policy change binds the same ones again, and no counter ever goes back or away.
 */
export class CallMetrics {
  readonly #options: CallMetricsOptions;
  readonly #source: string;
  readonly #bounds: Float64Array;
  /** Time series per label set, as Prometheus counts: the bounds, +Inf, sum, count, and the total. */
  readonly #cost: number;
  readonly #services = new Map<string, ServiceSeries>();
  readonly #destinations = new Map<string, string>();
  readonly #callers = new Map<string, RouteObserver>();
  readonly #overflowingObserver: RouteObserver = {
    ended: ({ ms }) => this.#overflowing(ms),
    messages: (_endpoint, requests, responses) => add(this.#overflowingMessages(), requests, responses),
  };
  readonly #series: Series[] = [];
  readonly #messages = new MessageMetrics();
  #overflow: Series | undefined;
  #overflowed = 0;

  constructor(options: CallMetricsOptions) {
    this.#options = options;
    this.#source = labelText(sourceLabels(options.workload));
    this.#bounds = Float64Array.from(options.buckets);
    this.#cost = options.buckets.length + 4;
  }

  /** Time series exposed. */
  get size(): number {
    return this.#series.length * this.#cost + this.#messages.size;
  }

  /** Calls counted in the overflow series. */
  get overflowed(): number {
    return this.#overflowed;
  }

  route(info: RouteInfo): RouteObserver {
    const { protocol } = info;
    // TCP connections are none of these metrics' calls.
    if (protocol === 'tcp') return { ended: () => {} };
    const service = this.#service(info);
    if (service === undefined) return this.#overflowingObserver;
    const { byEndpoint, nowhere } = service;
    const isGrpc = protocol === 'grpc';
    return {
      ended: ({ endpoint, status, grpcStatus, flags, ms }) => {
        const slot = endpoint === undefined ? nowhere : (byEndpoint.get(endpoint) ?? this.#bind(service, endpoint));
        const code = status <= 999 ? status : 0;
        const grpc = grpcStatus <= LAST_GRPC_STATUS ? grpcStatus : GRPC_UNKNOWN;
        // Without flags a small integer, which a Map finds fastest.
        const key = (flags * 1024 + code) * 64 + (isGrpc || grpc >= 0 ? 32 : 0) + grpc + 1;
        let series = slot.last;
        if (series === undefined || slot.lastKey !== key) {
          series = slot.byOutcome.get(key) ?? this.#first(service, slot, key, isGrpc || grpc >= 0 ? 'grpc' : 'http', code, grpc, flags);
          if (series === undefined) return this.#overflowing(ms);
          slot.lastKey = key;
          slot.last = series;
        }
        this.#count(series, ms);
      },
      messages: (endpoint, requests, responses) => {
        const slot = endpoint === undefined ? nowhere : (byEndpoint.get(endpoint) ?? this.#bind(service, endpoint));
        const series = (slot.messages ??= this.#messagesOf(`${this.#source},${slot.destination},${service.labels}`));
        add(series ?? this.#overflowingMessages(), requests, responses);
      },
    };
  }

  /** Calls to this process, by who makes them. Series belong to caller and port, so a policy change binds the same ones again. */
  inbound(info: InboundInfo): (peer: Peer) => RouteObserver {
    const own = labelText(ownLabels(this.#options.workload, this.#options.trustDomain, info));
    // By identity first: this is asked once per call. Whom a hop token names comes without mutual TLS.
    const mutual = new Map<string, RouteObserver>();
    const others = new Map<string, RouteObserver>();
    return ({ connection, principal }) => {
      const known = connection.principal === undefined ? others : mutual;
      return known.get(principal?.uri ?? '') ?? this.#bindCaller(known, principal, known === mutual ? 'mutual_tls' : 'none', own);
    };
  }

  #bindCaller(
    known: Map<string, RouteObserver>,
    principal: Principal | undefined,
    security: 'mutual_tls' | 'none',
    own: string,
  ): RouteObserver {
    const labels = `${labelText(peerLabels(principal))},${own}`;
    const caller = `${security} ${labels}`;
    let observer = this.#callers.get(caller);
    if (observer === undefined) {
      // Whoever may make identities could make them without end.
      if (this.#callers.size >= this.#options.maxSeries / this.#cost) return this.#overflowingObserver;
      observer = this.#caller(labels, security);
      this.#callers.set(caller, observer);
    }
    known.set(principal?.uri ?? '', observer);
    return observer;
  }

  #caller(labels: string, security: 'mutual_tls' | 'none'): RouteObserver {
    const byOutcome = new Map<number, Series>();
    let messages: MessageSeries | undefined;
    return {
      ended: ({ status, grpcStatus, flags, ms }) => {
        const code = status <= 999 ? status : 0;
        const grpc = grpcStatus <= LAST_GRPC_STATUS ? grpcStatus : GRPC_UNKNOWN;
        const key = (flags * 1024 + code) * 64 + grpc + 1;
        let series = byOutcome.get(key);
        if (series === undefined) {
          if (this.size + this.#cost > this.#options.maxSeries) return this.#overflowing(ms);
          series = this.#create(`${labels},${labelText(outcomeLabels(grpc >= 0 ? 'grpc' : 'http', code, grpc, flags, security))}`);
          byOutcome.set(key, series);
        }
        this.#count(series, ms);
      },
      messages: (_endpoint, requests, responses) =>
        add((messages ??= this.#messagesOf(labels)) ?? this.#overflowingMessages(), requests, responses),
    };
  }

  /** The series of a label set, found or made; undefined beyond the limit. */
  #messagesOf(labels: string): MessageSeries | undefined {
    const found = this.#messages.find(labels);
    if (found !== undefined || this.size + MessageMetrics.cost > this.#options.maxSeries) return found;
    return this.#messages.create(labels);
  }

  #overflowingMessages(): MessageSeries {
    const labels = `${this.#source},${labelText(overflowLabels)}`;
    return this.#messages.find(labels) ?? this.#messages.create(labels);
  }

  #count({ numbers }: Series, ms: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && ms > bounds[bucket]!) bucket += 1;
    numbers[bucket]! += 1;
    numbers[bounds.length + 1]! += ms >= 0 ? ms : 0;
  }

  #overflowing(ms: number): void {
    this.#overflowed += 1;
    this.#count((this.#overflow ??= this.#create(`${this.#source},${labelText({ ...overflowLabels, ...overflowOutcome })}`)), ms);
  }

  /** undefined beyond the limit: each host called outside the mesh is a service. */
  #service(info: RouteInfo): ServiceSeries | undefined {
    const labels = labelText(serviceLabels(info));
    let service = this.#services.get(labels);
    if (service === undefined && this.#services.size < this.#options.maxSeries) {
      const nowhere = newSlot(this.#destination(undefined));
      service = { labels, slots: new Map([[nowhere.destination, nowhere]]), byEndpoint: new WeakMap(), nowhere };
      this.#services.set(labels, service);
    }
    return service;
  }

  /** The slot of an endpoint object seen for the first time. */
  #bind({ slots, byEndpoint }: ServiceSeries, endpoint: Endpoint): Slot {
    const destination = this.#destination(endpoint);
    let slot = slots.get(destination);
    if (slot === undefined) slots.set(destination, (slot = newSlot(destination)));
    byEndpoint.set(endpoint, slot);
    return slot;
  }

  #destination(endpoint: Endpoint | undefined): string {
    const { workload, trustDomain, maxSeries } = this.#options;
    const text = labelText(destinationLabels(endpoint, workload, trustDomain));
    const kept = this.#destinations.get(text);
    if (kept !== undefined) return kept;
    if (this.#destinations.size >= maxSeries) return OVERFLOWED;
    this.#destinations.set(text, text);
    return text;
  }

  /** The series of an outcome that happens for the first time; undefined beyond the limit. */
  #first(
    service: ServiceSeries,
    slot: Slot,
    key: number,
    protocol: 'http' | 'grpc',
    status: number,
    grpcStatus: number,
    flags: number,
  ): Series | undefined {
    if (this.size + this.#cost > this.#options.maxSeries) return undefined;
    const series = this.#create(
      `${this.#source},${slot.destination},${service.labels},${labelText(outcomeLabels(protocol, status, grpcStatus, flags))}`,
    );
    slot.byOutcome.set(key, series);
    return series;
  }

  #create(labels: string): Series {
    const series = { labels, numbers: new Float64Array(this.#bounds.length + 2) };
    this.#series.push(series);
    return series;
  }

  /** '' before the first call. */
  text(): string {
    if (this.#series.length === 0) return this.#messages.text();
    const { buckets } = this.#options;
    const duration = 'istio_request_duration_milliseconds';
    let requests = head('istio_requests_total', 'counter', 'Calls that ended, by who called whom and what came of it.');
    let durations = head(duration, 'histogram', 'Milliseconds from the start of a call to the last byte of its answer.');
    for (const { labels, numbers } of this.#series) {
      let count = 0;
      for (let bucket = 0; bucket <= buckets.length; bucket += 1) {
        count += numbers[bucket]!;
        durations += sample(`${duration}_bucket`, `${labels},le="${buckets[bucket] ?? '+Inf'}"`, count);
      }
      durations += sample(`${duration}_sum`, labels, numbers[buckets.length + 1]!);
      durations += sample(`${duration}_count`, labels, count);
      requests += sample('istio_requests_total', labels, count);
    }
    return requests + durations + this.#messages.text();
  }
}

const newSlot = (destination: string): Slot => ({ destination, byOutcome: new Map(), lastKey: -1, last: undefined, messages: undefined });

function add(series: MessageSeries, requests: number, responses: number): void {
  series.requests += requests;
  series.responses += responses;
}
