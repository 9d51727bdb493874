import { type Baggage, type Context, context, createContextKey, ROOT_CONTEXT, type Span } from '@opentelemetry/api';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { TraceHeaders } from './incoming.ts';

/** What calls have of the request they are made for. A class, for the reason `FirstExchange` of core gives. */
export class Served {
  readonly trace: TraceHeaders;
  readonly requestId: string;
  /** As it came; '' if there was none. */
  readonly baggage: string;
  /** The same as the API of OpenTelemetry holds it, where somebody uses that. */
  readonly entries: Baggage | undefined;
  readonly forwarded: readonly string[];

  constructor(trace: TraceHeaders, requestId: string, baggage: string, entries: Baggage | undefined, forwarded: readonly string[]) {
    this.trace = trace;
    this.requestId = requestId;
    this.baggage = baggage;
    this.entries = entries;
    this.forwarded = forwarded;
  }
}

const SERVED = createContextKey('inmesh request served');
/** By these the API of OpenTelemetry finds the active span and the baggage (api/src/trace/context-utils.ts, baggage/context-helpers.ts). */
const SPAN = createContextKey('OpenTelemetry Context Key SPAN');
const BAGGAGE = createContextKey('OpenTelemetry Baggage Key');

/** A context of OpenTelemetry with its three values in fields: one made of the API's own would copy a Map for each. */
export class ServedContext implements Context {
  readonly #served: Served;
  readonly #span: Span;

  constructor(given: Served, span: Span) {
    this.#served = given;
    this.#span = span;
  }

  getValue(key: symbol): unknown {
    if (key === SERVED) return this.#served;
    if (key === SPAN) return this.#span;
    return key === BAGGAGE ? this.#served.entries : undefined;
  }

  setValue(key: symbol, value: unknown): Context {
    return this.#plain().setValue(key, value);
  }

  deleteValue(key: symbol): Context {
    return this.#plain().deleteValue(key);
  }

  #plain(): Context {
    const within = ROOT_CONTEXT.setValue(SERVED, this.#served).setValue(SPAN, this.#span);
    return this.#served.entries === undefined ? within : within.setValue(BAGGAGE, this.#served.entries);
  }
}

/** Where nobody has registered a context manager with OpenTelemetry. */
const own = new AsyncLocalStorage<Served>();

/** The request that is being served. Nobody passes it on: it is there wherever the program's own flow leads. */
export const servedIn = (within: Context): Served | undefined => (within.getValue(SERVED) as Served | undefined) ?? own.getStore();

let managed = false;

/** Is there a context manager? Asked until there is one: to enter two contexts costs twice. */
function isManaged(probe: Context): boolean {
  return (managed ||= context.with(probe, () => context.active() === probe));
}

/** Runs a function, a method of `self`, while a request is served. `within`: where somebody makes spans. */
export function runServed<T>(
  given: Served,
  within: Context | undefined,
  run: (...args: never[]) => T,
  self?: unknown,
  args: readonly unknown[] = [],
): T {
  if (within === undefined) return own.run(given, () => run.apply(self, args as never[]));
  if (isManaged(within)) return context.with(within, run as (...given: unknown[]) => T, self, ...args);
  return own.run(given, () => context.with(within, run as (...given: unknown[]) => T, self, ...args));
}
