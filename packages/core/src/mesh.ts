import type { Model, MtlsMode, Settings, Workload } from '@inmesh/policy';
import type { Call } from './call.ts';
import type { Exchange, LocalAnswer, Reply, Transport } from './exchange.ts';
import { type Clock, systemClock, systemRandom } from './clock.ts';
import { compile, type Compiler } from './compile.ts';
import { Deadlines } from './deadlines.ts';
import { MeshError, printFlags } from './errors.ts';
import { explainInbound } from './explain/inbound.ts';
import type { ExplainInboundRequest, InboundExplanation } from './explain/inbound-explanation.ts';
import type { Explanation, ExplainRequest } from './explanation.ts';
import { loadHash } from './hash.ts';
import type { Decision } from './inbound/authorization.ts';
import type { InboundView } from './inbound-table.ts';
import { LeaseBook } from './lease.ts';
import { Life } from './life.ts';
import { type Observer, silentObserver } from './observer.ts';
import type { Peer } from './peer.ts';
import type { HealthChecks } from './ports/health.ts';
import type { MetadataExchange } from './ports/metadata.ts';
import type { Resolver } from './ports/resolver.ts';
import type { AuditSink } from './ports/audit.ts';
import type { TokenVerifiers } from './ports/tokens.ts';
import type { Tracer } from './ports/tracer.ts';
import type { Routed } from './routed.ts';
import type { Snapshot, SnapshotView } from './snapshot.ts';
import type { RbacView } from './inbound/rbac-stats.ts';
import type { UpstreamView } from './upstream-stats.ts';

export interface MeshOptions {
  /** Asked in order; the first that handles a service resolves it. Static endpoints of the document need none. */
  readonly resolvers?: readonly Resolver[];
  /** Who finds out how endpoints with a probe are. Left out: they are as their registry says. */
  readonly health?: HealthChecks;
  readonly observer?: Observer;
  readonly clock?: Clock;
  /** Uniform in [0, 1). Default: the process's own. */
  readonly random?: () => number;
  /** How a refusal by the mesh reaches the caller: as an ordinary answer (default, as behind a sidecar) or as a thrown MeshError. */
  readonly localReplies?: 'answer' | 'throw';
  /** Verifies tokens of inbound calls. Without it a policy that speaks of tokens lets none pass. */
  readonly tokens?: TokenVerifiers;
  /** How workloads tell each other who they are, for telemetry. Left out: they do not. */
  readonly metadata?: MetadataExchange;
  /** Who keeps decisions about inbound calls. */
  readonly audit?: readonly AuditSink[];
  /** Who gives calls their place in traces. Its spans are ended by the observer that belongs to it. */
  readonly tracer?: Tracer;
}

export interface MeshStatus {
  readonly version: string;
  /** Milliseconds since 1970. */
  readonly appliedAt: number;
  /** The latest document that was refused, null once a newer one was taken. */
  readonly rejected: { readonly at: number; readonly reason: string } | null;
  readonly workload: Workload;
  /** Under this policy and, until their calls have ended, earlier ones. */
  readonly callsInFlight: number;
  /** Learned state that is kept: what the document in force names, and what calls still on an earlier one need. */
  readonly leases: number;
  readonly snapshot: SnapshotView;
  /** What is demanded of callers. */
  readonly inbound: InboundView;
}

/**
 * The mesh of one process: the current snapshot, and how calls enter it. Knows no wire; transports ask `find` where a
 * call goes, run the handler they get, and turn what is thrown into an answer with `refuse`.
 */
export class Mesh {
  readonly clock: Clock;
  /** How this workload tells others who it is, and reads what they say of themselves. */
  readonly metadata: MetadataExchange | undefined;
  readonly #compiler: Compiler;
  readonly #throws: boolean;
  #current: Snapshot;
  #appliedAt: number;
  #rejected: MeshStatus['rejected'] = null;
  /** No longer in force, but with calls under way. */
  readonly #retired = new Set<Snapshot>();
  #closing: Promise<void> | undefined = undefined;
  #allEnded: (() => void) | undefined = undefined;

