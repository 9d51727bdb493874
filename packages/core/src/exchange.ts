import { type Call, type Edits, NO_EDITS } from './call.ts';
import type { Endpoint } from './endpoint/endpoint.ts';
import type { Life } from './life.ts';
import type { Placement } from './placement.ts';

/**
 * One call on its way down. Filters above retry may replace `edits` and `hashKey`; retry and hedge make a new exchange
 * per attempt (`{ ...exchange, attempt, tried }`), so that an attempt never changes under another's feet.
 */
export interface Exchange {
  readonly call: Call;
  readonly life: Life;
  /** 0 for the first try. */
  readonly attempt: number;
  /** Endpoints of earlier attempts. */
  readonly tried: readonly Endpoint[];
  edits: Edits;
  /** For consistent hashing: xxHash64 of the key the route names; undefined if there is none. */
  hashKey: bigint | undefined;
  /** Time an attempt has until its headers; 0 = no bound of its own. */
  attemptTimeoutMs: number;
  /** On a retry that shall leave its priority (retryRemoteLocalities): priorities to avoid. Empty otherwise. */
  readonly avoidPriorities: readonly number[];
}

/**
 * The exchange of a call that no filter has touched yet. A class, as everything that knows a call is: V8 counts how many
 * objects of a literal survive, and once it finds that most do (one burst is enough) it makes them in old space, from
 * where, dead, each keeps its whole call alive until the next full collection.
 */
export class FirstExchange<C extends Call = Call> implements Exchange {
  readonly call: C;
  readonly life: Life;
  readonly attempt = 0;
  readonly tried: readonly never[] = NONE;
  edits: Edits;
  hashKey: bigint | undefined;
  attemptTimeoutMs = 0;
  readonly avoidPriorities: readonly never[] = NONE;

  constructor(call: C, life: Life, edits = NO_EDITS, hashKey?: bigint) {
    this.call = call;
    this.life = life;
    this.edits = edits;
    this.hashKey = hashKey;
  }
}

const NONE: readonly never[] = [];

/** What came back, at its headers. Not yet the application's: it can still be discarded for another try. */
export interface Reply<T> {
  readonly value: T;
  readonly status: number;
  /** grpc-status found in the headers (trailers-only), -1 if none. */
  readonly grpcStatus: number;
  header(name: string): string | undefined;
  /** Endpoint that answered; undefined for the mesh's own answers. */
  readonly endpoint: Endpoint | undefined;
  /** Drops the body and frees what it holds: this reply will never be handed over. */
  discard(): void;
}

/** An answer the mesh gives itself: a refusal, an injected fault, a redirect, a fixed response. */
export interface LocalAnswer {
  readonly status: number;
  readonly grpcStatus: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string | Uint8Array;
  /** For gRPC, the status message. */
  readonly message: string;
}

/** The wire, as the mesh sees it: one per call. */
export interface Transport<T> {
  /**
   * One attempt. Resolves at the response's headers, rejects with a MeshError of origin upstream. Reports what it sees
   * to `placement`: `responded` at the headers, then `ended` exactly once, when the attempt holds nothing more.
   * Inbound the attempt is your handler, and there is no placement.
   */
  attempt(exchange: Exchange, placement: Placement | undefined): Promise<Reply<T>>;
  answer(exchange: Exchange, local: LocalAnswer): Reply<T>;
  /** Inbound: instrumentation of OpenTelemetry stands between us and the program. */
  readonly instrumented?: boolean;
  /**
   * The transport for an attempt of the same call beside those under way (hedging); undefined if its request is not wholly in hand.
   * Left out: never. Its replies are handed over as the others are.
   */
  again?(exchange: Exchange): Transport<T> | undefined;
  /** A copy of the call whose answer nobody reads; undefined if the body cannot be sent twice. Its transport ends its life when an answer is through. */
  shadow?(exchange: Exchange): { readonly exchange: Exchange; readonly transport: Transport<unknown> } | undefined;
}
