import type { Span, SpanContext } from '@opentelemetry/api';
import { newSpanId, newTraceId } from './ids.ts';
import { SAMPLED, type SpanReference } from './span-reference.ts';
import { MemberList, parseTracestate } from './tracestate.ts';

/** The place in a trace of a call of which nothing is kept. Its ids are made when somebody asks: mostly nobody does. */
export class UnkeptSpan implements Span, SpanReference {
  readonly flags: number;
  readonly #tracestate: string;
  #traceId: string | undefined;
  #spanId: string | undefined = undefined;

  /** `traceId`: of the trace it belongs to; undefined: of a new one. */
  constructor(traceId: string | undefined, flags: number, tracestate: string) {
    this.#traceId = traceId;
    this.flags = flags;
    this.#tracestate = tracestate;
  }

  get traceId(): string {
    return (this.#traceId ??= newTraceId());
  }

  get spanId(): string {
    return (this.#spanId ??= newSpanId());
  }

  spanContext(): SpanContext {
    const { traceId, spanId, flags } = this;
    const traceFlags = flags & SAMPLED;
    if (this.#tracestate === '') return { traceId, spanId, traceFlags };
    return { traceId, spanId, traceFlags, traceState: new MemberList(parseTracestate(this.#tracestate) ?? []) };
  }

  isRecording(): boolean {
    return false;
  }

  setAttribute(): this {
    return this;
  }

  setAttributes(): this {
    return this;
  }

  addEvent(): this {
    return this;
  }

  addLink(): this {
    return this;
  }

  addLinks(): this {
    return this;
  }

  setStatus(): this {
    return this;
  }

  updateName(): this {
    return this;
  }

  end(): void {}

  recordException(): void {}
}
