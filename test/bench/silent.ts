/**
 * The mesh as it would be if it told nothing: no metrics, no traces, nothing handed on. What those cost is measured against it; nobody
 * can have it so.
 */
import { Mesh } from '@inmesh/core';
import { parse, resolve, workload } from '@inmesh/policy';

export async function silentMesh(yaml: string): Promise<Mesh> {
  const parsed = parse([{ file: 'bench.yaml', text: yaml }]);
  if (!parsed.ok) throw new Error('the policy of the bench is wrong');
  return Mesh.create(resolve(parsed.document, workload({ name: 'bench', namespace: 'default' })), parsed.document.fingerprint);
}

/** OpenTelemetry's SDK, with what it would send thrown away. */
export async function traced(): Promise<void> {
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const { BatchSpanProcessor } = await import('@opentelemetry/sdk-trace');
  const exporter = {
    export: (_spans: unknown, done: (result: { code: number }) => void) => done({ code: 0 }),
    shutdown: () => Promise.resolve(),
  };
  new NodeSDK({
    serviceName: 'bench',
    autoDetectResources: false,
    metricReaders: [],
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  }).start();
}
