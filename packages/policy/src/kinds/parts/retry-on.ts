import type { RetryWord } from '../../model.ts';

/** Conditions of `retryOn` (Envoy x-envoy-retry-on and x-envoy-retry-grpc-on, as Istio validates them). */
export const RETRY_WORDS = [
  '5xx', 'gateway-error', 'reset', 'reset-before-request', 'connect-failure', 'retriable-4xx', 'refused-stream', 'retriable-status-codes', 'retriable-headers',
  'envoy-ratelimited', 'http3-post-connect-failure', 'cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable',
] as const satisfies readonly RetryWord[]; // prettier-ignore

/** What is wrong with one part of a retryOn list, or undefined. A part is a word or a status code. */
export function retryPartFault(part: string): string | undefined {
  if ((RETRY_WORDS as readonly string[]).includes(part)) return undefined;
  if (/^\d+$/.test(part)) return Number(part) >= 100 && Number(part) <= 599 ? undefined : `${part} is not an HTTP status code`;
  return `"${part}" is not a retry condition`;
}
