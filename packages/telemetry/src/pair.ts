import type { EndedCall, InboundInfo, RouteInfo } from '@inmesh/core';
import { LabelSet } from './exposition.ts';
import type { Shape } from './istio-families.ts';
import { connectionLabels, type Labels, outcomeLabels, type Security } from './istio-labels.ts';
import { type MetricGroup, type MetricPlan, tagText } from './metric-rules.ts';
import type { Series, SeriesBook } from './series.ts';

type Info = RouteInfo | InboundInfo;

/** A series to count in, and the next of the same outcome, where families differ in their labels. */
interface Bound {
  readonly series: Series;
  readonly parts: number;
  readonly next: Bound | undefined;
}

/** Servers may invent a grpc-status; what gRPC does not define stands for UNKNOWN (grpc doc/statuscodes.md). */
const LAST_GRPC_STATUS = 16;
const GRPC_UNKNOWN = 2;

/** Somebody who calls and somebody who is called: the 20 labels that say who, and the series of what came of it. */
export class Pair {
  readonly #who: Labels;
  readonly #security: Security;
  readonly #plan: MetricPlan;
  readonly #book: SeriesBook;
  readonly #onOverflow: (shape: Shape) => Series;
  /** By outcome; where calls say labels for themselves, by those too. */
  readonly #bound = new Map<number | string, Bound>();
  /** The latest outcome and its series: most calls end as the one before did. */
  #lastKey = -1;
  #last: Bound | undefined = undefined;
  /** No call has labels of its own. */
  readonly #plain: boolean;
  /** Not remembered, or not any more: whoever holds it asks for it again. */
  gone = false;

  constructor(who: Labels, security: Security, plan: MetricPlan, book: SeriesBook, onOverflow: (shape: Shape) => Series) {
    this.#who = who;
    this.#security = security;
    this.#plan = plan;
    this.#book = book;
    this.#onOverflow = onOverflow;
    this.#plain = plan.calls.every(({ tags }) => tags.length === 0);
  }

  call(call: EndedCall, info: Info, isGrpc: boolean): void {
    const { status, grpcStatus, flags, ms } = call;
    const code = status <= 999 ? status : 0;
    const grpc = grpcStatus <= LAST_GRPC_STATUS ? grpcStatus : GRPC_UNKNOWN;
    // Without flags a small integer, which a Map finds fastest.
    const key = (flags * 1024 + code) * 64 + (isGrpc || grpc >= 0 ? 32 : 0) + grpc + 1;
    let bound = this.#plain && this.#lastKey === key ? this.#last : undefined;
    if (bound === undefined || bound.series.gone) {
      const labels = (): Labels => outcomeLabels(isGrpc || grpc >= 0 ? 'grpc' : 'http', code, grpc, flags, this.#security);
      bound = this.#find('calls', key, call, info, labels);
      // What went into the overflow is not remembered: there may be room the next time.
      this.#lastKey = this.#plain && this.#bound.get(key) === bound ? key : -1;
      this.#last = bound;
    }
    const requestBytes = call.requestHead + call.requestBytes;
    const responseBytes = call.responseHead + call.responseBytes;
    for (; bound !== undefined; bound = bound.next) this.#book.call(bound.series, bound.parts, ms, requestBytes, responseBytes);
  }

  messages(call: EndedCall, info: Info, requests: number, responses: number): void {
    this.#add('messages', 'm', call, info, [requests, responses], () => ({}));
  }

  connection(call: EndedCall, info: Info, opened: number, closed: number, received: number, sent: number): void {
    // Its flags are known at its end only, as in Istio: a connection that is counted while it lasts has none yet.
    const flags = closed > 0 ? call.flags : 0;
    this.#add('connections', `c${flags}`, call, info, [opened, closed, received, sent], () => connectionLabels(flags, this.#security));
  }

  #add(shape: Shape, key: string, call: EndedCall, info: Info, amounts: readonly number[], labels: () => Labels): void {
    for (let bound: Bound | undefined = this.#find(shape, key, call, info, labels); bound !== undefined; bound = bound.next)
      for (const [place, amount] of amounts.entries())
        if (amount > 0 && (bound.parts & (1 << place)) !== 0) this.#book.add(bound.series, place, amount);
  }

  #find(shape: Shape, key: number | string, call: EndedCall, info: Info, outcome: () => Labels): Bound | undefined {
    const groups = this.#plan[shape];
    const said = groups.map(({ tags }) => tags.map(({ name, expression }) => [name, tagText(expression(call, info))] as const));
    const own = said.some((tags) => tags.length > 0) ? `${key} ${JSON.stringify(said)}` : key;
    const found = this.#bound.get(own);
    if (found !== undefined && !isGone(found)) return found;
    return this.#bind(shape, own, groups, said, { ...this.#who, ...outcome() });
  }

  #bind(
    shape: Shape,
    key: number | string,
    groups: readonly MetricGroup[],
    said: readonly (readonly (readonly [name: string, value: string])[])[],
    labels: Labels,
  ): Bound | undefined {
    let bound: Bound | undefined;
    let room = true;
    for (const [index, { parts, removed }] of groups.entries()) {
      const kept = Object.entries(labels).filter(([name]) => !removed.has(name));
      let series = this.#book.obtain(shape, new LabelSet(Object.fromEntries([...kept, ...said[index]!])));
      if (series === undefined) {
        room = false;
        series = this.#onOverflow(shape);
      }
      series.parts |= parts;
      bound = { series, parts, next: bound };
    }
    if (bound !== undefined && room) this.#bound.set(key, bound);
    return bound;
  }

  /** Lets go of series that are gone. True: none is left. */
  purge(): boolean {
    for (const [key, bound] of this.#bound) if (isGone(bound)) this.#bound.delete(key);
    this.#last = undefined;
    return this.#bound.size === 0;
  }
}

function isGone(bound: Bound | undefined): boolean {
  for (let one = bound; one !== undefined; one = one.next) if (one.series.gone) return true;
  return false;
}
