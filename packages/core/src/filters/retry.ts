import type { RetryPolicy } from '@inmesh/policy';
import { backoffMs } from '../backoff.ts';
import type { Exchange, Reply, Transport } from '../exchange.ts';
import { parseHttpDate } from '../clock.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import { MeshError } from '../errors.ts';
import type { FilterKind } from '../kind.ts';
import type { UpstreamStats } from '../upstream-stats.ts';
import { judgeError } from '../verdict.ts';
import { pause } from './pause.ts';
import { pushbackMs } from './pushback.ts';
import { compileRetryOn } from './retry-on.ts';

/** What retry asks of the cluster behind it. */
export interface RetryCluster {
  readonly name: string;
  /** May one more retry be under way (maxRetries, retryBudget)? Whoever got true calls `endRetry` when that retry is over. */
  tryRetry(): boolean;
  endRetry(): void;
  /** Priority an endpoint was last given, undefined if it is gone. Asked only under `remoteLocalities`. */
  priorityOf(endpoint: Endpoint): number | undefined;
  readonly stats: UpstreamStats;
}

export interface Retry {
  readonly policy: RetryPolicy;
  /** The route's; a perTryTimeout that is not below it is ignored, as in Envoy. */
  readonly timeoutMs: number | null;
  readonly cluster: RetryCluster;
}

/** A server may ask us to wait; a call that would have to wait longer than this is answered now (Envoy's max_interval). */
const LONGEST_WAIT_MS = 300_000;

/** Envoy's previous_priorities predicate as Istio sets it up: what is avoided is reconsidered after every second attempt. */
const UPDATE_FREQUENCY = 2;

/**
 * Repeats attempts that failed in a way the policy names (VirtualService `http.retries`), until its count, the cluster's
 * budget or the call's time is used up; then what came last is the outcome. Only here a new exchange is made per attempt.
 * Bottom of the route's own filters: everything below it happens once per attempt. A reply that has been handed over is
 * never taken back. What is not retried costs one `.then`.
 */
