import { type EndedCall, grpcStatusName, type InboundInfo, type Observer, type RouteInfo, type RouteObserver } from '@inmesh/core';
import { type Labels, LabelSet, type MetricFamily, type MetricSource } from '../exposition.ts';

/** Bounds in seconds that OpenTelemetry advises for durations of HTTP and RPC. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** Methods that may be told apart: a stranger could invent any number of others. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', 'QUERY']);

/** Statuses of gRPC that say something of the server, not of what it was asked (semantic conventions, "gRPC"). */
const SERVER_ERRORS: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15]);
const UNIMPLEMENTED = 12;

const FAMILIES = {
  'http.client.request.duration': 'Duration of HTTP client requests.',
  'http.server.request.duration': 'Duration of HTTP server requests.',
  'rpc.client.call.duration': 'Duration of outbound RPCs.',
  'rpc.server.call.duration': 'Duration of inbound RPCs.',
} as const;

type Name = keyof typeof FAMILIES;

interface Series {
  readonly labels: LabelSet;
  readonly bounds: readonly number[];
  readonly counts: Float64Array;
  sum: number;
}

/** Time series of a label set, as Prometheus counts: the bounds, +Inf, sum and count. */
const COST = BOUNDS.length + 3;

/** Where calls are counted for which no label set may be made any more (OpenTelemetry's metrics SDK, "Overflow attribute"). */
const OVERFLOW: Labels = { 'otel.metric.overflow': 'true' };

/**
 * Durations of calls as OpenTelemetry's semantic conventions name them (1.45: HTTP stable, RPC too), for those whose dashboards expect
 * these instead of Istio's, or both. `maxSeries` bounds each of the four. Upgraded connections (WebSocket) and TCP are no requests.
 */
export class SemanticMetrics implements Observer, MetricSource {
  readonly #limit: number;
  readonly #series: Readonly<Record<Name, Map<string, Series>>> = {
    'http.client.request.duration': new Map(),
    'http.server.request.duration': new Map(),
    'rpc.client.call.duration': new Map(),
    'rpc.server.call.duration': new Map(),
  };

  constructor(maxSeries: number) {
    this.#limit = Math.max(1, Math.floor(maxSeries / COST));
  }

  readonly route = (_info: RouteInfo): RouteObserver => this.#client;

  readonly inbound = (info: InboundInfo): RouteObserver => {
    const named = info.route === '' || info.route === 'default' ? undefined : info.route;
    return { ended: (call) => this.#server(call, named) };
  };

  readonly event = (): void => {};

  families(): MetricFamily[] {
    return (Object.keys(FAMILIES) as Name[]).map((name) => ({
      name,
      type: 'histogram',
      help: FAMILIES[name],
      unit: 's',
      samples: [...this.#series[name].values()],
    }));
  }

  readonly #client: RouteObserver = {
    ended: (ended) => {
      const { call, status, grpcStatus, ms } = ended;
      if (call === undefined) return;
      const server = `${call.host} ${call.port}`;
      if (call.protocol === 'grpc') {
        this.#record('rpc.client.call.duration', `${call.path} ${server} ${grpcStatus}`, ms, () => ({
          ...rpc(call.path, grpcStatus, grpcStatus !== 0),
          'server.address': call.host,
          'server.port': call.port,
        }));
      } else if (call.protocol === 'http') {
        const method = methodOf(call.method);
        this.#record('http.client.request.duration', `${method} ${server} ${status}`, ms, () => ({
          'http.request.method': method,
          'server.address': call.host,
          'server.port': call.port,
          ...outcome(status, 400),
        }));
      }
    },
  };

  #server({ call, status, grpcStatus, ms }: EndedCall, route: string | undefined): void {
    if (call === undefined) return;
    if (call.protocol === 'grpc') {
      // What nobody serves has any name a stranger thinks of.
      const path = grpcStatus === UNIMPLEMENTED ? '' : call.path;
      this.#record('rpc.server.call.duration', `${path} ${grpcStatus}`, ms, () => rpc(path, grpcStatus, SERVER_ERRORS.has(grpcStatus)));
    } else if (call.protocol === 'http') {
      const method = methodOf(call.method);
      this.#record('http.server.request.duration', `${method} ${call.scheme} ${route ?? ''} ${status}`, ms, () => ({
        'http.request.method': method,
        'url.scheme': call.scheme,
        ...(route === undefined ? {} : { 'http.route': route }),
        ...outcome(status, 500),
      }));
    }
  }

  #record(name: Name, key: string, ms: number, labels: () => Labels): void {
    const all = this.#series[name];
    let series = all.get(key);
    if (series === undefined) {
      const full = all.size >= this.#limit;
      series = full ? all.get('') : undefined;
      if (series === undefined) {
        series = { labels: new LabelSet(full ? OVERFLOW : labels()), bounds: BOUNDS, counts: new Float64Array(BOUNDS.length + 1), sum: 0 };
        all.set(full ? '' : key, series);
      }
    }
    const seconds = ms / 1000;
    let bucket = 0;
    while (bucket < BOUNDS.length && seconds > BOUNDS[bucket]!) bucket += 1;
    series.counts[bucket]! += 1;
    series.sum += seconds;
  }
}

const methodOf = (method: string): string => (METHODS.has(method) ? method : '_OTHER');

/** `from`: the status from which it is an error, to a client or to a server. */
function outcome(status: number, from: number): Labels {
  // The caller left before there was an answer.
  if (status === 0) return { 'error.type': 'cancelled' };
  return { 'http.response.status_code': status, ...(status >= from ? { 'error.type': String(status) } : {}) };
}

function rpc(path: string, grpcStatus: number, failed: boolean): Labels {
  const status = grpcStatusName(grpcStatus);
  return {
    'rpc.system.name': 'grpc',
    'rpc.method': path === '' ? '_OTHER' : path.slice(1),
    'rpc.status_code': status,
    ...(failed ? { 'error.type': status } : {}),
  };
}
