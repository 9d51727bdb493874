import type { Call, InboundInfo, Observer, RouteInfo, Tracer } from '@inmesh/core';
import { MeshError, REQUEST_ID_HEADER } from '@inmesh/core';
import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  trace,
  type Tracer as SdkTracer,
} from '@opentelemetry/api';
import { clientAttributes, type Self, selfAttributes, serverAttributes, spanName } from './attributes.ts';
import { formatBaggage, parseBaggage } from './baggage.ts';
import { compileTags, type Formatter } from './custom-tags.ts';
import { newRequestId } from './ids.ts';
import { readBaggage, readForwarded, readRequestId, readTrace, saysTrace, type TraceHeaders } from './incoming.ts';
import { type Company, handedOn, linesOf, NO_LINES, Outgoing } from './outgoing.ts';
import { type Propagators, propagatorsFrom } from './propagators.ts';
import { policySampling } from './sampler.ts';
import { choose, isSuppressed, sdkTracer } from './sdk.ts';
import { Served, ServedContext, servedIn } from './served.ts';
import { RANDOM, SAMPLED, type SpanReference } from './span-reference.ts';
import { type Common, finishTrace, InboundTrace, OutboundTrace } from './traces.ts';
import { MemberList, parseTracestate } from './tracestate.ts';
import { UnkeptSpan } from './unkept.ts';

export interface TracerOptions extends Self {
  /** Names of headers that calls get from the request they are made for: what routes choose by through a whole chain. At most 16. Default: none. */
  readonly forward?: readonly string[];
  /** Default: what OTEL_PROPAGATORS says. */
  readonly propagators?: Propagators;
  /** Which of the traces that begin here are kept, uniform in [0, 1). Default: the process's own chance. */
  readonly random?: () => number;
  /** What custom tags of kind `formatter` are written with. Default: they are left out. */
  readonly formatter?: Formatter;
}

/** A tracer, and the observer that ends its spans: one is of no use without the other. */
export interface MeshTracer extends Tracer {
  readonly observer: Observer;
}

/**
 * Traces as Istio's Telemetry asks for them, through the API of OpenTelemetry. Where no SDK is registered with that, no span is made, and what
 * came in is handed on as it came with every call made for it; the program passes nothing on.
 */
export function createTracer(options: TracerOptions): MeshTracer {
  const forward = forwardable(options.forward ?? []);
  const propagators = options.propagators ?? propagatorsFrom(process.env['OTEL_PROPAGATORS']);
  const random = options.random ?? Math.random;
  return {
    outbound: (info) => {
      const rule = info.telemetry.tracing;
      if (!rule.spans && !rule.propagation) return undefined;
      policySampling.percent = rule.sampling;
      const common = commonOf(info, options);
      const kept = (): boolean => random() * 100 < rule.sampling;
      const beginning: Beginning = { kind: SpanKind.CLIENT, attributes: clientAttributes, kept };
      return (call) => {
        const within = context.active();
        // The exporters' own calls are made so: they are of no trace.
        if (isSuppressed(within)) return undefined;
        const mine = servedIn(within);
        const company = companyOf(call, within, mine, propagators);
        const sdk = rule.spans ? sdkTracer() : undefined;
        if (sdk === undefined) return rule.propagation ? handOn(call, within, mine, company, propagators) : undefined;
        const active = trace.getSpan(within);
        const above = active !== undefined && isTellingOfThis(active) ? active : undefined;
        const formats = propagators.formats | (mine?.trace.formats ?? 0);
        if (above !== undefined) {
          const reference = referenceTo(above.spanContext());
          const lines = handedOn(call, linesOf(reference, tracestateOf(above.spanContext()), formats));
          const out = rule.propagation ? new Outgoing(call, lines, company) : undefined;
          return new OutboundTrace(reference, company.requestId, out, true, { span: above, ours: false, common });
        }
        // Most calls of a process that serves nobody: nothing is above them, and nothing of them is kept.
        const isRoot = mine === undefined && active === undefined && !saysTrace(call);
        if (isRoot && !kept()) {
          const unkept = new UnkeptSpan(undefined, 0, '');
          const out = rule.propagation ? new Outgoing(call, linesOf(unkept, '', formats), company) : undefined;
          return new OutboundTrace(unkept, company.requestId, out, true);
        }
        const parent = isRoot ? rootIn(within, true) : parentOf(call, within, mine);
        const begun = begin(sdk, parent, call, beginning);
        const lines = linesOf(begun.reference, begun.tracestate, formats | parent.formats);
        const out = rule.propagation ? new Outgoing(call, lines, company) : undefined;
        const told = begun.span === undefined ? undefined : { span: begun.span, ours: true, common };
        return new OutboundTrace(begun.reference, company.requestId, out, true, told);
      };
    },
    inbound: (info) => {
      const rule = info.telemetry.tracing;
      const common = commonOf(info, options);
      const kept = (): boolean => random() * 100 < rule.sampling;
      const beginning: Beginning = { kind: SpanKind.SERVER, attributes: serverAttributes, kept };
      return (call, instrumented) => {
        const incoming = readTrace(call);
        const baggage = readBaggage(call);
        const sdk = rule.spans && !instrumented ? sdkTracer() : undefined;
        const entries = sdk === undefined || baggage === '' ? undefined : propagation.createBaggage(parseBaggage(baggage));
        const requestId = readRequestId(call) || newRequestId();
        const given = new Served(incoming, requestId, baggage, entries, readForwarded(call, forward));
        // What stands behind a middleware may be a server whose instrumentation has begun its span already.
        if (sdk === undefined || hasSpan()) return new InboundTrace(incoming.span, given);
        const { span, reference, unkept } = begin(sdk, remoteParent(incoming), call, beginning);
        if (span !== undefined) ours.add(span);
        const within = new ServedContext(given, span ?? unkept);
        return new InboundTrace(reference, given, within, span === undefined ? undefined : { span, ours: true, common });
      };
    },
    forwarded: forward.length === 0 ? () => NO_LINES : () => servedIn(context.active())?.forwarded ?? NO_LINES,
    observer: {
      route: (info) => ({ ended: (call) => finishTrace(call, info) }),
      inbound: (info) => ({ ended: (call) => finishTrace(call, info) }),
      event: () => {},
    },
  };
}

