import type { EndedCall, Endpoint, InboundInfo, RouteInfo, Trace } from '@inmesh/core';
import { type Attributes, type Context, context, type Span } from '@opentelemetry/api';
import { channel } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import { describe } from './attributes.ts';
import type { Tags } from './custom-tags.ts';
import { NO_LINES, type Outgoing } from './outgoing.ts';
import { silenced } from './sdk.ts';
import { runServed, type Served, servedIn } from './served.ts';
import { SAMPLED, type SpanReference } from './span-reference.ts';

/** What the spans of one side have in common. */
export interface Common {
  readonly attributes: Attributes;
  readonly tags: Tags;
}

/** A span that is told of a call, and whether it is ours to end. */
export interface Told {
  readonly span: Span;
  readonly ours: boolean;
  readonly common: Common;
}

abstract class CallTrace implements Trace {
  readonly requestId: string;
  readonly #reference: SpanReference | undefined;
  readonly #told: Told | undefined;
  #attempts = 0;
  #reason = '';

  constructor(reference: SpanReference | undefined, requestId: string, told: Told | undefined) {
    this.#reference = reference;
    this.requestId = requestId;
    this.#told = told;
  }

  get traceId(): string {
    return this.#reference?.traceId ?? '';
  }

  get spanId(): string {
    return this.#reference?.spanId ?? '';
  }

  get sampled(): boolean {
    return ((this.#reference?.flags ?? 0) & SAMPLED) !== 0;
  }

  attempting({ address }: Endpoint): void {
    this.#attempts += 1;
    if (this.#told === undefined) return;
    const attributes: Attributes = { 'inmesh.attempt': this.#attempts, 'network.peer.address': address };
    if (this.#reason !== '') attributes['inmesh.attempt.reason'] = this.#reason;
    this.#told.span.addEvent('attempt', attributes);
  }

  repeating(reason: string): void {
    this.#reason = reason;
  }

  finish(call: EndedCall, info: RouteInfo | InboundInfo): void {
    if (this.#told === undefined) return;
    const { span, ours, common } = this.#told;
    span.setAttributes(common.attributes);
    span.setAttributes(common.tags(call, info));
    describe(span, call, info);
    if (ours) span.end();
  }

  abstract readonly shadow: Trace;
  abstract headers(internal: boolean): readonly string[];
  abstract readonly silences: boolean;
  abstract send<T>(dispatch: () => T): T;
  abstract run<T>(program: () => T): T;
  abstract bind(emitter: object): void;
}

const asItIs = <T>(run: () => T): T => run();

/** Of a call that this process makes. */
export class OutboundTrace extends CallTrace {
  readonly #outgoing: Outgoing | undefined;
  readonly #silent: boolean;

  /** `silent`: instrumentation of the wire must not tell of it again. */
  constructor(reference: SpanReference | undefined, requestId: string, outgoing: Outgoing | undefined, silent: boolean, told?: Told) {
    super(reference, requestId, told);
    this.#outgoing = outgoing;
    this.#silent = silent;
  }

  headers(internal: boolean): readonly string[] {
    const outgoing = this.#outgoing;
    if (outgoing === undefined) return NO_LINES;
    return internal ? outgoing.internal : outgoing.external;
  }

  get shadow(): Trace {
    const reference = { traceId: this.traceId, spanId: this.spanId, flags: this.sampled ? SAMPLED : 0 };
    return new OutboundTrace(reference, this.requestId, this.#outgoing, this.#silent);
  }

  /** A context of its own is dear: only where somebody would hear. */
  get silences(): boolean {
    return this.#silent && wire.hasSubscribers;
  }

  send<T>(dispatch: () => T): T {
    return this.silences ? silenced(dispatch) : dispatch();
  }

  readonly run = asItIs;

  bind(): void {}
}

/** Where undici says that a request begins, and its instrumentation listens. */
const wire = channel('undici:request:create');

type Emit = (this: Bound, ...args: unknown[]) => unknown;

const TRACE = Symbol('inmesh.trace');
const QUIET = Symbol('inmesh.quiet');
/** Its own, where it had one. */
const EMIT = Symbol('inmesh.emit');

interface Bound {
  [TRACE]?: InboundTrace;
  [QUIET]?: Quiet;
  [EMIT]?: Emit;
  emit: Emit;
  listenerCount: (event: unknown) => number;
}

const { emit: plainEmit } = EventEmitter.prototype as unknown as Pick<Bound, 'emit'>;

/** Events that Node and the mesh listen to on every request or answer, and how many listeners those are: the fewest ever seen before a program came. */
interface Quiet {
  readonly counts: Record<string, number>;
  learned: number;
}
const WATCHED = ['finish', 'close', 'end', 'error'] as const;
/** Requests after which nothing new is to be learned. */
const LEARNED = 100;
const kinds = new WeakMap<object, Quiet>();

function quietOf(emitter: Bound): Quiet {
  const kind = Object.getPrototypeOf(emitter) as object;
  let quiet = kinds.get(kind);
  if (quiet === undefined) kinds.set(kind, (quiet = { counts: {}, learned: 0 }));
  if (quiet.learned < LEARNED) {
    quiet.learned += 1;
    const { counts } = quiet;
    for (const event of WATCHED) counts[event] = Math.min(counts[event] ?? Infinity, emitter.listenerCount(event));
  }
  return quiet;
}

function emitWithin(this: Bound, ...args: unknown[]): unknown {
  const emit = this[EMIT] ?? plainEmit;
  const trace = this[TRACE]!;
  const heard = this.listenerCount(args[0]);
  // Most events nobody hears, or only Node and the mesh: to enter a context is dear. And what the program itself emits it emits in a context it
  // has perhaps made narrower.
  if (heard === 0 || heard <= (this[QUIET]!.counts[args[0] as string] ?? 0) || trace.isCurrent()) return emit.apply(this, args);
  return trace.emit(this, emit, args);
}

/** Of a call that came in. */
export class InboundTrace extends CallTrace {
  readonly #served: Served;
  /** In which the program runs; undefined: nobody here makes spans. */
  readonly #context: Context | undefined;

  constructor(reference: SpanReference | undefined, given: Served, within?: Context, told?: Told) {
    super(reference, given.requestId, told);
    this.#served = given;
    this.#context = within;
  }

  run<T>(program: () => T): T {
    return runServed(this.#served, this.#context, program);
  }

  /** Lets an emitter of this call emit. */
  emit(emitter: Bound, emit: Emit, args: readonly unknown[]): unknown {
    return runServed(this.#served, this.#context, emit, emitter, args);
  }

  /** By `emit`, where all events come by, whoever listens when. One function for all: a closure per request would die slowly. */
  bind(emitter: object): void {
    const bound = emitter as Bound;
    bound[TRACE] = this;
    bound[QUIET] = quietOf(bound);
    if (Object.hasOwn(emitter, 'emit')) bound[EMIT] = bound.emit;
    bound.emit = emitWithin;
  }

  isCurrent(): boolean {
    return servedIn(context.active()) === this.#served;
  }

  get shadow(): Trace {
    return this;
  }

  headers(): readonly string[] {
    return [];
  }

  readonly silences = false;
  readonly send = asItIs;
}

/** Told of the ends of calls, which their spans wait for. */
export function finishTrace(call: EndedCall, info: RouteInfo | InboundInfo): void {
  if (call.trace instanceof CallTrace) call.trace.finish(call, info);
}
