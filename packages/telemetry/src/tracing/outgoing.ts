import { type HeaderReader, REQUEST_ID_HEADER } from '@inmesh/core';
import { pushB3Multi, pushB3Single } from './b3.ts';
import { Format, saysTrace } from './incoming.ts';
import type { SpanReference } from './span-reference.ts';
import { formatTraceparent } from './traceparent.ts';

/** What the calls of a request carry besides its trace. */
export interface Company {
  readonly requestId: string;
  /** The request has it already. */
  readonly own: boolean;
  /** '' for none. */
  readonly baggage: string;
}

/** Lines that name a span. */
export function linesOf(span: SpanReference, tracestate: string, formats: number): string[] {
  const lines: string[] = [];
  if ((formats & Format.W3C) !== 0) {
    lines.push('traceparent', formatTraceparent(span));
    if (tracestate !== '') lines.push('tracestate', tracestate);
  }
  if ((formats & Format.B3) !== 0) pushB3Single(lines, span);
  if ((formats & Format.B3_MULTI) !== 0) pushB3Multi(lines, span);
  return lines;
}

/** What the attempts of a call carry: all of it to services of the mesh. Whom the mesh does not know as its own learns nothing of baggage. */
export class Outgoing {
  readonly external: readonly string[];
  readonly #baggage: string;

  /** `trace`: lines that name a span, which become these. Less what the request says itself: the program's word holds. */
  constructor(call: HeaderReader, trace: string[], { requestId, own, baggage }: Company) {
    if (!own) trace.push(REQUEST_ID_HEADER, requestId);
    this.external = trace;
    this.#baggage = baggage === '' || call.header('baggage') !== undefined ? '' : baggage;
  }

  get internal(): readonly string[] {
    return this.#baggage === '' ? this.external : [...this.external, 'baggage', this.#baggage];
  }
}

/** The lines of a trace that is handed on as it came; none if the request names one itself. */
export const handedOn = (call: HeaderReader, lines: readonly string[]): string[] => (lines.length > 0 && saysTrace(call) ? [] : [...lines]);

export const NO_LINES: readonly string[] = [];
