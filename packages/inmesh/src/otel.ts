/**
 * OpenTelemetry for a process of the mesh: `startOtel()` before `createMesh()`, or `node --import inmesh/otel --import inmesh/register app.js`
 * for a program that says nothing of either. What it exports, and where to, is what `OTEL_*` says.
 */
import { MeshError } from '@inmesh/core';
import { canonicalRevision, canonicalService, type Workload } from '@inmesh/policy';
import { policySampler } from '@inmesh/telemetry';
import type { startNodeSdk } from '@opentelemetry/sdk-node';
import { randomUUID } from 'node:crypto';
import { otlpMetrics } from './otel-metrics.ts';
import { findWorkload } from './whereabouts.ts';

type SdkOptions = NonNullable<Parameters<typeof startNodeSdk>[0]>;

export interface OtelOptions {
  /** Who this process is. What is left out is found from the environment, as by `createMesh`. */
  readonly workload?: Partial<Workload>;
  /** Settings of `startNodeSdk` of @opentelemetry/sdk-node, which win over those made here: instrumentations, metric readers, processors. */
  readonly sdk?: SdkOptions;
}

export interface Otel extends AsyncDisposable {
  /** Sends what is still to be sent, and ends. A program that ends by itself need not call it; one that calls `process.exit` must. */
  readonly shutdown: () => Promise<void>;
}

/**
 * Starts OpenTelemetry's SDK. Its resource names the workload as Istio does (OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win); traces that
 * the program begins are kept in the share the policy says, unless OTEL_TRACES_SAMPLER says another; the metrics of the mesh go with those of
 * the program, where OTEL_METRICS_EXPORTER is `otlp`, its default. Throws MISUSE if @opentelemetry/sdk-node
 * is not installed.
 */
export async function startOtel({ workload, sdk = {} }: OtelOptions = {}): Promise<Otel> {
  const { startNodeSdk: start } = await load();
  const { workload: me } = await findWorkload(workload, []);
  const metricReaders = otlpMetrics(import.meta.resolve('@opentelemetry/sdk-node'), process.env);
  const { shutdown } = start({
    resourceAttributes: unsaid(resourceOf(me, process.env), process.env),
    ...(process.env['OTEL_TRACES_SAMPLER'] === undefined ? { sampler: policySampler() } : {}),
    ...(metricReaders === undefined ? {} : { metricReaders: metricReaders as never[] }),
    ...sdk,
  });
  let ended: Promise<void> | undefined;
  const end = (): Promise<void> => (ended ??= shutdown());
  process.once('beforeExit', () => void end());
  return { shutdown: end, [Symbol.asyncDispose]: end };
}

async function load(): Promise<{ readonly startNodeSdk: typeof startNodeSdk }> {
  try {
    return await import('@opentelemetry/sdk-node');
  } catch (error) {
    throw new MeshError('MISUSE', 'inmesh/otel needs OpenTelemetry’s SDK: npm install @opentelemetry/sdk-node@0.301', { cause: error });
  }
}

type Env = Readonly<Record<string, string | undefined>>;

/** The workload in the words of OpenTelemetry's conventions for resources. */
export function resourceOf({ name, namespace, labels, node, cluster }: Workload, env: Env): Record<string, string> {
  const pod = env['POD_NAME'];
  const version = canonicalRevision(labels);
  const all: Record<string, string | undefined> = {
    'service.name': canonicalService(labels, name).value,
    'service.namespace': namespace,
    // `latest` where no label says it is no version.
    'service.version': version.label === '' ? undefined : version.value,
    'service.instance.id': pod === undefined ? randomUUID() : `${namespace}.${pod}`,
    'k8s.pod.name': pod,
  };
  if (pod !== undefined || env['KUBERNETES_SERVICE_HOST'] !== undefined) {
    all['k8s.namespace.name'] = namespace;
    all['k8s.node.name'] = node;
    all['k8s.cluster.name'] = cluster;
  }
  return Object.fromEntries(Object.entries(all).flatMap(([key, value]) => (value === undefined || value === '' ? [] : [[key, value]])));
}

/** Less what the operator says by OpenTelemetry's own variables. */
function unsaid(attributes: Record<string, string>, env: Env): Record<string, string> {
  const said = new Set((env['OTEL_RESOURCE_ATTRIBUTES'] ?? '').split(',').map((pair) => pair.split('=', 1)[0]!.trim()));
  if ((env['OTEL_SERVICE_NAME'] ?? '') !== '') said.add('service.name');
  return Object.fromEntries(Object.entries(attributes).filter(([key]) => !said.has(key)));
}

/** Was this file named on the command line? Then nobody else will start it. */
const isImported = /(?:^|\s)--import[= ]inmesh\/otel(?:\s|$)/.test([...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' '));

if (isImported) await startOtel();
