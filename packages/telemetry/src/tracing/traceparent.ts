import { RANDOM, SAMPLED, type SpanReference } from './span-reference.ts';

// W3C Trace Context level 2, §3.2: version, trace-id, parent-id, trace-flags. Lower-case only; of version 00 nothing follows.
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

const ZERO_TRACE = '0'.repeat(32);
const ZERO_SPAN = '0'.repeat(16);

/** undefined if it is not one: several of them, joined with `,`, are none. */
export function parseTraceparent(text: string): SpanReference | undefined {
  const [, version, traceId, spanId, flags, rest] = TRACEPARENT.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return undefined;
  if (traceId === ZERO_TRACE || spanId === ZERO_SPAN) return undefined;
  // §3.3: what later versions mean by further bits is not ours to say.
  return { traceId, spanId, flags: Number.parseInt(flags, 16) & (SAMPLED | RANDOM) };
}

const FLAGS = ['00', '01', '02', '03'] as const;

export function formatTraceparent({ traceId, spanId, flags }: SpanReference): string {
  return `00-${traceId}-${spanId}-${FLAGS[flags & (SAMPLED | RANDOM)]!}`;
}
