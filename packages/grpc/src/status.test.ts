import { Metadata, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { failureOf, foreign, proper } from './status.ts';

const of = (code: number, details: string, metadata: Record<string, string> = {}) => ({
  code,
  details,
  metadata: Metadata.fromHttp2Headers(metadata),
});
const { CANCELLED, INTERNAL, NOT_FOUND, OK, PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAVAILABLE, UNKNOWN } = status;

describe('how a call ended without an answer', () => {
  // The texts are grpc-js's own; should one change, the tests against real servers (test/grpc/client-hostile.test.ts) say so.
  it.each([
    [UNAVAILABLE, 'No connection established. Last error: connect ECONNREFUSED', 'CONNECT_FAILED', 'unsent'],
    [UNAVAILABLE, 'Name resolution failed for target dns:nowhere', 'CONNECT_FAILED', 'unsent'],
    [UNAVAILABLE, 'Channel closed before call started', 'REFUSED', 'unsent'],
    [INTERNAL, 'Failed to start HTTP/2 stream with error New streams cannot be created after receiving a GOAWAY', 'REFUSED', 'unsent'],
    [INTERNAL, 'Failed to start HTTP/2 stream with error The session has been destroyed', 'REFUSED', 'unsent'],
    [UNAVAILABLE, 'Stream refused by server', 'REFUSED', 'unanswered'],
    [UNAVAILABLE, 'Connection dropped', 'RESET', 'unanswered'],
    [UNAVAILABLE, 'Write error: write EPIPE', 'RESET', 'unanswered'],
    [INTERNAL, 'Received RST_STREAM with code 2 triggered by internal client error: Protocol error', 'PROTOCOL', 'unanswered'],
    [INTERNAL, 'Received RST_STREAM with code 1', 'STREAM_RESET', 'unanswered'],
    [CANCELLED, 'Call cancelled', 'STREAM_RESET', 'unanswered'],
    [RESOURCE_EXHAUSTED, 'Bandwidth exhausted or memory limit exceeded', 'STREAM_RESET', 'unanswered'],
    [PERMISSION_DENIED, 'Protocol not secure enough', 'STREAM_RESET', 'unanswered'],
  ] as const)('%i "%s" is %s', (code, details, expected, phase) => {
    const failure = failureOf(of(code, details), '10.0.0.1:80', false);
    expect(failure).toMatchObject({ code: expected, phase, message: `10.0.0.1:80: ${details}` });
    // A connection that left between choice and call is nobody's bug, as INTERNAL would say.
    expect(failure?.grpcStatus).toBe(expected === 'REFUSED' ? UNAVAILABLE : code);
  });

  it('is not what a server says in the same words', () => {
    const trailers = { 'content-type': 'application/grpc' };
    expect(failureOf(of(UNAVAILABLE, 'Stream refused by server', trailers), 'a', false)).toBeUndefined();
    expect(failureOf(of(INTERNAL, 'Channel closed before call started', trailers), 'a', false)).toBeUndefined();
    expect(failureOf(of(UNAVAILABLE, 'closed for today'), 'a', true)).toBeUndefined();
    expect(failureOf(of(RESOURCE_EXHAUSTED, 'Received message larger than max (5 vs 4)'), 'a', false)).toBeUndefined();
  });

  it('after the headers is nothing to repeat', () => {
    expect(failureOf(of(UNAVAILABLE, 'Connection dropped'), 'a', true)).toMatchObject({ code: 'RESET', phase: 'answered' });
    expect(failureOf(of(UNAVAILABLE, 'Stream refused by server'), 'a', true)).toMatchObject({ code: 'REFUSED', phase: 'answered' });
  });
});

describe('a status that is handed on', () => {
  it('is one of gRPC', () => {
    for (let code = 0; code <= 16; code += 1) expect(proper(of(code, 'x')).code).toBe(code);
    for (const code of [-1, 17, 1.5, NaN]) expect(proper(of(code, 'why')), String(code)).toMatchObject({ code: UNKNOWN, details: expect.stringMatching(/why$/) as string }); // prettier-ignore
    expect(proper({ ...of(0, ''), code: undefined as unknown as number })).toMatchObject({ code: INTERNAL });
  });

  it('of an answer that is not gRPC is its HTTP status, else UNKNOWN, with its headers', () => {
    const page = Metadata.fromHttp2Headers({ 'content-type': 'text/html', 'x-proxy': 'p' });
    expect(foreign(of(UNAVAILABLE, 'Received HTTP status code 503'), page)).toMatchObject({ code: UNAVAILABLE });
    expect(foreign(of(RESOURCE_EXHAUSTED, 'Received message larger than max (9 vs 4)'), page)).toMatchObject({ code: UNKNOWN });
    const told = foreign(of(OK, '', { 'x-trailer': 't' }), page);
    expect([told.code, told.metadata.getMap()]).toEqual([UNKNOWN, { 'content-type': 'text/html', 'x-proxy': 'p', 'x-trailer': 't' }]);
    // How the way broke, or what its trailers say, stays.
    expect(foreign(of(UNAVAILABLE, 'Connection dropped'), page)).toMatchObject({ code: UNAVAILABLE, details: 'Connection dropped' });
    expect(foreign(of(NOT_FOUND, 'no such thing'), page)).toMatchObject({ code: NOT_FOUND, details: 'no such thing' });
  });
});
