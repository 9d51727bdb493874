import type { RetryWord } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { type Code, MeshError, type Phase } from '../errors.ts';
import { judgeError } from '../verdict.ts';
import { compileRetryOn } from './retry-on.ts';

const EVERY: readonly RetryWord[] = [
  '5xx', 'gateway-error', 'reset', 'reset-before-request', 'connect-failure', 'retriable-4xx', 'refused-stream', 'retriable-status-codes', 'retriable-headers',
  'envoy-ratelimited', 'http3-post-connect-failure', 'cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable',
]; // prettier-ignore

interface Outcome {
  readonly code?: Code;
  readonly phase?: Phase;
  readonly status?: number;
  readonly grpcStatus?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

function wants(
  words: readonly RetryWord[],
  { code, phase, status = 200, grpcStatus = -1, headers = {} }: Outcome,
  statusCodes: readonly number[] = [],
): boolean {
  const table = compileRetryOn({ retryOn: words, statusCodes });
  if (code !== undefined) return table.error(judgeError(new MeshError(code, 'it failed', phase === undefined ? {} : { phase })));
  return table.reply({ status, grpcStatus, header: (name) => headers[name] });
}

/** Which single words would repeat an outcome. */
const wanting = (outcome: Outcome): RetryWord[] => EVERY.filter((word) => wants([word], outcome));

const RESETS: readonly RetryWord[] = ['5xx', 'gateway-error', 'reset'];

describe('retryOn', () => {
  it.each<[string, Outcome, readonly RetryWord[]]>([
    ['200', { status: 200 }, []],
    ['301', { status: 301 }, []],
    ['404', { status: 404 }, []],
    ['409', { status: 409 }, ['retriable-4xx']],
    ['429', { status: 429 }, []],
    ['500', { status: 500 }, ['5xx']],
    ['502', { status: 502 }, ['5xx', 'gateway-error']],
    ['503', { status: 503 }, ['5xx', 'gateway-error']],
    ['504', { status: 504 }, ['5xx', 'gateway-error']],
    ['505', { status: 505 }, ['5xx']],
    ['599', { status: 599 }, ['5xx']],
    ['600', { status: 600 }, []],
    ['grpc-status 0', { grpcStatus: 0 }, []],
    ['grpc-status 1', { grpcStatus: 1 }, ['cancelled']],
    ['grpc-status 2', { grpcStatus: 2 }, []],
    ['grpc-status 4', { grpcStatus: 4 }, ['deadline-exceeded']],
    ['grpc-status 8', { grpcStatus: 8 }, ['resource-exhausted']],
    ['grpc-status 13', { grpcStatus: 13 }, ['internal']],
    ['grpc-status 14', { grpcStatus: 14 }, ['unavailable']],
    ['a connection that failed', { code: 'CONNECT_FAILED', phase: 'unsent' }, [...RESETS, 'reset-before-request', 'connect-failure']],
    ['a reset before anything was sent', { code: 'RESET', phase: 'unsent' }, [...RESETS, 'reset-before-request']],
    ['a reset after something was sent', { code: 'RESET', phase: 'unanswered' }, RESETS],
    ['a stream reset', { code: 'STREAM_RESET' }, RESETS],
    ['a refused stream', { code: 'REFUSED', phase: 'unanswered' }, [...RESETS, 'refused-stream']],
    ['an answer that is no HTTP', { code: 'PROTOCOL' }, RESETS],
    ['a try that took too long', { code: 'ATTEMPT_TIMEOUT' }, RESETS],
    ['a reset after headers', { code: 'RESET', phase: 'answered' }, []],
    ['overflow', { code: 'OVERFLOW' }, []],
    ['no endpoint', { code: 'NO_ENDPOINT' }, []],
    ['no cluster', { code: 'NO_CLUSTER' }, []],
    ['the deadline of the call', { code: 'DEADLINE_EXCEEDED' }, []],
    ['the caller gone', { code: 'CANCELLED' }, []],
    ['503 marked as rate limited', { status: 503, headers: { 'x-envoy-ratelimited': 'true' } }, ['envoy-ratelimited']],
    ['429 marked as rate limited', { status: 429, headers: { 'x-envoy-ratelimited': 'true' } }, ['envoy-ratelimited']],
  ])('%s', (_, outcome, words) => {
    expect(new Set(wanting(outcome))).toEqual(new Set(words));
  });

  it('repeats listed status codes, and only those', () => {
    expect(wants(['retriable-status-codes'], { status: 429 }, [429, 503])).toBe(true);
    expect(wants(['retriable-status-codes'], { status: 500 }, [429, 503])).toBe(false);
    expect(wants(['5xx'], { status: 429 }, [429])).toBe(false);
  });

  it('never repeats a rate-limited answer without the word, whatever else is said', () => {
    const others = EVERY.filter((word) => word !== 'envoy-ratelimited');
    expect(wants(others, { status: 503, headers: { 'x-envoy-ratelimited': 'true' } }, [503])).toBe(false);
  });

  it("leaves a plain 503 alone under Istio's default", () => {
    const words: RetryWord[] = ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'retriable-status-codes'];
    expect(wants(words, { status: 503 })).toBe(false);
    expect(wants(words, { code: 'ATTEMPT_TIMEOUT' })).toBe(false);
    expect(wants(words, { code: 'CONNECT_FAILED' })).toBe(true);
    expect(wants(words, { code: 'REFUSED' })).toBe(true);
  });
});
