import type { ClusterPolicy, Service, Workload } from '@inmesh/policy';
import { RetryBudget } from '../budget.ts';
import type { Exchange, Reply, Transport } from '../exchange.ts';
import type { Timer } from '../clock.ts';
import { staticEndpoints } from '../endpoint/static.ts';
import type { EndpointState } from '../endpoint/state.ts';
import { MeshError } from '../errors.ts';
import type { Runtime } from '../handler.ts';
import type { Building, Picker } from '../kind.ts';
import type { Closeable, Resolution } from '../ports/resolver.ts';
import { AWAITED } from '../placement.ts';
import { type Breaker, type UpstreamView, UpstreamStats } from '../upstream-stats.ts';
import { judgeError, judgeReply } from '../verdict.ts';
import { Attempt, type Learner } from './cluster-attempt.ts';
import { Dialled } from './cluster-dialled.ts';
import { Members, selects } from './cluster-members.ts';
import type { ClusterView, EndpointView } from './cluster-view.ts';
import type { EndpointFeed } from './feed.ts';
import { withPodNames } from './headless.ts';
import { WaitingLine } from './limits.ts';
import { ejectionMs, httpCodeOf, OutlierDetection } from './outlier.ts';
import { buildPicker, type ClusterPicker } from './picker.ts';
import { same } from './same.ts';

/** What a snapshot says of a cluster; the newest one holds for all calls, also those of older snapshots. */
export interface ClusterConfig {
  readonly policy: ClusterPolicy;
  readonly service: Service;
  readonly workload: Workload;
  /** Scoped to the cluster in that snapshot. */
  readonly runtime: Runtime;
  /** Connections one endpoint gets at most (HTTP/1: attempts). */
  readonly connectionsPerEndpoint: number;
}

/** Longest piece of a table built in one go. */
const SLICE_MS = 10;

/** Longer than any call waits for endpoints. */
const HELD_MS = 2 ** 31 - 1;

/** Picks beyond the first to find an endpoint with a free connection, before all are looked through. */
const REPICKS = 4;

const NOBODY: Picker = { pick: () => undefined };

/** gRPC statuses (in the headers) that count as failures for balancing, as in Linkerd's load biaser. */
const BAD_GRPC = new Set([2, 4, 8, 13, 14, 15]);

/**
 * What outlives a policy change of one cluster: its endpoints' states, their ejections, the counters of its limits, who
 * waits, and the picker in use (one of the two references of the mesh that are swapped). Leased by cluster name.
 *
 * Pickers are rebuilt at the first call after a change: several changes between two calls are one rebuild, and an
 * ejection holds for the very next call. Only tables that take long are built off the call path, the old picker serving.
 */
export class ClusterState implements Learner {
  readonly stats = new UpstreamStats();
  #config: ClusterConfig;
  readonly #feed: EndpointFeed;
  readonly #outlier: OutlierDetection;
  readonly #budget: RetryBudget;
  readonly #members = new Members();
  /** Instead of members, where calls go to the address they ask for. */
  #dialled: Dialled | undefined = undefined;
  #picker: Picker | undefined = undefined;
  #building: Building | undefined = undefined;
  #buildTimer: Timer | undefined = undefined;
  /** The picker in use does not know all that has changed. */
  #dirty = false;
  /** By priority: are so few healthy that all are used? undefined: nowhere. */
  #panic: readonly boolean[] | undefined = undefined;
  /** The feed's latest word, already counted. */
  #counted: Resolution | undefined = undefined;
  #subscription: Closeable | undefined = undefined;
  #active = 0;
  /** Bounds of the newest policy, Infinity where there is none. */
  #maxRequests = Infinity;
  #maxPending = Infinity;
  #maxConnections = Infinity;
  #maxPerEndpoint = Infinity;
  #budgetIntervalMs = 0;
  /** Calls that wait for the first endpoints or the first table. No socket of theirs keeps the process alive yet, and a registry's watch does not. */
  readonly #arrivals = new WaitingLine<void>(() => this.#config.runtime.clock.after(HELD_MS, () => {}, true));
  /** Calls that wait for a connection. */
  readonly #line = new WaitingLine<EndpointState>(undefined, (error) => this.stats.gaveUp(error));
  #draining = false;
  /** Where looking through all endpoints goes on, so that it does not prefer the first. */
  #cursor = 0;
  #closed = false;

