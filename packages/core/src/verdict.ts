import { type Code, type MeshError, type Phase } from './errors.ts';

/**
 * The facts of an outcome, stated once. Retry, outlier detection, breakers and metrics each apply their own configured
 * table to them; none looks at errors or statuses by itself.
 */
export interface Verdict {
  /** `reply`: response headers arrived. Else the code of the error. */
  readonly reason: 'reply' | Code;
  readonly origin: 'local' | 'upstream';
  readonly phase: Phase;
  /** HTTP status of the reply, or the one the error stands for. */
  readonly status: number;
  /** grpc-status in the headers, or the one the error stands for; −1 for an HTTP reply without one. */
  readonly grpcStatus: number;
}

// Replies are judged on every call: the few hundred verdicts they can have are made once.
const replies = new Map<number, Verdict>();

export function judgeReply(status: number, grpcStatus: number): Verdict {
  const key = status * 32 + grpcStatus + 1;
  let verdict = replies.get(key);
  if (verdict === undefined) {
    verdict = { reason: 'reply', origin: 'upstream', phase: 'answered', status, grpcStatus };
    // A server may invent grpc-status numbers; only the known ones are worth remembering.
    if (grpcStatus >= -1 && grpcStatus <= 16 && status < 1000) replies.set(key, verdict);
  }
  return verdict;
}

export function judgeError(error: MeshError): Verdict {
  return { reason: error.code, origin: error.origin, phase: error.phase, status: error.status, grpcStatus: error.grpcStatus };
}
