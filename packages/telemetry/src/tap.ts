import { type Clock, type EndedCall, type Observer, type RouteObserver, systemClock } from '@inmesh/core';
import type { Workload } from '@inmesh/policy';
import { hostname as machine } from 'node:os';
import { compileJson, type JsonFormat } from './access-log/format.ts';
import { ISTIO_JSON } from './access-log/istio.ts';
import { callerUri, type CallInfo, type TraceIds, traceOfCall } from './facts.ts';

export interface TapOptions {
  /** Who this process is. */
  readonly workload: Workload;
  /** For names of endpoints' certificates. Default `cluster.local`. */
  readonly trustDomain?: string;
  /** `trace_id`. Default: of the trace the request says it belongs to (`traceparent`). */
  readonly traceOf?: (call: EndedCall) => TraceIds | undefined;
  readonly clock?: Clock;
}

/** A call that ended: Istio's JSON access log of it, and who called whom. What is not known is null. */
export type TappedCall = Readonly<Record<string, unknown>>;

export interface Tap extends Observer {
  /** Tells `listener` of each call that ends from now on, until it is closed. What it throws is its own. */
  tap(listener: (call: TappedCall) => void): { close(): void };
}

/** Shows calls as they end to whoever looks at the moment. While nobody does, nothing is made of them. */
export function createTap({ workload, trustDomain = 'cluster.local', traceOf = traceOfCall, clock = systemClock }: TapOptions): Tap {
  const listeners = new Set<(call: TappedCall) => void>();
  const tools = { workload, trustDomain, clock, hostname: machine(), environment: {}, traceOf };
  let format: JsonFormat | undefined;
  const tell = (call: EndedCall, info: CallInfo): void => {
    format ??= compileJson(ISTIO_JSON, false, tools);
    const client = info.side === 'client';
    const line = format(call, info, clock.wall());
    const tapped: TappedCall = {
      ...line,
      path: typeof line['path'] === 'string' ? withoutSecrets(line['path']) : null,
      reporter: client ? 'source' : 'destination',
      source_workload: client ? workload.name : (call.call?.peer?.metadata?.workload ?? null),
      source_principal: callerUri(call, info, workload, trustDomain) ?? null,
      destination_service: info.service === '' ? null : info.service,
      destination_workload: client ? (call.endpoint?.workload ?? null) : workload.name,
      trace_id: traceOf(call)?.traceId ?? null,
    };
    for (const listener of listeners) {
      try {
        listener(tapped);
      } catch {
        // Of one listener the others, and the call, need not know.
      }
    }
  };
  const observe = (info: CallInfo): RouteObserver => ({
    ended: (call) => {
      if (listeners.size > 0) tell(call, info);
    },
  });
  return {
    route: observe,
    inbound: observe,
    event: () => {},
    tap: (listener) => {
      // A function of its own: the same listener may be given twice.
      const own = (call: TappedCall): void => listener(call);
      listeners.add(own);
      return { close: () => listeners.delete(own) };
    },
  };
}

/** Parameters whose values let their owner in somewhere. */
const SECRET = /token|secret|passw|pwd|api-?_?key|auth|signature|^sig$|session|credential|jwt|^code$|^key$/i;
/** A token under any name. */
const LOOKS_SECRET = /^(?:eyJ|Bearer\b|Basic\b)/i;

/** The path with what people who look over each other's shoulder shall not see left out. */
function withoutSecrets(path: string): string {
  const at = path.indexOf('?');
  if (at < 0) return path;
  const kept = path
    .slice(at + 1)
    // Some write `;` between them (HTML 4, appendix B.2.2).
    .split(/([&;])/)
    .map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 0) return LOOKS_SECRET.test(decoded(pair)) ? HIDDEN : pair;
      const name = pair.slice(0, equals);
      return SECRET.test(decoded(name)) || LOOKS_SECRET.test(decoded(pair.slice(equals + 1))) ? `${name}=${HIDDEN}` : pair;
    });
  return `${path.slice(0, at)}?${kept.join('')}`;
}

const HIDDEN = '***';

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
