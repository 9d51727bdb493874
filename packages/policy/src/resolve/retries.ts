import type { RetryPolicy, RetryWord } from '../model.ts';
import { RETRY_WORDS } from '../kinds/parts/retry-on.ts';

/** `retries` as Istio's HTTPRetry has it, durations in ms. */
export interface RetrySettings {
  readonly attempts: number;
  readonly perTryTimeout?: number | undefined;
  readonly retryOn?: string | undefined;
  readonly retryRemoteLocalities?: boolean | undefined;
  readonly retryIgnorePreviousHosts?: boolean | undefined;
  readonly backoff?: number | undefined;
}

const BACKOFF_MS = 25;
const BACKOFF_GROWTH = 10;

/** Istio's retry.DefaultPolicy: what certainly was not processed is tried twice more. No status codes since Istio 1.24. */
export const DEFAULT_RETRIES: RetryPolicy = {
  attempts: 2,
  retryOn: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'retriable-status-codes'],
  statusCodes: [],
  perTryTimeoutMs: null,
  backoff: { baseMs: BACKOFF_MS, maxMs: BACKOFF_MS * BACKOFF_GROWTH },
  ignorePreviousHosts: true,
  remoteLocalities: false,
};

const WORDS: ReadonlySet<string> = new Set(RETRY_WORDS);
const isWord = (word: string): word is RetryWord => WORDS.has(word);

/** Words and status codes of a retryOn list; a status code brings the word `retriable-status-codes` with it (parseRetryOn). */
export function parseRetryOn(text: string): Pick<RetryPolicy, 'retryOn' | 'statusCodes'> {
  const parts = text.split(',').map((part) => part.trim().toLowerCase());
  const retryOn = new Set(parts.filter(isWord));
  const statusCodes = parts.filter((part) => /^[1-5]\d\d$/.test(part)).map(Number);
  if (statusCodes.length > 0) retryOn.add('retriable-status-codes');
  return { retryOn: [...retryOn], statusCodes: [...new Set(statusCodes)] };
}

/**
 * The retry policy a route ends up with (Istio retry.ConvertPolicy). `attempts: 0` is none at all; a list of conditions
 * replaces the default one; a per-try timeout that does not undercut the route's is none.
 * `sticky`: the only destination is chosen by consistent hash, where looking for another endpoint would defeat the key.
 */
export function retryPolicy(
  settings: RetrySettings | undefined,
  meshDefault: RetryPolicy | null,
  timeoutMs: number | null,
  sticky: boolean,
): RetryPolicy | null {
  const base = settings === undefined ? meshDefault : convert(settings);
  if (base === null) return null;
  const perTryTimeoutMs =
    base.perTryTimeoutMs !== null && timeoutMs !== null && base.perTryTimeoutMs >= timeoutMs ? null : base.perTryTimeoutMs;
  const ignorePreviousHosts = sticky ? settings?.retryIgnorePreviousHosts === true : base.ignorePreviousHosts;
  return { ...base, perTryTimeoutMs, ignorePreviousHosts };
}

/** Settings over the built-in defaults; also how MeshConfig's defaultHttpRetryPolicy is read. */
export function convert(settings: RetrySettings): RetryPolicy | null {
  if (settings.attempts <= 0) return null;
  const baseMs = settings.backoff ?? BACKOFF_MS;
  return {
    ...DEFAULT_RETRIES,
    ...(settings.retryOn === undefined ? {} : parseRetryOn(settings.retryOn)),
    attempts: settings.attempts,
    perTryTimeoutMs: settings.perTryTimeout === undefined || settings.perTryTimeout === 0 ? null : settings.perTryTimeout,
    backoff: { baseMs, maxMs: baseMs * BACKOFF_GROWTH },
    ignorePreviousHosts: settings.retryIgnorePreviousHosts ?? true,
    remoteLocalities: settings.retryRemoteLocalities ?? false,
  };
}
