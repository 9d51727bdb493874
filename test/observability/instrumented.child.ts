import type * as GrpcJs from '@grpc/grpc-js';
import { GrpcInstrumentation } from '@opentelemetry/instrumentation-grpc';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace';
import { createRequire } from 'node:module';
import type { EchoClient } from '../support/echo-grpc.ts';

// A program with OpenTelemetry's own instrumentation beside the mesh. Started as its documentation says: before all else is loaded.
const { kind, policy, stranger } = JSON.parse(process.argv[2]!) as { kind: 'http' | 'undici' | 'grpc'; policy: string; stranger: number };
const INSTRUMENTATIONS = {
  http: () => [new HttpInstrumentation()],
  undici: () => [new UndiciInstrumentation()],
  grpc: () => [new GrpcInstrumentation()],
};
const exporter = new InMemorySpanExporter();
new NodeSDK({
  autoDetectResources: false,
  metricReaders: [],
  spanProcessors: [new SimpleSpanProcessor({ exporter })],
  instrumentations: INSTRUMENTATIONS[kind](),
}).start();
const require = createRequire(import.meta.url);
require('http');
// Its instrumentation patches what is required: clients of modules get theirs by a loader of its own.
const grpc = require('@grpc/grpc-js') as typeof GrpcJs;

const { createMesh, memorySource } = await import('inmesh');
const { echo, ECHO } = await import('../support/echo-grpc.ts');
const mesh = await createMesh({
  policy: memorySource([{ file: 'test.yaml', text: policy }]),
  workload: { name: 'client', namespace: 'default' },
});

const listening = await mesh.listen((incoming, response) => {
  const calls = incoming.url === '/outside' ? [`http://127.0.0.1:${stranger}/`] : ['http://next.example.com/', 'http://next.example.com/'];
  void (async () => {
    for (const url of calls) await (await mesh.fetch(url)).text();
    response.end('done');
  })();
}, 0);
const Stub = grpc.makeClientConstructor(ECHO, 'Echo');
const onwards = new Stub('mesh:///behind.example.com', mesh.grpc.credentials(), mesh.grpc.options()) as unknown as EchoClient['stub'];
const front = await echo('front', {
  server: mesh.grpc.server(),
  methods: {
    Say: (_call: unknown, callback: (error: null, answer: object) => void) => {
      onwards.Say({ text: 'on' }, new grpc.Metadata(), {}, (_error, answer) => callback(null, answer!));
    },
  },
});

/** A span as the test looks at it. */
const told = () =>
  exporter.getFinishedSpans().map((span) => ({
    kind: span.kind,
    scope: span.instrumentationScope.name,
    traceId: span.spanContext().traceId,
    spanId: span.spanContext().spanId,
    parent: span.parentSpanContext?.spanId,
    cluster: span.attributes['upstream_cluster'],
  }));

process.on('message', () => process.send!(told()));
process.send!({ http: listening.port, grpc: front.port });