function commonOf({ telemetry: { tracing } }: RouteInfo | InboundInfo, options: TracerOptions): Common {
  return { attributes: selfAttributes(options, tracing.istioTags), tags: compileTags(tracing.customTags, options.formatter) };
}

/** Where a span stands, for the one that is begun below it. */
interface Parent {
  readonly reference: SpanReference | undefined;
  readonly tracestate: string;
  /** undefined: nobody has decided whether the trace is kept. */
  readonly sampled: boolean | undefined;
  /** Bits of `Format`: how it was written, where it was. */
  readonly formats: number;
  readonly context: Context;
}

const rootIn = (within: Context, sampled?: boolean): Parent => ({
  reference: undefined,
  tracestate: '',
  sampled,
  formats: 0,
  context: within,
});

/** The program's own word for this call, then the span it works in, then the request it serves. */
function parentOf(call: Call, within: Context, mine: Served | undefined): Parent {
  if (saysTrace(call)) {
    const own = readTrace(call);
    if (own.span !== undefined) return remoteParent(own, within);
  }
  const active = trace.getSpanContext(within);
  if (active !== undefined && trace.isSpanContextValid(active)) {
    const sampled = (active.traceFlags & SAMPLED) !== 0;
    const came = mine?.trace.span;
    const reference = referenceTo(active);
    // The API of OpenTelemetry has no word for it.
    const random = came?.traceId === reference.traceId ? came.flags & RANDOM : 0;
    return {
      reference: { ...reference, flags: reference.flags | random },
      tracestate: tracestateOf(active),
      sampled,
      formats: 0,
      context: within,
    };
  }
  return mine === undefined ? rootIn(within) : remoteParent(mine.trace, within);
}

function remoteParent({ span, sampled, tracestate, formats }: TraceHeaders, within: Context = ROOT_CONTEXT): Parent {
  return { reference: span, sampled, tracestate, formats, context: within };
}

/** How spans of one side begin. */
interface Beginning {
  readonly kind: SpanKind;
  readonly attributes: (call: Call) => Attributes;
  /** Drawn where nobody has decided. */
  readonly kept: () => boolean;
}

interface Begun {
  /** undefined: the trace is not kept, and only its ids go on. */
  readonly span: Span | undefined;
  /** In place of the span. */
  readonly unkept: Span;
  readonly reference: SpanReference;
  readonly tracestate: string;
}

