import type { Reply } from '../exchange.ts';

/** A gRPC server's word on when, and whether, to come again (gRFC A6). */
const PUSHBACK = 'grpc-retry-pushback-ms';

/** Milliseconds the server asks to wait; Infinity: do not come again, which a negative number or none means; undefined: it asks nothing. */
export function pushbackMs(reply: Reply<unknown>): number | undefined {
  const text = reply.header(PUSHBACK);
  if (text === undefined) return undefined;
  return /^\d{1,9}$/.test(text) ? Number(text) : Infinity;
}
