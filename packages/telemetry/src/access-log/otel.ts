import type { EndedCall } from '@inmesh/core';
import type { AccessLogSink } from '@inmesh/policy';
import type * as Api from '@opentelemetry/api';
import type { CallInfo } from '../facts.ts';
import type { Lost } from './batch.ts';
import { asItIs, compileJson, compileText } from './format.ts';
import type { FormatTools } from './operators.ts';

type OtelSink = Extract<AccessLogSink, { readonly kind: 'otel' }>;

/** Records that may wait until the API is loaded: that takes milliseconds, once. */
const MOST_WAITING = 1000;

type Emit = (api: typeof Api) => void;

/** Hands records to the logs API of OpenTelemetry, which does nothing until the program registers an SDK. It is loaded when the first rule asks for it. */
export class Otel {
  readonly #load: () => Promise<typeof Api>;
  readonly #lost: Lost;
  #api: typeof Api | undefined = undefined;
  #waiting: Emit[] | undefined = undefined;
  #failed = '';

  constructor(load: () => Promise<typeof Api>, lost: Lost) {
    this.#load = load;
    this.#lost = lost;
  }

  /** What is done with a call that a rule lets through. */
  compile({ logName, body, attributes }: OtelSink, tools: FormatTools): (call: EndedCall, info: CallInfo, endedAt: number) => void {
    const text = compileText(body, false, tools, asItIs);
    const values = compileJson(attributes, true, tools);
    void this.#ready();
    return (call, info, endedAt) => {
      const record = {
        timestamp: endedAt - call.ms,
        observedTimestamp: endedAt,
        body: text(call, info, endedAt),
        attributes: values(call, info, endedAt) as Api.LogRecord['attributes'],
      };
      const ids = tools.traceOf(call);
      this.#emit(({ logs, trace, ROOT_CONTEXT, SeverityNumber, TraceFlags }) => {
        const context =
          ids === undefined ? undefined : trace.setSpanContext(ROOT_CONTEXT, { ...ids, traceFlags: TraceFlags.SAMPLED, isRemote: true });
        logs.getLogger(logName).emit({
          ...record,
          severityNumber: SeverityNumber.INFO,
          severityText: 'INFO',
          ...(context === undefined ? {} : { context }),
        });
      });
    };
  }

  #emit(emit: Emit): void {
    if (this.#api !== undefined) emit(this.#api);
    else if (this.#failed !== '' || (this.#waiting?.length ?? 0) >= MOST_WAITING)
      this.#lost(1, this.#failed || 'the API is still being loaded');
    else (this.#waiting ??= []).push(emit);
  }

  #loading: Promise<void> | undefined = undefined;

  #ready(): Promise<void> {
    return (this.#loading ??= this.#load().then(
      (api) => {
        this.#api = api;
        this.#flush((emit) => emit(api));
      },
      (error: unknown) => {
        this.#failed = `@opentelemetry/api cannot be loaded: ${(error as Error).message}`;
        this.#flush(() => this.#lost(1, this.#failed));
      },
    ));
  }

  #flush(each: (emit: Emit) => void): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const emit of waiting) each(emit);
  }

  /** Nothing waits any more. What the SDK holds is its own to flush. */
  async close(): Promise<void> {
    await this.#loading;
  }
}
