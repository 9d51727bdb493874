import { Format } from './incoming.ts';

/** What calls carry where spans are made. */
export interface Propagators {
  /** Bits of `Format`. */
  readonly formats: number;
  readonly baggage: boolean;
}

/** `OTEL_PROPAGATORS` of OpenTelemetry: `tracecontext,baggage` unless it says otherwise. Names of other formats mean nothing here. */
export function propagatorsFrom(text: string | undefined): Propagators {
  const names = new Set((text === undefined || text.trim() === '' ? 'tracecontext,baggage' : text).split(',').map((name) => name.trim()));
  const bit = (name: string, format: number): number => (names.has(name) ? format : 0);
  return {
    formats: bit('tracecontext', Format.W3C) | bit('b3', Format.B3) | bit('b3multi', Format.B3_MULTI),
    baggage: names.has('baggage'),
  };
}
