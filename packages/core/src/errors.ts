/**
 * The closed table of errors: what each means to Envoy (response flag), to an HTTP client and to a gRPC client.
 * A refusal anywhere in the mesh is a MeshError with a code of this table; nothing else is thrown.
 */

/** Envoy's response flags, in the order access logs and metrics print them (Envoy stream_info/utility.h). */
export const FLAGS = [
  'LH', 'UH', 'UT', 'LR', 'UR', 'UF', 'UC', 'UO', 'NR', 'DI', 'FI', 'RL', 'UAEX', 'RLSE', 'DC', 'URX', 'SI', 'IH', 'DPE', 'UMSDR', 'RFCF', 'NFCF', 'DT', 'UPE', 'NC', 'OM', 'DF', 'DO',
] as const; // prettier-ignore

export type Flag = (typeof FLAGS)[number];

/** Flags of a call are kept as a bit set: bit i is FLAGS[i]. */
export const flagBit = Object.fromEntries(FLAGS.map((flag, index) => [flag, 1 << index])) as Readonly<Record<Flag, number>>;

const printed = new Map<number, string>([[0, '-']]);

/** `UF,URX`, or `-` for none: as Envoy's %RESPONSE_FLAGS%. */
export function printFlags(bits: number): string {
  let text = printed.get(bits);
  if (text === undefined) printed.set(bits, (text = FLAGS.filter((_, index) => (bits & (1 << index)) !== 0).join(',')));
  return text;
}

/** gRPC status codes by name. */
export const GrpcStatus = {
  OK: 0, CANCELLED: 1, UNKNOWN: 2, INVALID_ARGUMENT: 3, DEADLINE_EXCEEDED: 4, NOT_FOUND: 5, ALREADY_EXISTS: 6, PERMISSION_DENIED: 7, RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9, ABORTED: 10, OUT_OF_RANGE: 11, UNIMPLEMENTED: 12, INTERNAL: 13, UNAVAILABLE: 14, DATA_LOSS: 15, UNAUTHENTICATED: 16,
} as const; // prettier-ignore

export type GrpcStatusName = keyof typeof GrpcStatus;

const GRPC_NAMES = Object.keys(GrpcStatus) as GrpcStatusName[];

/** `UNAVAILABLE` of 14; what gRPC does not define is UNKNOWN. */
export const grpcStatusName = (code: number): GrpcStatusName => GRPC_NAMES[code] ?? 'UNKNOWN';

/** Where an attempt stood when it ended. `unsent`: no byte of the request was written. */
export type Phase = 'unsent' | 'unanswered' | 'answered';

interface Row {
  readonly flag: Flag | null;
  /** What an HTTP caller gets. */
  readonly status: number;
  /** What a gRPC caller gets. */
  readonly grpc: number;
  /** Who failed: `local` = the mesh refused or gave up, `upstream` = the other side or the way to it. */
  readonly origin: 'local' | 'upstream';
  /** Envoy's RESPONSE_CODE_DETAILS (envoy/stream_info/stream_info.h, resetReasonToString, and the filters' own). */
  readonly details: string;
}

