import { type HeaderReader, REQUEST_ID_HEADER } from '@inmesh/core';
import { B3_NAMES, parseB3Multi, parseB3Single } from './b3.ts';
import { isBaggage } from './baggage.ts';
import { SAMPLED, type SpanReference } from './span-reference.ts';
import { parseTraceparent } from './traceparent.ts';
import { formatTracestate, parseTracestate } from './tracestate.ts';

/** The ways a trace is written into headers, a bit each. */
export const Format = { W3C: 1, B3: 2, B3_MULTI: 4 } as const;

/** A trace as the headers of a request tell it. */
export interface TraceHeaders {
  /** The span the request was made in; undefined: of none, or none that can be read. */
  readonly span: SpanReference | undefined;
  /** Is the trace kept? undefined: nobody has decided. */
  readonly sampled: boolean | undefined;
  /** '' if there is none, or what there is does not hold. */
  readonly tracestate: string;
  /** Bits of `Format`: how it was written. */
  readonly formats: number;
  /** The same, `[name, value, …]`, for whoever hands it on as it came. */
  readonly lines: readonly string[];
}

const NOTHING: TraceHeaders = { span: undefined, sampled: undefined, tracestate: '', formats: 0, lines: [] };

/** W3C first, then B3 in one header, then in several. All that hold are handed on. */
export function readTrace(headers: HeaderReader): TraceHeaders {
  const traceparent = headers.header('traceparent');
  const span = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  const b3 = readB3(headers);
  if (span === undefined) return b3 ?? NOTHING;
  const lines = ['traceparent', traceparent!];
  // Only with a traceparent that holds does it mean anything (W3C Trace Context, §3.3).
  const tracestate = readTracestate(headers);
  if (tracestate !== '') lines.push('tracestate', tracestate);
  if (b3 !== undefined) lines.push(...b3.lines);
  return { span, sampled: (span.flags & SAMPLED) !== 0, tracestate, formats: Format.W3C | (b3?.formats ?? 0), lines };
}

function readTracestate(headers: HeaderReader): string {
  const text = headers.header('tracestate');
  const members = text === undefined ? undefined : parseTracestate(text);
  return members === undefined ? '' : formatTracestate(members);
}

function readB3(headers: HeaderReader): TraceHeaders | undefined {
  const text = headers.header('b3');
  const single = text === undefined ? undefined : parseB3Single(text);
  const multi = parseB3Multi(headers);
  const found = single ?? multi;
  if (found === undefined) return undefined;
  const lines: string[] = [];
  for (const name of B3_NAMES) {
    const value = (name === 'b3' ? single : multi) === undefined ? undefined : headers.header(name);
    if (value !== undefined && isPrintable(value)) lines.push(name, value);
  }
  const formats = (single === undefined ? 0 : Format.B3) | (multi === undefined ? 0 : Format.B3_MULTI);
  return { span: found.span, sampled: found.sampled, tracestate: '', formats, lines };
}

/** Does a request say of itself in which trace it is? */
export const saysTrace = (headers: HeaderReader): boolean =>
  headers.header('traceparent') !== undefined || headers.header('b3') !== undefined || headers.header('x-b3-traceid') !== undefined;

/** What every protocol can carry as it is: metadata of gRPC refuses more. */
const isPrintable = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

/** '' if there is none. */
export function readRequestId(headers: HeaderReader): string {
  const text = headers.header(REQUEST_ID_HEADER);
  return text !== undefined && isPrintable(text) ? text : '';
}

/** '' if there is none, or too much of it. */
export function readBaggage(headers: HeaderReader): string {
  const text = headers.header('baggage');
  return text !== undefined && isBaggage(text) ? text : '';
}

/** Bytes of one header that is handed on because the program's options say so. */
const MOST_FORWARDED_BYTES = 4096;

/** Those of `names` that the request has, `[name, value, …]`. */
export function readForwarded(headers: HeaderReader, names: readonly string[]): readonly string[] {
  if (names.length === 0) return NO_LINES;
  const lines: string[] = [];
  for (const name of names) {
    const value = headers.header(name);
    if (value !== undefined && value.length <= MOST_FORWARDED_BYTES && isPrintable(value)) lines.push(name, value);
  }
  return lines;
}

const NO_LINES: readonly string[] = [];
