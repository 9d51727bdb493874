import type { LocalAnswer } from '@inmesh/core';

/** An answer of the mesh's own in gRPC's words: status 200, and all in the headers ("trailers-only", gRPC over HTTP/2). */
export function asGrpc({ grpcStatus, headers, message }: LocalAnswer): LocalAnswer {
  const own = headers.filter(([name]) => name !== 'content-type' && name !== 'content-length' && !name.startsWith('grpc-'));
  const said = message.trim().replaceAll(/[^\x20-\x24\x26-\x7e]+/gu, (text) => encodeURIComponent(text.toWellFormed()));
  return {
    status: 200,
    grpcStatus,
    headers: [['content-type', 'application/grpc'], ['grpc-status', String(grpcStatus)], ['grpc-message', said], ...own], // prettier-ignore
    body: '',
    message,
  };
}
