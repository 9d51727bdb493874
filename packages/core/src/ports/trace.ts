import type { Endpoint } from '../endpoint/endpoint.ts';

/** What is known of one call's place in a trace. Its end is told to the tracer's own Observer. */
export interface Trace {
  /** 32 hexadecimal digits; '' if the call is of no trace. */
  readonly traceId: string;
  /** 16 hexadecimal digits: the span of this call, or where nobody makes one, that of whoever called. */
  readonly spanId: string;
  readonly sampled: boolean;
  /** x-request-id; '' if there is none. */
  readonly requestId: string;
  /**
   * What an attempt carries, `[name, value, …]`, in place of what the request has of these names. `internal`: to a service of the mesh;
   * others are told less.
   */
  headers(internal: boolean): readonly string[];
  /** For a mirrored copy of the call: the same headers, and nothing of what becomes of it is told. */
  readonly shadow: Trace;
  /** An attempt goes out. */
  attempting(endpoint: Endpoint): void;
  /** Another attempt will be made, for this reason. */
  repeating(reason: string): void;
  /** Outbound: must `send` hand attempts to the wire? Somebody's instrumentation listens there. */
  readonly silences: boolean;
  /** Outbound: hands an attempt to the wire, so that instrumentation of the wire does not tell of it again. */
  send<T>(dispatch: () => T): T;
  /** Inbound: runs the program; calls it makes meanwhile, and whatever it starts then, are made on this one's behalf. */
  run<T>(program: () => T): T;
  /** Inbound: makes events of a request, a response or a stream run as the program does. */
  bind(emitter: object): void;
}