export const ERRORS = {
  /** The service is known, no rule of its VirtualService matches. */
  NO_ROUTE: { flag: 'NR', status: 404, grpc: 12, origin: 'local', details: 'route_not_found' },
  /** A route names a service or subset that does not exist. */
  NO_CLUSTER: { flag: 'NC', status: 503, grpc: 14, origin: 'local', details: 'cluster_not_found' },
  /** Unknown host under REGISTRY_ONLY. */
  BLACK_HOLE: { flag: null, status: 502, grpc: 14, origin: 'local', details: 'direct_response' },
  NO_ENDPOINT: { flag: 'UH', status: 503, grpc: 14, origin: 'local', details: 'no_healthy_upstream' },
  /** A limit on connections, pending calls or requests is reached. */
  OVERFLOW: { flag: 'UO', status: 503, grpc: 14, origin: 'local', details: 'upstream_reset_before_response_started{overflow}' },
  CONNECT_FAILED: {
    flag: 'UF',
    status: 503,
    grpc: 14,
    origin: 'upstream',
    details: 'upstream_reset_before_response_started{remote_connection_failure}',
  },
  /** The connection ended while the call was on it. */
  RESET: {
    flag: 'UC',
    status: 503,
    grpc: 14,
    origin: 'upstream',
    details: 'upstream_reset_before_response_started{connection_termination}',
  },
  /** The other side reset this stream only (HTTP/2 RST_STREAM). */
  STREAM_RESET: { flag: 'UR', status: 503, grpc: 14, origin: 'upstream', details: 'upstream_reset_before_response_started{remote_reset}' },
  /** HTTP/2 REFUSED_STREAM: the other side promises that it did not begin. */
  REFUSED: {
    flag: 'UR',
    status: 503,
    grpc: 14,
    origin: 'upstream',
    details: 'upstream_reset_before_response_started{remote_refused_stream_reset}',
  },
  /** The other side does not speak HTTP properly. */
  PROTOCOL: { flag: 'UPE', status: 502, grpc: 13, origin: 'upstream', details: 'upstream_reset_before_response_started{protocol_error}' },
  ATTEMPT_TIMEOUT: { flag: 'UT', status: 504, grpc: 4, origin: 'upstream', details: 'upstream_per_try_timeout' },
  DEADLINE_EXCEEDED: { flag: 'UT', status: 504, grpc: 4, origin: 'upstream', details: 'upstream_response_timeout' },
  RETRIES_EXHAUSTED: {
    flag: 'URX',
    status: 503,
    grpc: 14,
    origin: 'upstream',
    details: 'upstream_reset_before_response_started{remote_reset}',
  },
  RATE_LIMITED: { flag: 'RL', status: 429, grpc: 14, origin: 'local', details: 'local_rate_limited' },
  UNAUTHENTICATED: { flag: null, status: 401, grpc: 16, origin: 'local', details: 'jwt_authn_access_denied' },
  PERMISSION_DENIED: { flag: null, status: 403, grpc: 7, origin: 'local', details: 'rbac_access_denied_matched_policy[none]' },
  /** A caller of ours sent what can be read in two ways, or in none. */
  BAD_REQUEST: { flag: 'DPE', status: 400, grpc: 13, origin: 'local', details: 'http1.codec_error' },
  FAULT_INJECTED: { flag: 'FI', status: 503, grpc: 14, origin: 'local', details: 'fault_filter_abort' },
  /** The policy of a route cannot be carried out (all weights zero, no valid backend). */
  ROUTE_INVALID: { flag: null, status: 500, grpc: 14, origin: 'local', details: 'direct_response' },
  /** The caller went away. */
  CANCELLED: { flag: 'DC', status: 0, grpc: 1, origin: 'local', details: 'downstream_remote_disconnect' },
  /** The mesh was closed. */
  CLOSED: { flag: null, status: 503, grpc: 14, origin: 'local', details: 'mesh_closed' },
  /** A document did not compile; never the outcome of a call. */
  POLICY_INVALID: { flag: null, status: 500, grpc: 13, origin: 'local', details: 'policy_invalid' },
  /** A call of our API that cannot mean anything; never the outcome of a call. */
  MISUSE: { flag: null, status: 500, grpc: 13, origin: 'local', details: 'misuse' },
} as const satisfies Record<string, Row>;

export type Code = keyof typeof ERRORS;

export interface MeshErrorOptions {
  readonly cause?: unknown;
  /** Default 'unsent' for local errors, 'unanswered' for upstream ones. */
  readonly phase?: Phase;
  /** Overrides of the table's answer, for refusals whose status the policy names. */
  readonly status?: number;
  readonly grpc?: number;
  /** Overrides the table's response code details, for refusals that say who gave them. */
  readonly details?: string;
  /** What the caller is told, where that is not the message: a stranger need not learn which rule refused him. */
  readonly answer?: ToldCaller;
}

export interface ToldCaller {
  readonly body: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

const brand = Symbol.for('inmesh.MeshError.v1');

/** The one error class of the mesh. The message says what was asked, what was found, and what to do. */
export class MeshError extends Error {
  override readonly name = 'MeshError';
  readonly code: Code;
  readonly phase: Phase;
  readonly status: number;
  readonly grpcStatus: number;
  readonly answer: ToldCaller | undefined;
  readonly #details: string | undefined;

  constructor(code: Code, message: string, options: MeshErrorOptions = {}) {
    // Refusals are ordinary outcomes on the call path; a stack trace would cost more than the call.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    const row: Row = ERRORS[code];
    this.code = code;
    this.phase = options.phase ?? (row.origin === 'local' ? 'unsent' : 'unanswered');
    this.status = options.status ?? row.status;
    this.grpcStatus = options.grpc ?? row.grpc;
    this.answer = options.answer;
    this.#details = options.details;
    Object.defineProperty(this, brand, { value: true });
  }

  get flag(): Flag | null {
    return ERRORS[this.code].flag;
  }

  get origin(): 'local' | 'upstream' {
    return ERRORS[this.code].origin;
  }

  /** Envoy's RESPONSE_CODE_DETAILS of a call that ends with this. */
  get details(): string {
    const details = this.#details ?? ERRORS[this.code].details;
    return this.phase === 'answered' ? details.replace('_before_response_', '_after_response_') : details;
  }

  /** True across copies of this package in one process. */
  static is(error: unknown): error is MeshError {
    return typeof error === 'object' && error !== null && brand in error;
  }
}