  constructor(config: ClusterConfig, feed: EndpointFeed) {
    const { policy, runtime } = config;
    this.#config = config;
    this.#feed = feed;
    this.#budget = new RetryBudget(runtime.clock);
    this.#outlier = new OutlierDetection(policy.name, runtime.clock, runtime.observer, this.stats, () => this.#changed());
    this.#configure();
  }

  /** The newest policy: holds at once, for waiting calls too. */
  use(config: ClusterConfig): void {
    const old = this.#config;
    this.#config = config;
    this.#configure();
    if (this.#subscription !== undefined) this.#relist();
    // Most policy changes are about something else; rotations and tables go on as they are.
    if (!same(old.policy, config.policy) || !same(old.workload, config.workload)) this.#changed();
    if (this.#line.size > 0) this.#drainSoon();
  }

  #configure(): void {
    const { policy, runtime, connectionsPerEndpoint } = this.#config;
    const { limits, loadBalancer, resolution } = policy;
    const dials = loadBalancer.kind === 'passthrough' || resolution === 'none' || resolution === 'dynamicDns';
    if (!dials) {
      this.#dialled?.close();
      this.#dialled = undefined;
    } else this.#dialled ??= new Dialled(() => runtime.clock.now());
    // Many streams share an HTTP/2 connection; where anything may be dialled, one busy address must not hold up the others.
    const http1 = policy.http === 'http1';
    this.#maxRequests = limits.requests ?? Infinity;
    this.#maxPending = limits.pending ?? Infinity;
    this.#maxConnections = http1 ? (limits.connections ?? Infinity) : Infinity;
    this.#maxPerEndpoint = http1 && !dials ? connectionsPerEndpoint : Infinity;
    this.#budgetIntervalMs = policy.retryBudget?.intervalMs ?? 0;
    // Nobody can be put out of a rotation that is not one.
    this.#outlier.use(dials ? null : policy.outlier, runtime.observer);
  }

  /** Asks the feed for endpoints, if that has not been done. */
  start(): void {
    if (this.#subscription !== undefined || this.#dialled !== undefined || this.#closed) return;
    this.#subscription = this.#feed.subscribe(() => this.#heard());
    this.#relist();
  }

  /** The bottom of the stack: chooses an endpoint and makes the attempt, or waits for either, or refuses. `policy`: the calling snapshot's. */
  place<T>(exchange: Exchange, transport: Transport<T>, policy: ClusterPolicy): Promise<Reply<T>> {
    const now = this.#config.runtime.clock.now();
    if (this.#dirty) this.#refresh();
    if (this.#picker === undefined) return this.#arrive(exchange, transport, policy, now);
    if (this.#active >= this.#maxRequests) throw this.#overflow('requests', this.#maxRequests);
    if (this.#line.size === 0) {
      const state = this.#choose(exchange, this.#picker);
      if (state !== undefined) return this.#attempt(state, exchange, transport, policy, now);
    }
    if (this.#active >= this.#maxConnections && exchange.call.protocol !== 'grpc') this.stats.cxOverflow += 1;
    if (this.#line.size >= this.#maxPending) throw this.#overflow('pending', this.#maxPending);
    this.stats.rqPendingTotal += 1;
    return this.#line.wait(exchange, (state) => this.#attempt(state, exchange, transport, policy, this.#config.runtime.clock.now()));
  }

  /** A place among the retries under way, if there is one. */
  tryRetry(): boolean {
    const { limits, retryBudget } = this.#config.policy;
    return this.#budget.try(limits, retryBudget, this.#active + this.#line.size);
  }

  endRetry(): void {
    this.#budget.end();
  }

  priorityOf(address: string): number | undefined {
    return this.#members.priorityOf(address);
  }

  answered(state: EndpointState, status: number, grpcStatus: number, startedAt: number): void {
    // As Envoy: how a gRPC call went is known from its status, not from its headers.
    if (grpcStatus !== AWAITED) this.#outlier.learn(state, judgeReply(status, grpcStatus));
    if (state.latency !== undefined) {
      const now = this.#config.runtime.clock.now();
      const code = httpCodeOf(status, -1);
      state.latency.record(now - startedAt, code === 429 || code >= 500 || BAD_GRPC.has(grpcStatus), now);
    }
  }

  concluded(state: EndpointState, status: number, grpcStatus: number): void {
    this.#outlier.learn(state, judgeReply(status, grpcStatus));
  }

  failed(state: EndpointState, error: MeshError, answered: boolean, startedAt: number): void {
    this.stats.failed(error, answered);
    // What we or the caller gave up says nothing about the endpoint; nor does a deadline that passes while an answer still flows.
    if (error.origin === 'local' || (answered && error.code === 'DEADLINE_EXCEEDED')) return;
    this.#outlier.learn(state, judgeError(error));
    if (state.latency !== undefined && !answered) {
      const now = this.#config.runtime.clock.now();
      state.latency.record(now - startedAt, true, now);
    }
  }

  released(state: EndpointState): void {
    this.#active -= 1;
    state.active -= 1;
    if (state.gone) this.#members.forget(state);
    if (this.#line.size > 0) this.#drainSoon();
  }

  view(): ClusterView {
    const { policy, service } = this.#config;
    const { resolution } = this.#feed;
    return {
      name: policy.name,
      pickerKind: this.#dialled === undefined ? policy.loadBalancer.kind : 'passthrough',
      building: this.#building !== undefined,
      started: this.#subscription !== undefined,
      resolution: this.#dialled === undefined ? resolution.state : 'bound',
      reason: resolution.state === 'failed' ? resolution.reason : null,
      active: this.#active,
      waiting: this.#line.size + this.#arrivals.size,
      retries: this.#budget.retries,
      stats: this.upstream(),
      endpoints:
        this.#subscription === undefined && this.#dialled === undefined && service.resolution === 'static'
          ? // Not asked for yet, but the document says who they are.
            staticEndpoints(service, policy.port)
              .filter((endpoint) => selects(policy.labels, endpoint))
              .map((endpoint) => ({
                endpoint,
                health: endpoint.health,
                active: 0,
                ejected: false,
                ejectedUntil: null,
                ejections: 0,
                priority: 0,
              }))
          : (this.#dialled ?? this.#members).list.map((state) => this.#viewEndpoint(state)),
    };
  }

  /** undefined before its first call, and until somebody asks for its endpoints. */
  upstream(): UpstreamView | undefined {
    if (this.#subscription === undefined && this.stats.rqTotal === 0) return undefined;
    const { policy } = this.#config;
    const { list } = this.#dialled ?? this.#members;
    const load = this.#active + this.#line.size;
    const { retries } = this.#budget;
    const { probes } = this.#feed;
    return {
      cluster: policy.name,
      counts: this.stats.copy(),
      rqActive: this.#active,
      rqPendingActive: this.#line.size,
      membershipTotal: list.length,
      membershipHealthy: list.reduce((sum, { endpoint, ejected }) => sum + (endpoint.health === 'healthy' && !ejected ? 1 : 0), 0),
      ejectionsActive: this.#outlier.ejected,
      healthChecks: probes === undefined ? undefined : { ...probes, healthy: probedAndWell(list) },
      breakers: {
        cx: breaker(this.#active, this.#maxConnections),
        rq: breaker(this.#active, this.#maxRequests),
        rqPending: breaker(this.#line.size, this.#maxPending),
        rqRetry: breaker(retries, this.#budget.allowed(policy.limits, policy.retryBudget, load)),
      },
    };
  }

  #viewEndpoint(state: EndpointState): EndpointView {
    const { policy, runtime } = this.#config;
    const { clock } = runtime;
    const { endpoint, active, ejected, ejections, priority } = state;
    const ejectedUntil =
      ejected && policy.outlier !== null ? clock.wall() + state.ejectedAt + ejectionMs(policy.outlier, state) - clock.now() : null;
    return { endpoint, health: endpoint.health, active, ejected, ejectedUntil, ejections, priority };
  }

  close(): void {
    this.#closed = true;
    this.#subscription?.close();
    this.#outlier.close();
    this.#buildTimer?.cancel();
    this.#building = undefined;
    const closed = (): MeshError => new MeshError('CLOSED', `the mesh was closed while a call waited for "${this.#label()}"`);
    this.#arrivals.clear(closed);
    this.#line.clear(closed);
    for (const state of this.#members.list) state.closeWires();
    this.#dialled?.close();
  }

  #attempt<T>(state: EndpointState, exchange: Exchange, transport: Transport<T>, policy: ClusterPolicy, now: number): Promise<Reply<T>> {
    this.#active += 1;
    state.active += 1;
    this.stats.rqTotal += 1;
    if (this.#panic?.[state.priority] === true) this.stats.lbHealthyPanic += 1;
    if (this.#budgetIntervalMs > 0) this.#budget.request(this.#budgetIntervalMs, now);
    exchange.life.attempting(state.endpoint, now);
    const attempt = new Attempt(this, state, policy, now);
    try {
      return transport.attempt(exchange, attempt);
    } catch (error) {
      // A transport that throws has reported nothing; the slot must not be lost with it.
      attempt.ended(MeshError.is(error) ? error : new MeshError('CANCELLED', 'the transport broke', { cause: error }));
      throw error;
    }
  }

  /** An endpoint with a free connection; undefined: wait for one. Throws if there is no endpoint at all. */
  #choose(exchange: Exchange, picker: Picker): EndpointState | undefined {
    // gRPC is HTTP/2 whatever the port is said to speak.
    const shares = exchange.call.protocol === 'grpc';
    if (!shares && this.#active >= this.#maxConnections) return undefined;
    const picked = picker.pick(exchange);
    if (picked === undefined) throw this.#unavailable();
    const most = shares ? Infinity : this.#maxPerEndpoint;
    if (picked.active < most && (this.#building === undefined || (!picked.gone && !picked.ejected))) return picked;
    return this.#another(exchange, picker, picked, most);
  }

  /** The picked one has no free connection, or is no longer in the rotation of which the next table is being built. */
  #another(exchange: Exchange, picker: Picker, picked: EndpointState, most: number): EndpointState | undefined {
    for (let round = 0; round < REPICKS; round += 1) {
      const other = picker.pick(exchange);
      if (other !== undefined && this.#suits(other, picked, most)) return other;
    }
    // Of the same priority and health: being busy is no reason to leave the locality. Where the policy shares calls out
    // among localities, only the picker knows who may have this one.
    const list = this.#config.policy.locality.kind === 'distribute' ? [] : this.#members.list;
    for (let looked = 0; looked < list.length; looked += 1) {
      this.#cursor = (this.#cursor + 1) % list.length;
      const other = list[this.#cursor]!;
      if (this.#suits(other, picked, most)) return other;
    }
    return picked.active < most ? picked : undefined;
  }

  #suits(other: EndpointState, picked: EndpointState, most: number): boolean {
    return (
      other.active < most &&
      !other.ejected &&
      !other.gone &&
      other.priority === picked.priority &&
      other.endpoint.health === picked.endpoint.health
    );
  }

  /** No picker yet: waits for the first endpoints or the first table, at most the connect timeout. */
  #arrive<T>(exchange: Exchange, transport: Transport<T>, policy: ClusterPolicy, now: number): Promise<Reply<T>> {
    if (this.#closed) throw new MeshError('CLOSED', `"${this.#label()}" was called after the mesh was closed`);
    this.start();
    this.#refresh();
    if (this.#picker !== undefined) return this.place(exchange, transport, policy);
    if (!this.#expected()) throw this.#unknown();
    const { connectTimeoutMs } = policy.connection;
    return this.#arrivals.wait(exchange, () => this.place(exchange, transport, policy), {
      at: now + connectTimeoutMs,
      error: () =>
        new MeshError('NO_ENDPOINT', `no endpoint of "${this.#label()}" is known yet: waited ${connectTimeoutMs} ms for the first look-up`),
    });
  }

  /** Will there be a picker, as far as anyone can say now? */
  #expected(): boolean {
    return this.#building !== undefined || (this.#feed.endpoints === undefined && this.#feed.resolution.state === 'pending');
  }

  /** The feed has news. */
  #heard(): void {
    const { policy, runtime } = this.#config;
    const { resolution } = this.#feed;
    this.#count(resolution);
    if (resolution.state === 'failed')
      runtime.observer.event({ type: 'endpoints.failed', cluster: policy.name, reason: resolution.reason });
    this.#relist();
    this.#drainSoon();
  }

  /** One word of the registry is one update, however often the feed tells it (probes, new rules of peers). */
  #count(resolution: Resolution): void {
    if (resolution === this.#counted) return;
    this.#counted = resolution;
    if (resolution.state === 'failed') this.stats.updateFailure += 1;
    if (resolution.state !== 'bound') return;
    this.stats.updateSuccess += 1;
    if (resolution.endpoints.length === 0) this.stats.updateEmpty += 1;
  }

  /** Takes from the feed's list who belongs to this cluster. */
  #relist(): void {
    const { policy, runtime } = this.#config;
    if (this.#members.update(this.#feed.endpoints ?? [], policy.labels, runtime.clock.now())) {
      this.stats.membershipChange += 1;
      runtime.observer.event({ type: 'endpoints.changed', cluster: policy.name, total: this.#members.list.length });
      this.#changed();
    }
    this.#outlier.setMembers(this.#members.list);
  }

  #changed(): void {
    this.#dirty = true;
    if (this.#line.size > 0 || this.#arrivals.size > 0) this.#drainSoon();
  }

  /** Makes the picker say what is true now, or begins to. */
  #refresh(): void {
    const { policy, service, workload, runtime } = this.#config;
    if (this.#dialled !== undefined) {
      this.#swap(this.#dialled);
      return;
    }
    const { list } = this.#members;
    if (list.length === 0) {
      // Known to be empty is an answer; not known yet is none.
      this.#swap(this.#feed.endpoints === undefined || this.#subscription === undefined ? undefined : NOBODY);
      return;
    }
    // One table at a time: when it is done, what changed meanwhile is looked at.
    if (this.#building !== undefined) return;
    const built = buildPicker(policy, workload, list, runtime);
    this.#dirty = false;
    if ('pick' in built) this.#swap(withPodNames(built, list, service));
    else {
      this.#building = built;
      this.#buildOn();
    }
  }

  #swap(picker: Picker | ClusterPicker | undefined): void {
    this.#notePanic(picker !== undefined && 'plan' in picker && picker.plan.panics.some(Boolean) ? picker.plan.panics : undefined);
    this.#picker = picker;
    this.#dirty = false;
    this.#building = undefined;
    this.#buildTimer?.cancel();
    this.#buildTimer = undefined;
  }

  /** Too few are healthy, so the ill ones are used as well (Envoy's panic threshold): worth waking somebody for. */
  #notePanic(panics: readonly boolean[] | undefined): void {
    const active = panics !== undefined;
    const before = this.#panic !== undefined;
    this.#panic = panics;
    if (active === before) return;
    this.#config.runtime.observer.event({ type: 'cluster.panic', cluster: this.#config.policy.name, active });
  }

  #buildOn(): void {
    this.#buildTimer = this.#config.runtime.clock.after(0, () => {
      const picker = this.#building?.step(SLICE_MS);
      if (picker === undefined) {
        this.#buildOn();
        return;
      }
      const dirty = this.#dirty;
      this.#swap(withPodNames(picker, this.#members.list, this.#config.service));
      this.#dirty = dirty;
      this.#drainSoon();
    });
  }

  /** In a microtask: what releases a slot is in the middle of something else. */
  #drainSoon(): void {
    if (this.#draining) return;
    this.#draining = true;
    void Promise.resolve().then(() => this.#drain());
  }

  /** Serves who waits, in order, as far as there is room. */
  #drain(): void {
    this.#draining = false;
    if (this.#closed) return;
    if (this.#dirty) this.#refresh();
    while (this.#arrivals.size > 0 && (this.#picker !== undefined || !this.#expected())) this.#arrivals.shift()!.serve();
    for (let next = this.#line.first; next !== undefined; next = this.#line.first) {
      const outcome = this.#turn(next.exchange);
      if (outcome === undefined) return;
      this.#line.shift();
      if (MeshError.is(outcome)) next.fail(outcome);
      else next.serve(outcome);
    }
  }

  /** What the first in line gets: an endpoint picked only now, a refusal, or undefined: nothing yet. */
  #turn(exchange: Exchange): EndpointState | MeshError | undefined {
    if (this.#picker === undefined) return this.#expected() ? undefined : this.#unknown();
    try {
      const state = this.#choose(exchange, this.#picker);
      if (state !== undefined && this.#active >= this.#maxRequests) return this.#overflow('requests', this.#maxRequests);
      return state;
    } catch (error) {
      if (MeshError.is(error)) return error;
      throw error;
    }
  }

  #overflow(limit: 'requests' | 'pending', bound: number): MeshError {
    const { policy, runtime } = this.#config;
    this.stats.rqPendingOverflow += 1;
    if (limit === 'requests') this.stats.rqActiveOverflow += 1;
    runtime.observer.event({ type: 'call.overflow', cluster: policy.name, limit });
    return new MeshError(
      'OVERFLOW',
      limit === 'requests'
        ? `"${this.#label()}" is overloaded: ${this.#active} calls under way, http2MaxRequests allows ${bound}`
        : `"${this.#label()}" is overloaded: no connection is free and ${this.#line.size} calls wait for one, http1MaxPendingRequests allows ${bound}`,
    );
  }

  #unavailable(): MeshError {
    const { policy } = this.#config;
    this.stats.cxNoneHealthy += 1;
    const { list, known } = this.#members;
    if (list.length === 0 && known > 0) {
      const labels = Object.entries(policy.labels).map(([key, value]) => `${key}=${value}`);
      return new MeshError(
        'NO_ENDPOINT',
        `no endpoint of "${this.#label()}" is available: none of ${known} has the labels ${labels.join(', ')}`,
      );
    }
    const parts = [`${list.length} known`];
    if (this.#outlier.ejected > 0) parts.push(`${this.#outlier.ejected} ejected`);
    for (const health of ['unhealthy', 'draining'] as const) {
      const count = list.filter((state) => state.endpoint.health === health).length;
      if (count > 0) parts.push(`${count} ${health}`);
    }
    return new MeshError('NO_ENDPOINT', `no endpoint of "${this.#label()}" is available: ${parts.join(', ')}`);
  }

  /** There is no list, and none is on its way. */
  #unknown(): MeshError {
    const { service } = this.#config;
    this.stats.cxNoneHealthy += 1;
    const { resolution } = this.#feed;
    if (resolution.state === 'failed') {
      return new MeshError('NO_ENDPOINT', `no endpoint of "${this.#label()}" is known: its look-up failed: ${resolution.reason}`);
    }
    // A name that no resource declares is not a cluster at all.
    if (service.resource === '') return new MeshError('NO_CLUSTER', `nobody knows a service "${service.host}"`);
    return new MeshError(
      'NO_ENDPOINT',
      `no endpoint of "${this.#label()}" is known: ${service.resource} exists, but no registry lists members of it`,
    );
  }

  /** `reviews/v2`: how people speak of it. */
  #label(): string {
    const { policy, service } = this.#config;
    const name = service.resource.startsWith('Service ') ? service.name : service.host;
    return policy.subset === null ? name : `${name}/${policy.subset}`;
  }
}

function breaker(used: number, bound: number): Breaker | null {
  return bound === Infinity ? null : { open: used >= bound, remaining: Math.max(0, bound - used) };
}

const probedAndWell = (list: readonly EndpointState[]): number =>
  list.filter(({ endpoint: { probe, health } }) => probe !== undefined && health === 'healthy').length;
