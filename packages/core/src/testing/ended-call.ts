import type { EndedCall } from '../observer.ts';

/** A call that ended: an ordinary answer of 200 after a millisecond, save what is given. */
export function testEndedCall(given: Partial<EndedCall> = {}): EndedCall {
  return {
    call: undefined,
    endpoint: undefined,
    status: 200,
    grpcStatus: -1,
    flags: 0,
    ms: 1,
    requestBytes: 0,
    responseBytes: 0,
    requestHead: 0,
    responseHead: 0,
    mutual: false,
    http2: false,
    attempts: 1,
    upstreamMs: -1,
    details: 'via_upstream',
    failure: '',
    trace: undefined,
    responseHeader: () => undefined,
    ...given,
  };
}
