import type { Call } from '../call.ts';
import { GrpcStatus, MeshError } from '../errors.ts';
import type { FilterKind } from '../kind.ts';

/** Milliseconds the caller still waits. */
export const DEADLINE_HEADER = 'x-inmesh-deadline';

const MILLISECONDS = /^\d{1,15}(?:\.\d{1,6})?$/;
const GRPC_TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 } as const;

/**
 * Does not begin work whose caller has given up, and ends it when he does. Last before the handler: what waited in
 * the filters above is counted. Who says it in both ways means the sooner. A value that cannot be read is as none: it
 * could only have shortened the call, so a slip of the caller must not cost it.
 */
export const deadline: FilterKind<Record<string, never>> = {
  name: 'deadline',
  inbound:
    (_, { clock }) =>
    (next) =>
    (exchange, transport) => {
      const { call, life } = exchange;
      // He went away while the filters above waited.
      if (life.why !== undefined) throw life.why;
      const ms = patienceOf(call);
      if (ms < Infinity) {
        if (life.startedAt + ms <= clock.now()) {
          throw new MeshError('DEADLINE_EXCEEDED', `not begun: the caller waited ${ms} ms, and they are over`, {
            phase: 'unsent',
            grpc: GrpcStatus.DEADLINE_EXCEEDED,
          });
        }
        life.limit(life.startedAt + ms);
      }
      return next(exchange, transport);
    },
};

/** Milliseconds the caller still waits as he says; Infinity if he does not. */
export function patienceOf(call: Call): number {
  return Math.min(parseMilliseconds(call.header(DEADLINE_HEADER)), parseGrpcTimeout(call.header('grpc-timeout')));
}

function parseMilliseconds(text: string | undefined): number {
  return text !== undefined && MILLISECONDS.test(text) ? Number(text) : Infinity;
}

/** `100m`: at most eight digits and a unit (gRPC over HTTP/2), so it cannot overflow (CVE-2021-28682). */
function parseGrpcTimeout(text: string | undefined): number {
  const parts = text === undefined ? null : GRPC_TIMEOUT.exec(text);
  return parts === null ? Infinity : Number(parts[1]) * UNIT_MS[parts[2] as keyof typeof UNIT_MS];
}
