import type { Exchange, LocalAnswer, Reply, Transport } from '../exchange.ts';
import type { Endpoint } from '../endpoint/endpoint.ts';
import { MeshError } from '../errors.ts';
import type { Placement } from '../placement.ts';

/** One attempt as the test sees it: it plays the server, and the wire. */
export interface ScriptedAttempt {
  readonly exchange: Exchange;
  readonly placement: Placement;
  readonly address: string;
  /** Response headers arrive; the body is still to come. */
  respond(status?: number, options?: { readonly grpcStatus?: number; readonly headers?: Readonly<Record<string, string>> }): void;
  /** The attempt is over: all was read, or, after the headers, it broke. */
  end(error?: MeshError): void;
  /** Headers and end at once: an ordinary short answer. */
  reply(status?: number, options?: { readonly grpcStatus?: number; readonly headers?: Readonly<Record<string, string>> }): void;
  /** It fails before the headers. */
  fail(error: MeshError): void;
  readonly over: boolean;
}

export interface ScriptedTransport extends Transport<string> {
  /** All attempts so far, in order. */
  readonly attempts: readonly ScriptedAttempt[];
  /** Those not over yet. */
  readonly open: readonly ScriptedAttempt[];
  readonly latest: ScriptedAttempt;
  /** Addresses tried, in order. */
  readonly addresses: readonly string[];
  /** Largest number of attempts that were open at once. */
  readonly peak: number;
  /** Replies dropped by the mesh instead of being handed over. */
  readonly discarded: number;
  /** Answers the mesh gave itself. */
  readonly answers: readonly LocalAnswer[];
}

/**
 * A wire in memory. Attempts stay open until the test answers them, or are answered by `play` as soon as they are made.
 * As a real transport it stops an attempt whose call is cancelled, and ends each placement exactly once.
 */
export function scriptedTransport(play?: (attempt: ScriptedAttempt) => void): ScriptedTransport {
  const attempts: ScriptedAttempt[] = [];
  const answers: LocalAnswer[] = [];
  const counts = { open: 0, peak: 0, discarded: 0 };

  function attempt(exchange: Exchange, placement: Placement): Promise<Reply<string>> {
    return new Promise((resolve, reject) => {
      let stage: 'sent' | 'answered' | 'over' = 'sent';
      const worker = { cancelled: (error: MeshError) => finish(error) };
      const finish = (error: MeshError | undefined): void => {
        if (stage === 'over') return;
        const before = stage;
        stage = 'over';
        counts.open -= 1;
        exchange.life.rest(worker);
        placement.ended(error);
        if (error !== undefined && before === 'sent') reject(error);
      };
      const scripted: ScriptedAttempt = {
        exchange,
        placement,
        address: placement.endpoint.address,
        respond: (status = 200, { grpcStatus = -1, headers = {} } = {}) => {
          if (stage !== 'sent') throw new MeshError('MISUSE', 'the test answered this attempt already');
          stage = 'answered';
          placement.responded(status, grpcStatus);
          const discard = (): void => {
            counts.discarded += 1;
            finish(new MeshError('CANCELLED', 'the reply was discarded'));
          };
          resolve(replyOf(`answer of ${placement.endpoint.address}`, status, grpcStatus, headers, placement.endpoint, discard));
        },
        end: finish,
        reply: (status, options) => {
          scripted.respond(status, options);
          finish(undefined);
        },
        fail: (error) => finish(error),
        get over() {
          return stage === 'over';
        },
      };
      counts.open += 1;
      counts.peak = Math.max(counts.peak, counts.open);
      attempts.push(scripted);
      exchange.life.work(worker);
      play?.(scripted);
    });
  }

  return {
    attempt,
    answer: (_exchange, local) => {
      answers.push(local);
      const headers = Object.fromEntries(local.headers);
      return replyOf(typeof local.body === 'string' ? local.body : '', local.status, local.grpcStatus, headers, undefined, () => {});
    },
    attempts,
    answers,
    get open() {
      return attempts.filter((one) => !one.over);
    },
    get latest() {
      const latest = attempts.at(-1);
      if (latest === undefined) throw new MeshError('MISUSE', 'no attempt was made');
      return latest;
    },
    get addresses() {
      return attempts.map((one) => one.address);
    },
    get peak() {
      return counts.peak;
    },
    get discarded() {
      return counts.discarded;
    },
  };
}

function replyOf(
  value: string,
  status: number,
  grpcStatus: number,
  headers: Readonly<Record<string, string>>,
  endpoint: Endpoint | undefined,
  discard: () => void,
): Reply<string> {
  return { value, status, grpcStatus, endpoint, header: (name) => headers[name.toLowerCase()], discard };
}
