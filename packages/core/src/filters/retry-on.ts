import type { RetryPolicy, RetryWord } from '@inmesh/policy';
import type { Reply } from '../exchange.ts';
import { GrpcStatus } from '../errors.ts';
import type { Verdict } from '../verdict.ts';

/** Which outcomes a retry policy wants repeated: its words as tables (Envoy retry_state_impl.cc). */
export interface RetryOn {
  /** Looked at before the reply is handed over, on every call: two table look-ups for an ordinary one. */
  reply(reply: Pick<Reply<unknown>, 'status' | 'grpcStatus' | 'header'>): boolean;
  error(verdict: Verdict): boolean;
}

/**
 * The tables of a policy. Thousands of routes have few different ones between them, most of all the mesh's default: those
 * share their tables, which then stay in the processor's caches.
 */
export function compileRetryOn(policy: Pick<RetryPolicy, 'retryOn' | 'statusCodes'>): RetryOn {
  const key = `${policy.retryOn.join()} ${policy.statusCodes.join()}`;
  let made = known.get(key);
  if (made === undefined) {
    if (known.size >= KEPT) known.clear();
    known.set(key, (made = tablesOf(policy)));
  }
  return made;
}

const known = new Map<string, RetryOn>();
/** Bounded: policies come and go. */
const KEPT = 256;

function tablesOf({ retryOn, statusCodes }: Pick<RetryPolicy, 'retryOn' | 'statusCodes'>): RetryOn {
  const words = new Set(retryOn);
  const statuses = new Uint8Array(1000);
  if (words.has('5xx')) statuses.fill(1, 500, 600);
  if (words.has('gateway-error')) statuses.fill(1, 502, 505);
  // The only 4xx that Envoy finds worth a second try.
  if (words.has('retriable-4xx')) statuses[409] = 1;
  if (words.has('retriable-status-codes')) for (const status of statusCodes) statuses[status] = 1;
  const grpcStatuses = new Uint8Array(32);
  for (const [word, status] of GRPC_WORDS) if (words.has(word)) grpcStatuses[status] = 1;

  const rateLimited = words.has('envoy-ratelimited');
  // No answer at all stands for a 5xx, since that is what the caller would get.
  const anyReset = words.has('reset') || words.has('5xx') || words.has('gateway-error');
  const unsentReset = words.has('reset-before-request');
  const connectFailure = words.has('connect-failure');
  const refused = words.has('refused-stream');

  return {
    reply: (reply) => {
      // grpc-status of headers only: an answer that ends in trailers has been handed over by then.
      const wanted = statuses[reply.status] === 1 || (reply.grpcStatus > 0 && grpcStatuses[reply.grpcStatus] === 1);
      // Whoever is told to slow down must not come again at once, unless the policy says so in so many words.
      if (rateLimited) return wanted || reply.header(RATE_LIMITED) !== undefined;
      return wanted && reply.header(RATE_LIMITED) === undefined;
    },
    error: ({ reason, origin, phase }) => {
      // The mesh's own refusals stay refusals; overflow above all: a retry would add to it.
      if (origin === 'local' || reason === 'DEADLINE_EXCEEDED' || phase === 'answered') return false;
      return (
        anyReset ||
        (unsentReset && phase === 'unsent') ||
        (connectFailure && reason === 'CONNECT_FAILED') ||
        (refused && reason === 'REFUSED')
      );
    },
  };
}

const RATE_LIMITED = 'x-envoy-ratelimited';

const GRPC_WORDS: readonly (readonly [RetryWord, number])[] = [
  ['cancelled', GrpcStatus.CANCELLED],
  ['deadline-exceeded', GrpcStatus.DEADLINE_EXCEEDED],
  ['internal', GrpcStatus.INTERNAL],
  ['resource-exhausted', GrpcStatus.RESOURCE_EXHAUSTED],
  ['unavailable', GrpcStatus.UNAVAILABLE],
];
