import {
  type Cancellable,
  type Exchange,
  FirstExchange,
  GrpcStatus,
  type InboundCall,
  type Life,
  type LocalAnswer,
  type Mesh,
  MeshError,
  type Reply,
  type Routed,
  type Transport,
} from '@inmesh/core';
import type { HeaderOp } from '@inmesh/policy';
import { asGrpc } from '../grpc.ts';
import type { Passenger } from './link.ts';

/** The two ends of an inbound call: the request, to be handed to the program, and the answer of the mesh where it is not. */
export interface Outlet {
  /** Tells `serving` when the last byte is through, or the caller is gone. */
  watch(serving: Serving): void;
  /** Changes the headers of the request. */
  edit(ops: readonly HeaderOp[]): void;
  /** Hands the request to the program, as these filters have left it. */
  proceed(exchange: Exchange): void;
  answer(local: LocalAnswer, ops: readonly HeaderOp[]): void;
  /** Of the answer, once it was sent, by lower-case name. */
  header(name: string): string | undefined;
  /** Says with the answer that no other call may come on this connection. */
  last(): void;
  /** Instrumentation of OpenTelemetry stands between it and the program. */
  readonly instrumented: boolean;
  /** The caller is gone, or the answer is under way already: there is nothing to say. */
  readonly closed: boolean;
  /** Ends what is under way: by `last`, if no answer has begun and the program could not stumble over one, else without a word. */
  destroy(last?: LocalAnswer): void;
}

type Served = LocalAnswer | undefined;

/** Every call that goes through to the program has the same answer to the filters: it is not theirs any more. */
const PASSED: Reply<Served> = {
  value: undefined,
  status: 200,
  grpcStatus: -1,
  header: () => undefined,
  endpoint: undefined,
  discard: () => {},
};
const PASSED_ON = Promise.resolve(PASSED);

const NONE: readonly never[] = [];

/** One inbound call on its way through the mesh to the program: the transport the inbound stack drives. */
export class Serving implements Transport<Served>, Cancellable, Passenger {
  readonly life: Life;
  readonly #mesh: Mesh;
  readonly #outlet: Outlet;
  readonly #link: { leave(call: Passenger): void } | undefined;
  #grpc = false;
  #passed = false;
  #over = false;

  constructor(mesh: Mesh, routed: Routed, outlet: Outlet, link?: { leave(call: Passenger): void }) {
    this.#mesh = mesh;
    this.#outlet = outlet;
    this.#link = link;
    this.life = mesh.life(routed);
  }

  /** Runs the call. What the program throws at once is thrown on, as without a mesh. */
  run(routed: Routed, call: InboundCall): void {
    this.life.call = call;
    this.life.mutual = call.peer.connection.principal !== undefined;
    const exchange = new FirstExchange(call, this.life);
    this.#grpc = call.protocol === 'grpc';
    let outcome: Promise<Reply<Served>>;
    try {
      outcome = routed.handler(exchange, this);
    } catch (error) {
      return this.#refuse(error, exchange);
    }
    // Nothing had to be waited for: the program has it already.
    if (outcome === PASSED_ON) return;
    outcome.then(({ value }) => this.#answer(value, exchange)).catch((error: unknown) => this.#refuseLater(error, exchange));
  }

  /** A request that is no call: refused before the stack. */
  reject(error: MeshError, grpc: boolean): void {
    this.life.refused(error);
    const local = this.#mesh.refusal(error, this.life);
    this.#outlet.answer(grpc ? asGrpc(local) : local, NONE);
  }

  attempt(exchange: Exchange): Promise<Reply<Served>> {
    // Whoever left while we looked at his papers is not served.
    if (this.#outlet.closed) return PASSED_ON;
    this.#passed = true;
    this.life.work(this);
    const { trace } = this.life;
    if (trace === undefined) this.#outlet.proceed(exchange);
    else trace.run(() => this.#outlet.proceed(exchange));
    return PASSED_ON;
  }

  get instrumented(): boolean {
    return this.#outlet.instrumented;
  }

  answer(_exchange: Exchange, local: LocalAnswer): Reply<Served> {
    return { ...PASSED, value: local, status: local.status };
  }

  last(): void {
    this.#outlet.last();
  }

  /**
   * The deadline passed. Nobody waits for the answer, and the program may be about to begin it: it is cut, for an answer
   * of ours in its place would make the program's own throw. Only gRPC is told.
   */
  cancelled(error: MeshError): void {
    this.life.refused(error);
    this.#outlet.destroy(this.#grpc ? asGrpc(this.#mesh.refusal(error, this.life)) : undefined);
  }

  /** The last byte is through, or the caller is gone. `status` 0: no answer began. `grpcStatus` −1: none was sent. */
  end(status: number, grpcStatus: number, gone: boolean): void {
    if (this.#over) return;
    this.#over = true;
    if (gone && this.life.why === undefined) this.#left();
    if (status !== 0) this.life.answered(this.#outlet, this.life.responseHead);
    this.life.end(status, this.#grpc && grpcStatus < 0 ? this.#unsaid() : grpcStatus, this.#mesh.now());
    this.#link?.leave(this);
  }

  /** The status of a call of gRPC that ended without one, as its caller sees it. */
  #unsaid(): number {
    return this.life.why?.grpcStatus ?? GrpcStatus.UNKNOWN;
  }

  /** Whoever works on his answer may stop. */
  #left(): void {
    this.life.rest(this);
    const left = new MeshError('CANCELLED', 'the caller went away');
    this.life.refused(left);
    this.life.cancel(left);
  }

  #answer(local: Served, { edits }: Exchange): void {
    if (local === undefined || this.#outlet.closed) return;
    this.#outlet.answer(this.#grpc ? asGrpc(local) : local, edits.response);
  }

  #refuse(error: unknown, exchange: Exchange): void {
    if (this.#passed || !MeshError.is(error)) throw error;
    this.life.refused(error);
    this.#answer(this.#mesh.refusal(error, this.life), exchange);
  }

  #refuseLater(error: unknown, exchange: Exchange): void {
    try {
      this.#refuse(error, exchange);
    } catch (thrown) {
      // The program's own: it would have been an uncaught exception without us, too.
      process.nextTick(() => {
        throw thrown;
      });
    }
  }
}
