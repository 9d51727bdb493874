import type { Call } from '../call.ts';
import type { InboundInfo, RouteInfo } from '../observer.ts';
import type { Trace } from './trace.ts';

/** Begins the traces of calls, and hands those on that others began. None of it may throw. */
export interface Tracer {
  /** For calls of one route; bound once, when the policy is compiled. undefined: nothing is to be done for them. */
  outbound(info: RouteInfo): Begin | undefined;
  /** For calls that come in at one port. */
  inbound(info: InboundInfo): Begin | undefined;
  /** Headers of the request that is being served, `[name, value, …]`, that calls made meanwhile have as well: routes are matched with them. */
  forwarded(): readonly string[];
}

/** `instrumented`: somebody else (OpenTelemetry's own instrumentation of the server) tells of this call already. */
export type Begin = (call: Call, instrumented: boolean) => Trace | undefined;
