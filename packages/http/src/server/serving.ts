import {
  type Cancellable,
  type Exchange,
  type InboundCall,
  type Life,
  type LocalAnswer,
  type Mesh,
  MeshError,
  NO_EDITS,
  type Reply,
  type Routed,
  type Transport,
} from '@inmesh/core';
import type { HeaderOp } from '@inmesh/policy';

/** The end of an inbound call that the mesh does not answer itself: it went to the program. */
export interface Outlet {
  /** Hands the request to the program, as these filters have left it. */
  proceed(exchange: Exchange): void;
  answer(
    status: number,
    headers: readonly (readonly [name: string, value: string])[],
    body: string | Uint8Array,
    ops: readonly HeaderOp[],
  ): void;
  /** The caller is gone, or the answer is under way already: there is nothing to say. */
  readonly closed: boolean;
  /** Ends what is under way. */
  destroy(): void;
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

class FirstExchange implements Exchange {
  readonly call: InboundCall;
  readonly life: Life;
  readonly attempt = 0;
  readonly tried: readonly never[] = NONE;
  edits: Exchange['edits'] = NO_EDITS;
  hashKey: undefined = undefined;
  attemptTimeoutMs = 0;
  readonly avoidPriorities: readonly never[] = NONE;

  constructor(call: InboundCall, life: Life) {
    this.call = call;
    this.life = life;
  }
}

const NONE: readonly never[] = [];

/** One inbound call on its way through the mesh to the program: the transport the inbound stack drives. */
export class Serving implements Transport<Served>, Cancellable {
  readonly life: Life;
  readonly #mesh: Mesh;
  readonly #outlet: Outlet;
  #passed = false;
  #over = false;

  constructor(mesh: Mesh, routed: Routed, outlet: Outlet) {
    this.#mesh = mesh;
    this.#outlet = outlet;
    this.life = mesh.life(routed);
  }

  /** Runs the call. What the program throws at once is thrown on, as without a mesh. */
  run(routed: Routed, call: InboundCall): void {
    const exchange = new FirstExchange(call, this.life);
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
  reject(error: MeshError): void {
    if (error.flag !== null) this.life.flag(error.flag);
    const { status, headers, body } = this.#mesh.refusal(error, this.life);
    this.#outlet.answer(status, headers, body, []);
  }

  attempt(exchange: Exchange): Promise<Reply<Served>> {
    // Whoever left while we looked at his papers is not served.
    if (this.#outlet.closed) return PASSED_ON;
    this.#passed = true;
    this.life.work(this);
    this.#outlet.proceed(exchange);
    return PASSED_ON;
  }

  answer(_exchange: Exchange, local: LocalAnswer): Reply<Served> {
    return { ...PASSED, value: local, status: local.status };
  }

  /** The deadline passed: an answer begun is cut, one that is not begun is 504. */
  cancelled(error: MeshError): void {
    if (this.#outlet.closed) return this.#outlet.destroy();
    this.#outlet.answer(error.status, [], `${error.message}\n`, []);
  }

  /** The last byte is through, or the caller is gone. `status` 0: no answer began. */
  end(status: number, gone: boolean): void {
    if (this.#over) return;
    this.#over = true;
    if (gone) this.life.flag('DC');
    this.life.end(status, -1, this.#mesh.now());
  }

  #answer(local: Served, { edits }: Exchange): void {
    if (local !== undefined && !this.#outlet.closed) this.#outlet.answer(local.status, local.headers, local.body, edits.response);
  }

  #refuse(error: unknown, exchange: Exchange): void {
    if (this.#passed || !MeshError.is(error)) throw error;
    if (error.flag !== null) this.life.flag(error.flag);
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
