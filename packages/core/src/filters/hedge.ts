import type { Hedging, RetryPolicy } from '@inmesh/policy';
import type { Exchange, Reply, Transport } from '../exchange.ts';
import type { Timer } from '../clock.ts';
import { MeshError } from '../errors.ts';
import type { Handler, Runtime } from '../handler.ts';
import type { FilterKind } from '../kind.ts';
import { type Cancellable, Life } from '../life.ts';
import { compileText } from '../match/text.ts';
import { judgeError } from '../verdict.ts';
import { pushbackMs } from './pushback.ts';
import type { RetryCluster } from './retry.ts';
import { compileRetryOn, type RetryOn } from './retry-on.ts';

export interface Hedges {
  /** Of several for a path the first holds. */
  readonly hedging: readonly Hedging[];
  /** What is worth another attempt here, too; null: only slowness is. */
  readonly retries: RetryPolicy | null;
  readonly cluster: Pick<RetryCluster, 'name' | 'tryRetry' | 'endRetry' | 'stats'>;
}

/** Without a retry policy every answer is one. */
const NOTHING: RetryOn = { reply: () => false, error: () => false };

/**
 * Sends idempotent calls to another endpoint when the first is slow, without giving up the first (HedgePolicy; gRFC A6, hedging).
 * The first answer that no retry would be made of wins, the others are cancelled. An answer that a retry would be made of
 * sends the next at once; it is the outcome only if nothing better comes, and then the route's retries may still repeat the
 * whole. Each further attempt counts as a retry of the cluster (maxRetries, retryBudget). Below retry: a per-try timeout holds
 * for each attempt by itself. Calls whose transport cannot send them twice at once go as they are.
 */
export const hedge: FilterKind<Hedges> = {
  name: 'hedge',
  outbound: ({ hedging, retries, cluster }, runtime) => {
    const wanted = retries === null ? NOTHING : compileRetryOn(retries);
    const find = hedgingOf(hedging);
    return (next) => (exchange, transport) => {
      if (transport.again === undefined) return next(exchange, transport);
      const policy = find(exchange.call.path);
      if (policy === undefined) return next(exchange, transport);
      return new Race(policy, { next, wanted, cluster, runtime }, exchange, transport).run();
    };
  },
};

/** Which policy names a path idempotent. */
export function hedgingOf(hedging: readonly Hedging[]): (path: string) => Hedging | undefined {
  const tests = hedging.map(({ paths }) => paths.map(compileText));
  return (path) => hedging.find((_, index) => tests[index]!.some((test) => test(path)));
}

/** What all races of a route share. */
interface Rules {
  readonly next: Handler;
  readonly wanted: RetryOn;
  readonly cluster: Hedges['cluster'];
  readonly runtime: Runtime;
}

type Outcome<T> =
  { readonly life: Life; readonly reply: Reply<T> } | { readonly life: Life; readonly reply: undefined; readonly error: unknown };

/** The attempts of one call, until one of them is its outcome. Each has a life of its own, which ends with the call's or alone. */
class Race<T> implements Cancellable {
  readonly #policy: Hedging;
  readonly #rules: Rules;
  readonly #exchange: Exchange;
  readonly #transport: Transport<T>;
  readonly #sent: Life[] = [];
  readonly #running = new Set<Life>();
  #exhausted = false;
  #timer: Timer | undefined = undefined;
  /** The latest that is not good enough. */
  #last: Outcome<T> | undefined = undefined;
  #over = false;
  #resolve!: (reply: Reply<T>) => void;
  #reject!: (error: unknown) => void;

  constructor(policy: Hedging, rules: Rules, exchange: Exchange, transport: Transport<T>) {
    this.#policy = policy;
    this.#rules = rules;
    this.#exchange = exchange;
    this.#transport = transport;
  }

