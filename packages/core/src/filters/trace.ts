import type { FilterKind } from '../kind.ts';
import type { Begin } from '../ports/tracer.ts';

/** Header that names a request through all services it passes (Envoy). */
export const REQUEST_ID_HEADER = 'x-request-id';

export interface Tracing {
  readonly begin: Begin;
}

/** Gives the call its place in a trace. */
export const trace: FilterKind<Tracing> = {
  name: 'trace',
  outbound:
    ({ begin }) =>
    (next) =>
    (exchange, transport) => {
      const { call, life } = exchange;
      life.trace = begin(call, false);
      return next(exchange, transport);
    },
  inbound:
    ({ begin }) =>
    (next) =>
    (exchange, transport) => {
      const { call, life, edits } = exchange;
      const begun = begin(call, transport.instrumented === true);
      life.trace = begun;
      // The program, and whoever writes logs, shall find it where they look for it.
      if (begun !== undefined && begun.requestId !== '' && call.header(REQUEST_ID_HEADER) === undefined)
        exchange.edits = { ...edits, request: [...edits.request, { op: 'add', name: REQUEST_ID_HEADER, value: begun.requestId }] };
      return next(exchange, transport);
    },
};
