import {
  type Context,
  context,
  createContextKey,
  type ProxyTracerProvider,
  trace,
  type Tracer,
  type TracerProvider,
} from '@opentelemetry/api';

const SCOPE = '@inmesh/telemetry';

let provider: TracerProvider | undefined;
let tracer: Tracer | undefined;

/** Of the SDK that is registered with the API of OpenTelemetry; undefined: none is. It may be registered at any time. */
export function sdkTracer(): Tracer | undefined {
  const current = trace.getTracerProvider();
  if (tracer !== undefined && current === provider) return tracer;
  const { getDelegateTracer } = current as Partial<Pick<ProxyTracerProvider, 'getDelegateTracer'>>;
  provider = current;
  // The API's own stand-in has nobody behind it.
  tracer = getDelegateTracer === undefined ? current.getTracer(SCOPE) : getDelegateTracer.call(current, SCOPE);
  return tracer;
}

/** By this key instrumentations of OpenTelemetry know that nothing is to be told (its SDK's `suppressTracing`). */
const SUPPRESSED = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING');

export const isSuppressed = (within: Context): boolean => within.getValue(SUPPRESSED) === true;

/** Runs with everybody else's instrumentation silent. */
export const silenced = <T>(run: () => T): T => context.with(context.active().setValue(SUPPRESSED, true), run);

/** The policy has chosen that this trace is kept: a sampler need not draw again. */
const CHOSEN = createContextKey('inmesh trace chosen');

export const choose = (within: Context): Context => within.setValue(CHOSEN, true);
export const isChosen = (within: Context): boolean => within.getValue(CHOSEN) === true;
