import { type EndedCall, flagBit, GrpcStatus } from '@inmesh/core';

/** Statuses of gRPC that are errors of the server (OpenTelemetry, semantic conventions for gRPC spans). */
export const GRPC_SERVER_ERRORS: readonly number[] = [
  GrpcStatus.UNKNOWN,
  GrpcStatus.DEADLINE_EXCEEDED,
  GrpcStatus.UNIMPLEMENTED,
  GrpcStatus.INTERNAL,
  GrpcStatus.UNAVAILABLE,
  GrpcStatus.DATA_LOSS,
];

/** What gRPC does not define stands for UNKNOWN (grpc doc/statuscodes.md). */
const LAST_GRPC_STATUS = 16;

/**
 * Was the service there for a call? What the mesh injects or refuses counts as what it looks like. undefined: its caller gave it up,
 * which says nothing of the service.
 */
export function available({ status, grpcStatus, flags }: EndedCall): boolean | undefined {
  if (flags === flagBit.DC || grpcStatus === GrpcStatus.CANCELLED) return undefined;
  if (grpcStatus >= 0) return grpcStatus <= LAST_GRPC_STATUS && !GRPC_SERVER_ERRORS.includes(grpcStatus);
  return status > 0 && status < 500;
}
