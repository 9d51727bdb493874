import type { HeaderOp } from '@inmesh/policy';
import type { LocalAnswer } from '../exchange.ts';
import { GrpcStatus } from '../errors.ts';
import { applyHeaderOps } from './header-ops.ts';

/** What a gRPC client makes of an HTTP status (Envoy httpToGrpcStatus; the gRPC mapping for answers that are not gRPC). */
export function grpcStatusOf(status: number): number {
  switch (status) {
    case 400:
      return GrpcStatus.INTERNAL;
    case 401:
      return GrpcStatus.UNAUTHENTICATED;
    case 403:
      return GrpcStatus.PERMISSION_DENIED;
    case 404:
      return GrpcStatus.UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return GrpcStatus.UNAVAILABLE;
    default:
      return GrpcStatus.UNKNOWN;
  }
}

/** An answer of the mesh's own, with a text body if there is one (Envoy sendLocalReply), after the route's response header operations. */
export function localAnswer(
  status: number,
  body: string | Uint8Array,
  message: string,
  headers: readonly (readonly [name: string, value: string])[] = [],
  ops: readonly HeaderOp[] = [],
): LocalAnswer {
  const typed = body.length === 0 ? headers : [...headers, ['content-type', 'text/plain'] as const];
  return { status, grpcStatus: grpcStatusOf(status), headers: applyHeaderOps(typed, ops), body, message };
}
