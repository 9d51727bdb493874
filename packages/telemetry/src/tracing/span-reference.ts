/** A span somewhere, as the headers of a call name it: what the next one is a child of. */
export interface SpanReference {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  /** Of W3C: bit 0 sampled, bit 1 the trace id is random. */
  readonly flags: number;
}

export const SAMPLED = 0x01;
/** Trace Context level 2: at least the right-most seven bytes of the trace id are random. Who hands a trace on keeps it. */
export const RANDOM = 0x02;