  run(): Promise<Reply<T>> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#exchange.life.work(this);
      this.#send(this.#transport, false);
    });
  }

  /** The whole call is over: so is each of its attempts, the one that won included. */
  cancelled(error: MeshError): void {
    this.#timer?.cancel();
    this.#exhausted = true;
    for (const life of this.#running) life.cancel(error);
    if (!this.#over && this.#running.size === 0) this.#settle(this.#last!);
  }

  #another(reason: 'slow' | 'failed'): void {
    this.#timer?.cancel();
    const { cluster, runtime } = this.#rules;
    // Asked only now: a request that streams may have come to its end meanwhile, or outgrown what is kept of it.
    const transport = this.#exhausted ? undefined : this.#transport.again!(this.#exchange);
    if (transport !== undefined && cluster.tryRetry()) {
      runtime.observer.event({ type: 'call.hedged', cluster: cluster.name, attempt: this.#sent.length, reason });
      this.#exchange.life.trace?.repeating(reason);
      return this.#send(transport, true);
    }
    if (transport !== undefined) {
      cluster.stats.rqRetryOverflow += 1;
      runtime.observer.event({ type: 'call.overflow', cluster: cluster.name, limit: 'retries' });
    }
    this.#exhausted = true;
    if (this.#running.size === 0) this.#settle(this.#last!);
  }

  #send(transport: Transport<T>, further: boolean): void {
    const { next, cluster } = this.#rules;
    const { life: whole, attempt, tried } = this.#exchange;
    const elsewhere = this.#sent.flatMap(({ endpoint }) => endpoint ?? []);
    const life = new Life(whole.startedAt, whole.deadlines);
    // For those who ask; the call's own watch sees to it.
    life.deadline = whole.deadline;
    life.trace = whole.trace;
    const exchange: Exchange = { ...this.#exchange, life, attempt: attempt + this.#sent.length, tried: [...tried, ...elsewhere] };
    this.#sent.push(life);
    this.#running.add(life);
    if (this.#sent.length >= this.#policy.maxAttempts) this.#exhausted = true;
    else this.#wait(this.#policy.delayMs, 'slow');
    const came = (outcome: Outcome<T>): void => {
      if (further) cluster.endRetry();
      if (this.#over) outcome.reply?.discard();
      else this.#came(outcome);
    };
    begin(next, exchange, transport).then(
      (reply) => came({ life, reply }),
      (error: unknown) => came({ life, reply: undefined, error }),
    );
  }

  #wait(ms: number, reason: 'slow' | 'failed'): void {
    this.#timer?.cancel();
    this.#timer = this.#rules.runtime.clock.after(ms, () => this.#another(reason), true);
  }

  #came(outcome: Outcome<T>): void {
    const { reply, life } = outcome;
    const { wanted } = this.#rules;
    if (reply !== undefined && !wanted.reply(reply)) return this.#settle(outcome);
    this.#running.delete(life);
    this.#keep(outcome);
    if (this.#exhausted || (reply === undefined && !repeatable(outcome.error, wanted))) {
      // Final, but not while another may still be answered.
      if (this.#running.size === 0) this.#settle(this.#last!);
      return;
    }
    const pushback = reply === undefined ? undefined : pushbackMs(reply);
    if (pushback === undefined) this.#another('failed');
    else if (pushback < Infinity) this.#wait(pushback, 'failed');
    else {
      this.#exhausted = true;
      this.#another('failed');
    }
  }

  /** What the mesh itself refused says less than what came of an attempt. */
  #keep(outcome: Outcome<T>): void {
    const refused = outcome.reply === undefined && MeshError.is(outcome.error) && outcome.error.origin === 'local';
    if (refused && this.#last !== undefined) return;
    this.#last?.reply?.discard();
    this.#last = outcome;
  }

  #settle(outcome: Outcome<T>): void {
    this.#over = true;
    this.#timer?.cancel();
    const { life } = this.#exchange;
    life.adopt(outcome.life);
    for (const { attempts } of this.#sent) life.attempts += attempts;
    for (const lost of this.#running)
      if (lost !== outcome.life) {
        this.#running.delete(lost);
        lost.cancel(new MeshError('CANCELLED', 'another attempt of the call was answered first'));
      }
    if (this.#last !== outcome) this.#last?.reply?.discard();
    if (outcome.reply !== undefined && life.why === undefined) return this.#resolve(outcome.reply);
    outcome.reply?.discard();
    life.rest(this);
    this.#reject(life.why ?? (outcome as { readonly error: unknown }).error);
  }
}

const repeatable = (error: unknown, wanted: RetryOn): boolean => MeshError.is(error) && wanted.error(judgeError(error));

/** A filter below may throw instead of rejecting. */
async function begin<T>(next: Handler, exchange: Exchange, transport: Transport<T>): Promise<Reply<T>> {
  return next(exchange, transport);
}
