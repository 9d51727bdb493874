import type { Baggage } from '@opentelemetry/api';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { TraceHeaders } from './incoming.ts';

/** What calls have of the request they are made for. A class, for the reason `FirstExchange` of core gives. */
export class Served {
  readonly trace: TraceHeaders;
  readonly requestId: string;
  /** As it came; '' if there was none. */
  readonly baggage: string;
  /** The same as the API of OpenTelemetry holds it, where somebody uses that. */
  readonly entries: Baggage | undefined;
  readonly forwarded: readonly string[];

  constructor(trace: TraceHeaders, requestId: string, baggage: string, entries: Baggage | undefined, forwarded: readonly string[]) {
    this.trace = trace;
    this.requestId = requestId;
    this.baggage = baggage;
    this.entries = entries;
    this.forwarded = forwarded;
  }
}

/** The request that is being served. Nobody passes it on: it is there wherever the program's own flow leads. */
export const served = new AsyncLocalStorage<Served>();
