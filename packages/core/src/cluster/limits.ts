import type { Exchange, Reply } from '../exchange.ts';
import type { Timer } from '../clock.ts';
import type { Expiring } from '../deadlines.ts';
import type { MeshError } from '../errors.ts';
import type { Cancellable, Life } from '../life.ts';

/** A call that waits its turn. `Given` is what it was waiting for. */
export interface Waiter<Given> {
  readonly exchange: Exchange;
  /** Lets it go on; it has left the line. */
  serve(given: Given): void;
  /** Refuses it; it has left the line. */
  fail(error: unknown): void;
}

/**
 * Calls that wait for something, in order of arrival (Envoy's pending requests). A call whose deadline passes or whose
 * caller leaves is out at once, from wherever it stands: the line is doubly linked. Nobody stands here on the ordinary way.
 */
export class WaitingLine<Given> {
  #head: Waiting<Given> | undefined = undefined;
  #tail: Waiting<Given> | undefined = undefined;
  #size = 0;
  readonly #hold: (() => Timer) | undefined;
  readonly #gaveUp: ((error: MeshError) => void) | undefined;
  #held: Timer | undefined = undefined;

  /**
   * `hold` keeps the process alive while somebody waits, until it is cancelled: where nothing else may. `gaveUp` hears of calls that
   * ended while they waited.
   */
  constructor(hold?: () => Timer, gaveUp?: (error: MeshError) => void) {
    this.#hold = hold;
    this.#gaveUp = gaveUp;
  }

  get size(): number {
    return this.#size;
  }

  /** Who is next; stays in line. */
  get first(): Waiter<Given> | undefined {
    return this.#head;
  }

  /**
   * Joins the end. `turn` runs when it is served and its outcome is the call's. `late`: how long it waits at most, in
   * milliseconds from now, and what it is told then; undefined: as long as the call lives.
   */
  wait<T>(
    exchange: Exchange,
    turn: (given: Given) => Promise<Reply<T>>,
    late?: { readonly at: number; readonly error: () => MeshError },
  ): Promise<Reply<T>> {
    return new Promise((resolve, reject) => {
      const serve = (given: Given): void => {
        try {
          resolve(turn(given));
        } catch (error) {
          reject(error as MeshError);
        }
      };
      const waiting = new Waiting<Given>(this, exchange, serve, reject, late?.error);
      waiting.previous = this.#tail;
      if (this.#tail === undefined) this.#head = waiting;
      else this.#tail.next = waiting;
      this.#tail = waiting;
      this.#size += 1;
      this.#held ??= this.#hold?.();
      if (late !== undefined && late.at < exchange.life.deadline) waiting.slot = exchange.life.deadlines.add(waiting, late.at);
      // Last: a call that is already cancelled leaves from here.
      exchange.life.work(waiting);
    });
  }

  /** Takes the first out of the line, to be served or refused. */
  shift(): Waiter<Given> | undefined {
    const first = this.#head;
    first?.leave();
    return first;
  }

  /** Refuses all. */
  clear(error: () => MeshError): void {
    for (let next = this.shift(); next !== undefined; next = this.shift()) next.fail(error());
  }

  /** For Waiting only. */
  gone(error: MeshError): void {
    this.#gaveUp?.(error);
  }

  /** For Waiting only. */
  unlink(waiting: Waiting<Given>): void {
    if (waiting.previous === undefined) this.#head = waiting.next;
    else waiting.previous.next = waiting.next;
    if (waiting.next === undefined) this.#tail = waiting.previous;
    else waiting.next.previous = waiting.previous;
    waiting.previous = undefined;
    waiting.next = undefined;
    this.#size -= 1;
    if (this.#size > 0) return;
    this.#held?.cancel();
    this.#held = undefined;
  }
}

class Waiting<Given> implements Waiter<Given>, Cancellable, Expiring {
  readonly exchange: Exchange;
  readonly serve: (given: Given) => void;
  readonly fail: (error: unknown) => void;
  previous: Waiting<Given> | undefined = undefined;
  next: Waiting<Given> | undefined = undefined;
  /** Of the deadlines, −1 if it may wait as long as the call. */
  slot = -1;
  readonly #line: WaitingLine<Given>;
  readonly #late: (() => MeshError) | undefined;

  constructor(
    line: WaitingLine<Given>,
    exchange: Exchange,
    serve: (given: Given) => void,
    fail: (error: unknown) => void,
    late: (() => MeshError) | undefined,
  ) {
    this.#line = line;
    this.exchange = exchange;
    this.serve = serve;
    this.fail = fail;
    this.#late = late;
  }

  get #life(): Life {
    return this.exchange.life;
  }

  leave(): void {
    this.#line.unlink(this);
    this.#life.rest(this);
    if (this.slot >= 0) this.#life.deadlines.remove(this.slot);
  }

  cancelled(error: MeshError): void {
    this.leave();
    this.#line.gone(error);
    this.fail(error);
  }

  expired(): void {
    this.slot = -1;
    this.leave();
    this.fail(this.#late?.());
  }
}
