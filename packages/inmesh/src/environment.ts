import { parseLocality, type Workload } from '@inmesh/policy';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** What a process can find out about itself: identity as the platform tells it. Every field may be missing. */
export type FoundWorkload = { -readonly [Key in keyof Workload]?: Workload[Key] };

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Who am I? From Istio's and Kubernetes' own variables and files, then OTEL_*, then the host name. First found wins;
 * options of createMesh beat all of it.
 */
export function detectWorkload(env: Env = process.env, read: (path: string) => string | undefined = readIfThere): FoundWorkload {
  const otel = otelAttributes(env['OTEL_RESOURCE_ATTRIBUTES'] ?? '');
  const labels = {
    ...parseLabels(read('/etc/istio/pod/labels') ?? read('/etc/podinfo/labels') ?? ''),
    ...parsePairs(env['INMESH_LABELS'] ?? ''),
  };
  const locality = env['INMESH_LOCALITY'] ?? labels['topology.istio.io/locality'] ?? labels['istio-locality']?.replaceAll('.', '/');
  return clean({
    name:
      env['INMESH_WORKLOAD'] ??
      env['ISTIO_META_WORKLOAD_NAME'] ??
      env['OTEL_SERVICE_NAME'] ??
      otel['service.name'] ??
      labels['service.istio.io/workload-name'] ??
      labels['app'] ??
      withoutReplicaSetHash(env['POD_NAME'] ?? hostname()),
    namespace:
      env['INMESH_NAMESPACE'] ??
      env['POD_NAMESPACE'] ??
      otel['service.namespace'] ??
      read('/var/run/secrets/kubernetes.io/serviceaccount/namespace')?.trim(),
    labels: Object.keys(labels).length > 0 ? labels : undefined,
    locality: locality === undefined ? undefined : parseLocality(locality),
    network: env['ISTIO_META_NETWORK'] ?? labels['topology.istio.io/network'],
    cluster: env['ISTIO_META_CLUSTER_ID'] ?? otel['k8s.cluster.name'],
    serviceAccount: env['INMESH_SERVICE_ACCOUNT'] ?? env['SERVICE_ACCOUNT'],
    node: env['ISTIO_META_NODE_NAME'] ?? env['NODE_NAME'],
  });
}

/** Words with commas between. */
export const listOf = (text = ''): readonly string[] =>
  text.split(',').map((word) => word.trim()).filter((word) => word !== ''); // prettier-ignore

/** Deployments name their pods `workload-<replica set hash>-<pod hash>`. */
function withoutReplicaSetHash(pod: string): string {
  return /^(.+)-[0-9a-f]{8,10}-[0-9a-z]{5}$/.exec(pod)?.[1] ?? pod;
}

/** The downward API writes `key="value"`, one a line. */
function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const match = /^([^=]+)="(.*)"$/.exec(line.trim());
    if (match !== null) labels[match[1]!] = match[2]!.replaceAll('\\"', '"');
  }
  return labels;
}

function parsePairs(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split(',')
      .flatMap((pair) => (pair.includes('=') ? [[pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1).trim()]] : [])),
  );
}

function otelAttributes(text: string): Record<string, string> {
  return Object.fromEntries(Object.entries(parsePairs(text)).map(([key, value]) => [key, decode(value)]));
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function clean(found: Record<string, unknown>): FoundWorkload {
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined && value !== '')) as FoundWorkload;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