/** A span where its trace is kept; else ids alone, which cost a tenth of one. */
function begin(sdk: SdkTracer, parent: Parent, call: Call, { kind, attributes, kept }: Beginning): Begun {
  const { reference, sampled, tracestate } = parent;
  const random = (reference?.flags ?? 0) & RANDOM;
  if (!(sampled ?? kept())) {
    const unkept = new UnkeptSpan(reference?.traceId, random, tracestate);
    return { span: undefined, unkept, reference: unkept, tracestate };
  }
  const remote = reference === undefined ? undefined : { ...spanContextOf(reference, tracestate), traceFlags: SAMPLED };
  const known = trace.getSpanContext(parent.context)?.spanId === reference?.spanId;
  const within = remote === undefined || known ? parent.context : trace.setSpanContext(parent.context, { ...remote, isRemote: true });
  const span = sdk.startSpan(spanName(call), { kind, attributes: attributes(call) }, choose(within));
  const own = span.spanContext();
  const begun = { reference: { ...referenceTo(own), flags: (own.traceFlags & SAMPLED) | random }, tracestate: tracestateOf(own) };
  return { span: span.isRecording() ? span : undefined, unkept: span, ...begun };
}

const referenceTo = ({ traceId, spanId, traceFlags }: SpanContext): SpanReference => ({ traceId, spanId, flags: traceFlags });

const tracestateOf = ({ traceState }: SpanContext): string => traceState?.serialize() ?? '';

function spanContextOf({ traceId, spanId, flags }: SpanReference, tracestate: string): SpanContext {
  const traceFlags = flags & SAMPLED;
  return tracestate === ''
    ? { traceId, spanId, traceFlags }
    : { traceId, spanId, traceFlags, traceState: new MemberList(parseTracestate(tracestate) ?? []) };
}

const isKind = (span: Span | undefined, kind: SpanKind): boolean =>
  span !== undefined && span.isRecording() && (span as { readonly kind?: SpanKind }).kind === kind;

/** Server spans made here: a request may be served in the context of another one (`inject` of Fastify, a connection both came on). */
const ours = new WeakSet<Span>();

function hasSpan(): boolean {
  const active = trace.getSpan(context.active());
  return isKind(active, SpanKind.SERVER) && !ours.has(active!);
}

/** Somebody's instrumentation of a client made it for this very call: ours are never active. */
const isTellingOfThis = (span: Span): boolean => isKind(span, SpanKind.CLIENT);

/** No span is made here, so that of the caller stays the parent; or the one the program works in. */
function handOn(call: Call, within: Context, mine: Served | undefined, company: Company, { formats }: Propagators): OutboundTrace {
  const active = trace.getSpanContext(within);
  if (active !== undefined && trace.isSpanContextValid(active)) {
    const lines = handedOn(call, linesOf(referenceTo(active), tracestateOf(active), formats | (mine?.trace.formats ?? 0)));
    return new OutboundTrace(referenceTo(active), company.requestId, new Outgoing(call, lines, company), true);
  }
  const lines = handedOn(call, mine?.trace.lines ?? NO_LINES);
  return new OutboundTrace(mine?.trace.span, company.requestId, new Outgoing(call, lines, company), false);
}

function companyOf(call: Call, within: Context, mine: Served | undefined, { baggage }: Propagators): Company {
  const said = call.header(REQUEST_ID_HEADER);
  const requestId = said === undefined ? (mine?.requestId ?? newRequestId()) : readRequestId(call);
  const own = said !== undefined;
  const entries = propagation.getBaggage(within);
  // Unchanged it goes on as it came, whatever of it nobody here could read.
  const unchanged = entries === undefined || entries === mine?.entries;
  return { requestId, own, baggage: unchanged ? (mine?.baggage ?? '') : baggage ? formatBaggage(entries) : '' };
}

const MOST_FORWARDED = 16;
/** RFC 9110 tokens, lower-case. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** What belongs to one request alone, and what the mesh says itself. */
const OF_ONE_REQUEST =
  /^(?:host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|content-.*|proxy-.*|if-.*|range|x-inmesh-.*|traceparent|tracestate|baggage|b3|x-b3-.*|x-request-id|grpc-.*|accept-encoding)$/;

function forwardable(names: readonly string[]): readonly string[] {
  if (names.length > MOST_FORWARDED)
    throw new MeshError(
      'MISUSE',
      `tracing.forward names ${names.length} headers; ${MOST_FORWARDED} are the most, for all calls carry them`,
    );
  return names.map((name) => {
    const lower = name.toLowerCase();
    if (!NAME.test(lower)) throw new MeshError('MISUSE', `tracing.forward: "${name}" is no name of a header`);
    if (OF_ONE_REQUEST.test(lower))
      throw new MeshError('MISUSE', `tracing.forward: "${name}" belongs to one request, or is handed on by itself: leave it out`);
    return lower;
  });
}
