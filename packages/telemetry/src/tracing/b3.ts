import type { HeaderReader } from '@inmesh/core';
import { SAMPLED, type SpanReference } from './span-reference.ts';

// Zipkin's B3 propagation: one header `b3`, or one per field.

/** What B3 headers say. */
export interface B3 {
  /** undefined: only a decision was sent (`b3: 0`). */
  readonly span: SpanReference | undefined;
  /** undefined: whoever comes first decides. */
  readonly sampled: boolean | undefined;
}

const SINGLE = /^([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d]))?(?:-[0-9a-f]{16})?$/;
const TRACE_ID = /^(?:[0-9a-f]{32}|[0-9a-f]{16})$/;
const SPAN_ID = /^[0-9a-f]{16}$/;
const ZERO = /^0+$/;

/** `b3: TRACE-SPAN-SAMPLED-PARENT`, or a decision alone. */
export function parseB3Single(text: string): B3 | undefined {
  if (text === '0') return { span: undefined, sampled: false };
  if (text === '1' || text === 'd') return { span: undefined, sampled: true };
  const [, traceId, spanId, state] = SINGLE.exec(text.toLowerCase()) ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  return b3(traceId, spanId, state === undefined ? undefined : state !== '0');
}

/** `X-B3-TraceId` and its like. */
export function parseB3Multi(headers: HeaderReader): B3 | undefined {
  const traceId = headers.header('x-b3-traceid')?.toLowerCase();
  const spanId = headers.header('x-b3-spanid')?.toLowerCase();
  const state = headers.header('x-b3-sampled')?.toLowerCase();
  const sampled =
    headers.header('x-b3-flags') === '1' || state === '1' || state === 'true' ? true : state === undefined ? undefined : false;
  if (traceId === undefined && spanId === undefined) return sampled === undefined ? undefined : { span: undefined, sampled };
  if (traceId === undefined || spanId === undefined || !TRACE_ID.test(traceId) || !SPAN_ID.test(spanId)) return undefined;
  return b3(traceId, spanId, sampled);
}

function b3(traceId: string, spanId: string, sampled: boolean | undefined): B3 | undefined {
  if (ZERO.test(traceId) || ZERO.test(spanId)) return undefined;
  // Ids of 64 bits are the right half of longer ones.
  return { span: { traceId: traceId.padStart(32, '0'), spanId, flags: sampled === true ? SAMPLED : 0 }, sampled };
}

const decision = ({ flags }: SpanReference): string => ((flags & SAMPLED) === 0 ? '0' : '1');

/** Appends the header. */
export function pushB3Single(headers: string[], span: SpanReference): void {
  headers.push('b3', `${span.traceId}-${span.spanId}-${decision(span)}`);
}

/** Appends the headers. The parent is not among them: it is for those who share a span with their caller, as nobody here does. */
export function pushB3Multi(headers: string[], span: SpanReference): void {
  headers.push('x-b3-traceid', span.traceId, 'x-b3-spanid', span.spanId, 'x-b3-sampled', decision(span));
}

/** The names of B3's own, as they are handed on where nobody here makes spans. */
export const B3_NAMES = ['b3', 'x-b3-traceid', 'x-b3-spanid', 'x-b3-parentspanid', 'x-b3-sampled', 'x-b3-flags'] as const;
