/** gRPC status codes by the names a fault may use; a number is accepted as well. */
export const GRPC_STATUS: Readonly<Record<string, number>> = Object.fromEntries(
  [
    'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED',
    'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED',
  ].flatMap((name, code) => [[name, code], [String(code), code]]),
); // prettier-ignore