export const retry: FilterKind<Retry> = {
  name: 'retry',
  outbound: ({ policy, timeoutMs, cluster }, { clock, random, observer }) => {
    const { stats } = cluster;
    const wanted = compileRetryOn(policy);
    const perTryMs =
      policy.perTryTimeoutMs !== null && (timeoutMs === null || policy.perTryTimeoutMs < timeoutMs) ? policy.perTryTimeoutMs : 0;

    const wantedError = (error: unknown): error is MeshError => MeshError.is(error) && wanted.error(judgeError(error));

    /** How long until the next try; undefined if it is not worth waiting for. */
    const waitFor = (exchange: Exchange, retries: number, reply: Reply<unknown> | undefined): Wait | undefined => {
      const pushback = reply === undefined ? undefined : pushbackMs(reply);
      if (pushback !== undefined) return pushback === Infinity ? undefined : { ms: pushback, asked: true };
      const jitter = backoffMs(policy.backoff, retries, random);
      const asked = reply === undefined ? undefined : retryAfterMs(reply, clock.wall());
      if (asked === undefined) return { ms: jitter, asked: false };
      // The jitter comes on top: those who were told the same moment should not all come at it.
      return asked > LONGEST_WAIT_MS || clock.now() + asked >= exchange.life.deadline ? undefined : { ms: asked + jitter, asked: true };
    };

    return (next) => {
      /** From the first outcome that the policy wants repeated to the last. */
      async function repeat<T>(first: Exchange, transport: Transport<T>, outcome: Outcome<T>): Promise<Reply<T>> {
        const { life, call } = first;
        const attempted: Endpoint[] = [];
        let last = outcome;
        let avoidPriorities = first.avoidPriorities;
        for (let retries = 1; ; retries += 1) {
          // Ended meanwhile: what came last is of no use to anyone, its body least of all.
          if (life.why !== undefined) {
            last.reply?.discard();
            throw life.why;
          }
          if (!call.replayable) return settle(last);
          // Envoy's order: the count first, then the server's wish, then the cluster's budget.
          if (retries > policy.attempts) {
            life.flag('URX');
            stats.rqRetryLimitExceeded += 1;
            return settle(last);
          }
          const wait = waitFor(first, retries, last.reply);
          if (wait === undefined) return settle(last);
          if (!cluster.tryRetry()) {
            life.flag('UO');
            stats.rqRetryOverflow += 1;
            observer.event({ type: 'call.overflow', cluster: cluster.name, limit: 'retries' });
            return settle(last);
          }
          stats.rqRetry += 1;
          if (wait.asked) stats.rqRetryBackoffRatelimited += 1;
          else stats.rqRetryBackoffExponential += 1;
          try {
            const reason = reasonOf(last);
            observer.event({ type: 'call.retried', cluster: cluster.name, attempt: retries, reason });
            life.trace?.repeating(reason);
            const endpoint = last.reply === undefined ? life.endpoint : last.reply.endpoint;
            if (endpoint !== undefined) attempted.push(endpoint);
            if (policy.remoteLocalities && attempted.length % UPDATE_FREQUENCY === 0) avoidPriorities = prioritiesOf(attempted, cluster);
            last.reply?.discard();
            await pause(life, clock, wait.ms);
            const tried = policy.ignorePreviousHosts ? [...first.tried, ...attempted] : first.tried;
            const exchange: Exchange = { ...first, attempt: first.attempt + retries, tried, avoidPriorities };
            last = await attempt(exchange, transport);
          } finally {
            cluster.endRetry();
          }
          if (last.reply === undefined) {
            if (!wantedError(last.error)) return settle(last);
          } else if (!wanted.reply(last.reply)) {
            stats.rqRetrySuccess += 1;
            return settle(last);
          }
        }
      }

      async function attempt<T>(exchange: Exchange, transport: Transport<T>): Promise<Outcome<T>> {
        try {
          return { reply: await next(exchange, transport), error: undefined };
        } catch (error) {
          return { reply: undefined, error };
        }
      }

      return (exchange, transport) => {
        // A handshake that is bounded already keeps the tighter bound.
        if (perTryMs > 0 && (exchange.attemptTimeoutMs === 0 || perTryMs < exchange.attemptTimeoutMs)) exchange.attemptTimeoutMs = perTryMs;
        let first;
        try {
          first = next(exchange, transport);
        } catch (error) {
          if (!wantedError(error)) throw error;
          return repeat(exchange, transport, { reply: undefined, error });
        }
        return first.then(
          (reply) => (wanted.reply(reply) ? repeat(exchange, transport, { reply, error: undefined }) : reply),
          (error: unknown) => {
            if (!wantedError(error)) throw error;
            return repeat(exchange, transport, { reply: undefined, error });
          },
        );
      };
    };
  },
};

/** How long until the next try, and whether the server asked for it. */
interface Wait {
  readonly ms: number;
  readonly asked: boolean;
}

/** How an attempt ended: with a reply, or with what it rejected. */
type Outcome<T> = { readonly reply: Reply<T>; readonly error: undefined } | { readonly reply: undefined; readonly error: unknown };

function settle<T>({ reply, error }: Outcome<T>): Reply<T> {
  if (reply === undefined) throw error;
  return reply;
}

function reasonOf({ reply, error }: Outcome<unknown>): string {
  if (reply === undefined) return MeshError.is(error) ? error.code : 'unknown';
  return reply.grpcStatus > 0 ? `grpc-status ${reply.grpcStatus}` : `status ${reply.status}`;
}

function prioritiesOf(attempted: readonly Endpoint[], cluster: RetryCluster): readonly number[] {
  const priorities = new Set<number>();
  for (const endpoint of attempted) {
    const priority = cluster.priorityOf(endpoint);
    if (priority !== undefined) priorities.add(priority);
  }
  return [...priorities];
}

/** What the server asks for on a 429 or 503 (RFC 9110, 10.2.3: seconds, or a date); undefined if nothing. */
function retryAfterMs(reply: Reply<unknown>, wall: number): number | undefined {
  if (reply.status !== 429 && reply.status !== 503) return undefined;
  const text = reply.header('retry-after')?.trim();
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const at = parseHttpDate(text);
  return at === undefined ? undefined : Math.max(0, at - wall);
}