  private constructor(compiler: Compiler, { localReplies, metadata }: MeshOptions, model: Model, version: string) {
    this.clock = compiler.clock;
    this.metadata = metadata;
    this.#compiler = compiler;
    this.#throws = localReplies === 'throw';
    const began = this.clock.now();
    this.#current = compile(model, version, compiler);
    this.#current.activate();
    this.#appliedAt = this.clock.wall();
    // The first one, too: who counts has to know what is in force from the start.
    compiler.observer.event({ type: 'policy.applied', version, ms: this.clock.now() - began });
  }

  static async create(model: Model, version: string, options: MeshOptions = {}): Promise<Mesh> {
    const clock = options.clock ?? systemClock;
    const compiler: Compiler = {
      clock,
      random: options.random ?? systemRandom,
      observer: options.observer ?? silentObserver,
      deadlines: new Deadlines(clock),
      hash: await loadHash(),
      leases: new LeaseBook(),
      resolvers: options.resolvers ?? [],
      health: options.health,
      tokens: options.tokens,
      sinks: options.audit ?? [],
      tracer: options.tracer,
    };
    return new Mesh(compiler, options, model, version);
  }

  /** Compiles while the old snapshot serves, then swaps. Throws POLICY_INVALID and changes nothing if it cannot. */
  apply(model: Model, version: string): void {
    const began = this.clock.now();
    this.#swap(model, version);
    this.#appliedAt = this.clock.wall();
    this.#rejected = null;
    this.#compiler.observer.event({ type: 'policy.applied', version, ms: this.clock.now() - began });
  }

  /** As apply, where something else than the document changed what the policy in force means: that is no new policy, and is told to nobody. */
  adjust(model: Model): void {
    this.#swap(model, this.#current.version);
  }

