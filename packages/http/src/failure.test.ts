import { describe, expect, it } from 'vitest';
import { isCallers, meshError } from './failure.ts';

const error = (code: string, message = code) => Object.assign(new Error(message), { code });

describe('what goes wrong on the wire', () => {
  it.each([
    [error('ECONNREFUSED'), false, 'CONNECT_FAILED', 'unsent'],
    [error('UND_ERR_CONNECT_TIMEOUT'), false, 'CONNECT_FAILED', 'unsent'],
    [error('CERT_HAS_EXPIRED'), false, 'CONNECT_FAILED', 'unsent'],
    [error('UND_ERR_CLOSED'), false, 'CONNECT_FAILED', 'unsent'],
    [error('UND_ERR_SOCKET', 'other side closed'), true, 'RESET', 'unanswered'],
    [error('ECONNRESET'), true, 'RESET', 'unanswered'],
    [error('EPIPE'), true, 'RESET', 'unanswered'],
    [Object.assign(new Error('Expected HTTP/'), { name: 'HTTPParserError' }), true, 'PROTOCOL', 'unanswered'],
    [error('UND_ERR_HEADERS_OVERFLOW'), true, 'PROTOCOL', 'unanswered'],
    [error('UND_ERR_HEADERS_TIMEOUT'), true, 'DEADLINE_EXCEEDED', 'unanswered'],
    [error('ERR_HTTP2_STREAM_ERROR', 'Stream closed with error code NGHTTP2_REFUSED_STREAM'), true, 'REFUSED', 'unsent'],
    [error('ERR_HTTP2_STREAM_ERROR', 'Stream closed with error code NGHTTP2_INTERNAL_ERROR'), true, 'STREAM_RESET', 'unanswered'],
  ] as const)('%s (begun: %s) is %s, %s', (cause, started, code, phase) => {
    expect(meshError(cause, '10.0.0.1:80', started, 'unanswered')).toMatchObject({ code, phase, cause });
    expect(meshError(cause, '10.0.0.1:80', started, 'unanswered').message).toContain('10.0.0.1:80');
  });

  it('is not the mesh’s business where the request itself was wrong', () => {
    expect(isCallers(error('UND_ERR_INVALID_ARG'))).toBe(true);
    expect(isCallers(error('UND_ERR_REQ_CONTENT_LENGTH_MISMATCH'))).toBe(true);
    expect(isCallers(error('ECONNRESET'))).toBe(false);
    expect(isCallers(undefined)).toBe(false);
  });
});
