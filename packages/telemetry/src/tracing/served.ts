import type { Baggage } from '@opentelemetry/api';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { TraceHeaders } from './incoming.ts';

/** What calls have of the request they are made for. */
export interface Served {
  readonly trace: TraceHeaders;
  readonly requestId: string;
  /** As it came; '' if there was none. */
  readonly baggage: string;
  /** The same as the API of OpenTelemetry holds it, where somebody uses that. */
  readonly entries: Baggage | undefined;
  readonly forwarded: readonly string[];
}

/** The request that is being served. Nobody passes it on: it is there wherever the program's own flow leads. */
export const served = new AsyncLocalStorage<Served>();
