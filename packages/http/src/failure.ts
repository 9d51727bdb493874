import { MeshError, type Phase } from '@inmesh/core';

/** Codes of undici and Node that mean: the request itself was wrong, whoever it was sent to. */
const CALLERS = new Set([
  'UND_ERR_INVALID_ARG',
  'UND_ERR_NOT_SUPPORTED',
  'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_INVALID_RETURN_VALUE',
]);
const PROTOCOL = new Set([
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_RES_EXCEEDED_MAX_SIZE',
  'UND_ERR_RESPONSE',
]);

interface Failure {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
}

/** Is this the caller's own mistake (no peer had a part in it)? Such errors reach the caller as they are. */
export function isCallers(error: unknown): boolean {
  return CALLERS.has((error as Failure | undefined)?.code ?? '');
}

/**
 * What went wrong on the wire, in the mesh's words. `started`: undici had a connection and began to write, so from then on
 * the other side may have seen the request.
 */
export function meshError(error: unknown, address: string, started: boolean, phase: Phase): MeshError {
  if (MeshError.is(error)) return error;
  const { name, code = '', message = String(error) } = (error ?? {}) as Failure;
  const because = `${address}: ${message}`;
  if (!started) return new MeshError('CONNECT_FAILED', `cannot connect to ${because}`, { cause: error, phase: 'unsent' });
  if (message.includes('NGHTTP2_REFUSED_STREAM'))
    return new MeshError('REFUSED', `stream refused by ${because}`, { cause: error, phase: 'unsent' });
  if (code.startsWith('ERR_HTTP2_STREAM') || message.includes('NGHTTP2_')) {
    return new MeshError('STREAM_RESET', `stream reset by ${because}`, { cause: error, phase });
  }
  // The parser's errors have a code of its own only sometimes.
  if (name === 'HTTPParserError' || PROTOCOL.has(code))
    return new MeshError('PROTOCOL', `no proper HTTP from ${because}`, { cause: error, phase });
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    return new MeshError('DEADLINE_EXCEEDED', `no answer from ${because}`, { cause: error, phase });
  }
  return new MeshError('RESET', `connection ended by ${because}`, { cause: error, phase });
}
