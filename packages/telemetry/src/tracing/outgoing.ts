import { type HeaderReader, REQUEST_ID_HEADER } from '@inmesh/core';
import { pushB3Multi, pushB3Single } from './b3.ts';
import { Format, saysTrace } from './incoming.ts';
import type { SpanReference } from './span-reference.ts';
import { formatTraceparent } from './traceparent.ts';

/** What the attempts of a call carry: all of it to services of the mesh, less to others. */
export interface Outgoing {
  readonly internal: readonly string[];
  readonly external: readonly string[];
}

/** What the calls of a request carry besides its trace. */
export interface Company {
  readonly requestId: string;
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

/**
 * The lines of a trace and its company, less what the request says itself: the program's word holds. Whom the mesh does not know as its own
 * learns nothing of baggage.
 */
export function outgoing(call: HeaderReader, trace: readonly string[], { requestId, baggage }: Company): Outgoing {
  const external = [...trace];
  if (requestId !== '' && call.header(REQUEST_ID_HEADER) === undefined) external.push(REQUEST_ID_HEADER, requestId);
  if (baggage === '' || call.header('baggage') !== undefined) return { internal: external, external };
  return { internal: [...external, 'baggage', baggage], external };
}

/** The lines of a trace that is handed on as it came; none if the request names one itself. */
export const handedOn = (call: HeaderReader, lines: readonly string[]): readonly string[] =>
  lines.length > 0 && saysTrace(call) ? NO_LINES : lines;

export const NO_LINES: readonly string[] = [];
export const NOTHING_GOES_OUT: Outgoing = { internal: NO_LINES, external: NO_LINES };
