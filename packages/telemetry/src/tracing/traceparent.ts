import { RANDOM, SAMPLED, type SpanReference } from './span-reference.ts';

// W3C Trace Context level 2, §3.2: version, trace-id, parent-id, trace-flags. Lower-case only, no id all zero; of version 00 nothing follows,
// and version ff is none. Tested, not matched: it is asked of every request, and taking the parts apart costs more.
const TRACEPARENT =
  /^(?!ff)(?:00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$|(?!00)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$)/;

/** undefined if it is not one: several of them, joined with `,`, are none. */
export function parseTraceparent(text: string): SpanReference | undefined {
  return TRACEPARENT.test(text) ? new Traceparent(text) : undefined;
}

/** Takes apart what it was given when it is asked: where a trace is only handed on, nobody does. */
class Traceparent implements SpanReference {
  readonly #text: string;
  readonly flags: number;

  constructor(text: string) {
    this.#text = text;
    // §3.3: what later versions mean by further bits is not ours to say.
    this.flags = Number.parseInt(text.slice(53, 55), 16) & (SAMPLED | RANDOM);
  }

  get traceId(): string {
    return this.#text.slice(3, 35);
  }

  get spanId(): string {
    return this.#text.slice(36, 52);
  }
}

const FLAGS = ['00', '01', '02', '03'] as const;

export function formatTraceparent({ traceId, spanId, flags }: SpanReference): string {
  return `00-${traceId}-${spanId}-${FLAGS[flags & (SAMPLED | RANDOM)]!}`;
}
