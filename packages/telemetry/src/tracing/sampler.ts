import { type Attributes, type Context, type Link, type SpanKind, trace } from '@opentelemetry/api';
import { isChosen } from './sdk.ts';
import { SAMPLED } from './span-reference.ts';

/** What the policy in force says of traces that begin in this process (`randomSamplingPercentage`); Istio's default until one is. */
export const policySampling = { percent: 1 };

/** The SDK's `Sampler`, as far as it is needed here; decisions are those of its `SamplingDecision`. */
export interface PolicySampler {
  shouldSample(
    within: Context,
    traceId: string,
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    links: Link[],
  ): { readonly decision: 0 | 2 };
  toString(): string;
}

const DROP = 0;
const KEEP = 2;

/**
 * Keeps what the policy keeps: spans of the mesh, of which it has decided already, children of kept ones, and of traces that the program begins
 * by itself the policy's share, by trace id, so that no other draw is needed.
 */
export function policySampler(): PolicySampler {
  return {
    shouldSample: (within, traceId) => {
      const parent = trace.getSpanContext(within);
      if (parent !== undefined && trace.isSpanContextValid(parent)) return { decision: (parent.traceFlags & SAMPLED) === 0 ? DROP : KEEP };
      if (isChosen(within)) return { decision: KEEP };
      // As TraceIdRatioBased: the right-most 7 bytes are random (Trace Context level 2).
      const drawn = Number.parseInt(traceId.slice(-13), 16) / 16 ** 13;
      return { decision: drawn * 100 < policySampling.percent ? KEEP : DROP };
    },
    toString: () => 'PolicySampler',
  };
}
