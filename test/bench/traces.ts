import { startOtel } from 'inmesh/otel';

/** An SDK that makes spans and sends them nowhere: what they cost besides is the exporter's. */
export async function startSilentSdk(): Promise<void> {
  const nothing = { onStart: () => {}, onEnd: () => {}, shutdown: () => Promise.resolve(), forceFlush: () => Promise.resolve() };
  await startOtel({ sdk: { spanProcessors: [nothing], metricReaders: [], logRecordProcessors: [] } });
}