  #swap(model: Model, version: string): void {
    if (this.#closing !== undefined) throw new MeshError('MISUSE', 'the mesh is closed');
    let next: Snapshot;
    try {
      next = compile(model, version, this.#compiler);
    } catch (error) {
      const reason = (error as Error).message;
      this.reject(version, reason);
      throw new MeshError('POLICY_INVALID', `policy ${version} does not compile: ${reason}`, { cause: error });
    }
    const old = this.#current;
    this.#current = next;
    next.activate();
    this.#retire(old);
  }

  /** Makes a refused update visible. What is in force stays in force. */
  reject(version: string, reason: string): void {
    this.#rejected = { at: this.clock.wall(), reason };
    this.#compiler.observer.event({ type: 'policy.rejected', version, reason });
  }

  get settings(): Settings {
    return this.#current.model.settings;
  }

  get model(): Model {
    return this.#current.model;
  }

  now(): number {
    return this.clock.now();
  }

  /** What is in force, and since when (milliseconds since 1970). */
  get policy(): { readonly version: string; readonly appliedAt: number } {
    return { version: this.#current.version, appliedAt: this.#appliedAt };
  }

  /** Envoy's statistics of the clusters that were used, as they stand. */
  upstream(): readonly UpstreamView[] {
    return this.#current.upstream();
  }

  /** Decisions of AuthorizationPolicies about calls of others, by port. */
  rbac(): readonly RbacView[] {
    return this.#current.inbound.rbac();
  }

  /** Where a call goes under the policy in force. Never throws; a call that may not go anywhere gets a handler that says why. */
  find(call: Call): Routed {
    return this.#current.find(call);
  }

  /** What becomes of a call to a port of this process. Never throws, as `find`. */
  receive(port: number): Routed {
    return this.#current.receive(port);
  }

  /** Whether callers of a port must come by mutual TLS. */
  mtls(port: number): MtlsMode {
    return this.#current.inbound.mtls(port);
  }

  /** Must the connection be ours to judge calls to a port? Where it is not, they are refused. */
  asksForPeer(port: number): boolean {
    return this.#current.inbound.asksForPeer(port);
  }

  /** May a TCP connection come in? Rules over requests mean something else to it (Istio: an ALLOW rule is skipped, a DENY rule widened). */
  admit(peer: Peer): Decision {
    return this.#current.admit(peer);
  }

  /** The life of a call about to run on `routed`. The transport must end it; one that learns later what is asked sets `call` then. */
  life(routed: Routed, call?: Call): Life {
    const life = new Life(this.clock.now(), this.#compiler.deadlines);
    life.call = call;
    life.observer = routed.observer;
    life.reportMs = this.#current.model.telemetry.reportingIntervalMs;
    routed.calls.enter(life);
    return life;
  }

  /** Headers that calls made now have besides their own, `[name, value, …]`: of the request that is being served. */
  forwarded(): readonly string[] {
    return this.#compiler.tracer?.forwarded() ?? NONE;
  }

  /** The life of a copy that belongs to the same policy as its original, and is counted nowhere. */
  shadowLife({ trace }: Life): Life {
    const life = new Life(this.clock.now(), this.#compiler.deadlines);
    life.trace = trace?.shadow;
    return life;
  }

  /**
   * The answer for a call the mesh refused or could not complete. Throws instead what must not become an answer: the
   * caller's own abort, and everything if `localReplies` is 'throw'.
   */
  refuse<T>(error: MeshError, exchange: Exchange, transport: Transport<T>): Reply<T> {
    exchange.life.refused(error);
    if (error.code === 'CANCELLED' || this.#throws) throw error;
    return transport.answer(exchange, refusal(error, exchange.life.flags));
  }

  /** What a caller of this process is told when it is refused. Inbound a refusal is always an answer: nobody here could catch it. */
  refusal(error: MeshError, life: Life): LocalAnswer {
    return refusal(error, life.flags);
  }

  explain(request: ExplainRequest): Explanation {
    return this.#current.explain(request);
  }

  /** What would become of a call to this workload, its token verified as a real one would be. */
  explainInbound(request: ExplainInboundRequest): Promise<InboundExplanation> {
    const { tokens, clock } = this.#compiler;
    return explainInbound(this.#current.model, request, tokens === undefined ? { clock } : { tokens, clock });
  }

  status(): MeshStatus {
    return {
      version: this.#current.version,
      appliedAt: this.#appliedAt,
      rejected: this.#rejected,
      workload: this.#current.model.workload,
      callsInFlight: this.#inFlight(),
      leases: this.#compiler.leases.size,
      snapshot: this.#current.view(),
      inbound: this.#current.inbound.view(),
    };
  }

  /** Refuses new calls with CLOSED, lets those in flight finish for at most `graceMs`, then lets go of everything. */
  close(graceMs = 10_000): Promise<void> {
    return (this.#closing ??= this.#close(graceMs));
  }

  async #close(graceMs: number): Promise<void> {
    this.#current.close();
    this.#retire(this.#current);
    if (this.#retired.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.clock.after(graceMs, resolve, true);
        this.#allEnded = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    this.#compiler.deadlines.close();
  }

  #retire(snapshot: Snapshot): void {
    this.#retired.add(snapshot);
    snapshot.retire(() => {
      this.#retired.delete(snapshot);
      if (this.#retired.size === 0) this.#allEnded?.();
    });
  }

  #inFlight(): number {
    let calls = this.#retired.has(this.#current) ? 0 : this.#current.calls.active;
    for (const snapshot of this.#retired) calls += snapshot.calls.active;
    return calls;
  }
}

const NONE: readonly string[] = [];

/** As Envoy's local replies: a short text, and the flag that says why. */
function refusal(error: MeshError, flags: number): LocalAnswer {
  const headers: [string, string][] = [['x-inmesh-flags', printFlags(flags)]];
  if (error.code === 'OVERFLOW') headers.push(['x-envoy-overloaded', 'true']);
  const { status, grpcStatus, message, answer } = error;
  if (answer === undefined) return { status, grpcStatus, headers, body: `${message}\n`, message };
  return { status, grpcStatus, headers: [...answer.headers, ...headers], body: answer.body, message: answer.body };
}
