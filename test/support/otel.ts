import { context, propagation, trace } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { InMemorySpanExporter, type ReadableSpan, type Sampler, SimpleSpanProcessor } from '@opentelemetry/sdk-trace';

/** An SDK that keeps what it would send. */
export interface KeptSpans extends AsyncDisposable {
  /** Waits until a span with this name, or this many spans, are there. */
  spans(): ReadableSpan[];
  reset(): void;
}

/** Registers the real SDK. What it samples: all that it is asked for, unless said otherwise. */
export function startSdk({ sampler }: { readonly sampler?: Sampler } = {}): KeptSpans {
  const exporter = new InMemorySpanExporter();
  const sdk = new NodeSDK({
    serviceName: 'client',
    autoDetectResources: false,
    metricReaders: [],
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
    ...(sampler === undefined ? {} : { sampler }),
  });
  sdk.start();
  return {
    spans: () => exporter.getFinishedSpans(),
    reset: () => exporter.reset(),
    [Symbol.asyncDispose]: async () => {
      await sdk.shutdown();
      trace.disable();
      context.disable();
      propagation.disable();
    },
  };
}
