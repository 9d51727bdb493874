import {
  canonicalRevision,
  canonicalService,
  type Locality,
  parseLocality,
  placeByLabel,
  workload,
  type Workload,
  workloadOf,
} from '@inmesh/policy';
import type { Whereabouts } from '@inmesh/discovery';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { claimsOf, clusterEnv, jsonPairs, otelAttributes, pairsOf, podLabels } from './environment-formats.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** One thing a process knows about itself, and who says so: `ISTIO_META_WORKLOAD_NAME`, `label app`, `the host name` … */
export interface Fact {
  readonly value: string;
  readonly from: string;
}

/**
 * What a process knows about itself, by field: name, namespace, serviceAccount, node, cluster, network, locality
 * (`region/zone/subzone`), canonicalService, canonicalRevision, and `label KEY` for each label.
 */
export type Facts = Readonly<Record<string, Fact>>;

/** Outside of itself a process is told by: */
export interface Surroundings {
  readonly env: Env;
  /** Content of a file; undefined if it cannot be read. */
  readonly read: (path: string) => string | undefined;
  readonly hostname: () => string;
}

/** Where a pod's labels are mounted: as Istio's injector does it, and as many do by hand. */
const POD_LABELS = ['/etc/istio/pod/labels', '/etc/podinfo/labels'];
/** Where Istio keeps what `istioctl x workload entry configure` wrote for a machine; ISTIO_CLUSTER_CONFIG says another place. */
const CLUSTER_ENV = '/var/lib/istio/envoy/cluster.env';
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
const NOBODY = 'nobody';
const OPTION = 'createMesh({ workload })';

/** Who this process is, and who says so. */
export interface Self {
  readonly workload: Workload;
  readonly facts: Facts;
}

type Candidate = Fact | undefined;

/**
 * Who am I? What the program says, then inmesh's own variables, then what Istio's injector, Kubernetes and a machine's cluster.env
 * say, then OTEL_*, last the host name. First found wins, field by field and label by label; `told` is what registries say of the place, where nobody else says it.
 */
export function detectWorkload(given: Partial<Workload> = {}, around: Surroundings = system, told: readonly Whereabouts[] = []): Self {
  const { read } = around;
  const env = variables(around);
  const otel = otelOf(around.env);
  const token = serviceAccountToken(read);
  const labels = labelsOf(given, env, otel, read);
  const plain = plainOf(labels);
  const label = (key: string): Candidate => fact(plain[key], `label ${key}`);

  const pod = first(env('POD_NAME'), fact(token['pod'], `${SERVICE_ACCOUNT}/token`), otel('k8s.pod.name'));
  const facts: Record<string, Fact> = {};
  const text = (field: string, option: string | undefined, otherwise: Fact, ...candidates: Candidate[]): string => {
    const found = first(option === undefined ? undefined : { value: option, from: OPTION }, ...candidates) ?? otherwise;
    facts[field] = found;
    return found.value;
  };
  const unknown: Fact = { value: '', from: NOBODY };
  const host = around.hostname();
  const name = text(
    'name', given.name, { value: withoutHashes(host), from: 'the host name' },
    env('INMESH_WORKLOAD'), env('ISTIO_META_WORKLOAD_NAME'), lastPart(env('ISTIO_META_OWNER')), label('service.istio.io/workload-name'),
    pod === undefined ? undefined : { value: ownerOf(pod.value, plain), from: pod.from },
    otel('k8s.deployment.name'), otel('k8s.statefulset.name'), otel('k8s.daemonset.name'), otel('k8s.job.name'),
    fact(around.env['OTEL_SERVICE_NAME'], 'OTEL_SERVICE_NAME'), otel('service.name'), label('app'),
  ); // prettier-ignore
  const namespace = text(
    'namespace', given.namespace, { value: 'default', from: 'the default' },
    env('INMESH_NAMESPACE'), env('ISTIO_META_NAMESPACE'), env('POD_NAMESPACE'),
    fact(read(`${SERVICE_ACCOUNT}/namespace`)?.trim(), `${SERVICE_ACCOUNT}/namespace`),
    otel('k8s.namespace.name'), otel('service.namespace'),
  ); // prettier-ignore
  const serviceAccount = text(
    'serviceAccount', given.serviceAccount, unknown,
    env('INMESH_SERVICE_ACCOUNT'), env('ISTIO_META_SERVICE_ACCOUNT'), env('SERVICE_ACCOUNT'), fact(token['serviceAccount'], `${SERVICE_ACCOUNT}/token`),
  ); // prettier-ignore
  const node = text(
    'node', given.node, unknown,
    env('INMESH_NODE'), env('ISTIO_META_NODE_NAME'), env('NODE_NAME'), fact(token['node'], `${SERVICE_ACCOUNT}/token`), otel('k8s.node.name'), ...told.map(({ node, from }) => fact(node, from)),
  ); // prettier-ignore
  const cluster = text('cluster', given.cluster, unknown, env('INMESH_CLUSTER'), env('ISTIO_META_CLUSTER_ID'), label('topology.istio.io/cluster'), otel('k8s.cluster.name')); // prettier-ignore
  const network = text('network', given.network, unknown, env('INMESH_NETWORK'), env('ISTIO_META_NETWORK'), label('topology.istio.io/network'), ...told.map(({ network: of, from }) => fact(of, from))); // prettier-ignore
  const place = localityOf(given.locality, env, plain, otel, told);
  facts['locality'] = { value: place.locality === undefined ? '' : textOf(place.locality), from: place.from };
  for (const [key, value] of Object.entries(labels)) facts[`label ${key}`] = value;
  const canonical = canonicalService(plain, name);
  facts['canonicalService'] = { value: canonical.value, from: canonical.label === '' ? 'the name' : `label ${canonical.label}` };
  const revision = canonicalRevision(plain);
  facts['canonicalRevision'] = { value: revision.value, from: revision.label === '' ? 'the default' : `label ${revision.label}` };
  return {
    workload: workload({ name, namespace, serviceAccount, node, cluster, network, labels: plain, locality: place.locality }),
    facts,
  };
}

/** Does nobody say all of where the process is? */
export const unsaid = ({ facts }: Self): boolean => ['locality', 'network', 'node'].some((field) => facts[field]?.from === NOBODY);

/** Words with commas between. */
export const listOf = (text = ''): readonly string[] =>
  text.split(',').map((word) => word.trim()).filter((word) => word !== ''); // prettier-ignore

const fact = (value: string | undefined, from: string): Candidate => (value === undefined || value === '' ? undefined : { value, from });

const first = (...candidates: readonly Candidate[]): Candidate => candidates.find((candidate) => candidate !== undefined);

/** Variables of the process, else those of a machine's cluster.env: the file is what Istio's start script would have set. */
function variables({ env, read }: Surroundings): (name: string) => Candidate {
  const path = env['ISTIO_CLUSTER_CONFIG'] ?? CLUSTER_ENV;
  const file = clusterEnv(read(path) ?? '');
  return (name) => first(fact(env[name], name), fact(file[name], `${name} in ${path}`));
}

function otelOf(env: Env): (name: string) => Candidate {
  const attributes = otelAttributes(env['OTEL_RESOURCE_ATTRIBUTES'] ?? '');
  return (name) => fact(attributes[name], `${name} in OTEL_RESOURCE_ATTRIBUTES`);
}

/** The token is Kubernetes' own word about the pod; it is only read, and sent nowhere. */
function serviceAccountToken(read: Surroundings['read']): Readonly<Record<'pod' | 'node' | 'serviceAccount', string | undefined>> {
  const kubernetes = claimsOf(read(`${SERVICE_ACCOUNT}/token`)?.trim() ?? '')['kubernetes.io'] as
    Partial<Record<'pod' | 'node' | 'serviceaccount', { readonly name?: unknown }>> | undefined;
  const nameOf = (key: 'pod' | 'node' | 'serviceaccount'): string | undefined => {
    const name = kubernetes?.[key]?.name;
    return typeof name === 'string' ? name : undefined;
  };
  return { pod: nameOf('pod'), node: nameOf('node'), serviceAccount: nameOf('serviceaccount') };
}

function labelsOf(
  given: Partial<Workload>,
  env: (name: string) => Candidate,
  otel: (name: string) => Candidate,
  read: Surroundings['read'],
): Readonly<Record<string, Fact>> {
  const labels: Record<string, Fact> = {};
  // Who comes first wins, label by label.
  const add = (some: Readonly<Record<string, string>>, from: string): void => {
    for (const [key, value] of Object.entries(some)) if (!Object.hasOwn(labels, key)) labels[key] = { value, from };
  };
  // Those of the program are all there are, as they always were.
  if (given.labels !== undefined) {
    add(given.labels, OPTION);
    return labels;
  }
  add(pairsOf(env('INMESH_LABELS')?.value ?? ''), 'INMESH_LABELS');
  const json = env('ISTIO_METAJSON_LABELS');
  add(jsonPairs(json?.value ?? ''), json?.from ?? '');
  for (const path of POD_LABELS) add(podLabels(read(path) ?? ''), path);
  // A machine has no labels of that name, and Istio tells it these.
  const canonical = (key: string, candidate: Candidate): void => {
    if (candidate !== undefined) add({ [key]: candidate.value }, candidate.from);
  };
  canonical('service.istio.io/canonical-name', env('CANONICAL_SERVICE'));
  canonical('service.istio.io/canonical-revision', env('CANONICAL_REVISION'));
  if (canonicalRevision(plainOf(labels)).label === '') canonical('service.istio.io/canonical-revision', otel('service.version'));
  return labels;
}

const plainOf = (labels: Readonly<Record<string, Fact>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(labels).map(([key, { value }]) => [key, value]));

/** An option is whole: what it leaves out is unknown. Labels of topology are on pods from Kubernetes 1.35 on (KEP-4742). */
function localityOf(
  given: Locality | undefined,
  env: (name: string) => Candidate,
  labels: Readonly<Record<string, string>>,
  otel: (name: string) => Candidate,
  told: readonly Whereabouts[],
): { readonly locality: Locality | undefined; readonly from: string } {
  if (given !== undefined) return { locality: given, from: OPTION };
  const own = env('INMESH_LOCALITY');
  if (own !== undefined) return { locality: parseLocality(own.value), from: own.from };
  for (const key of ['topology.istio.io/locality', 'istio-locality']) {
    const locality = placeByLabel(labels[key]);
    if (locality !== undefined) return { locality, from: `label ${key}` };
  }
  const topology = { region: labels['topology.kubernetes.io/region'] ?? '', zone: labels['topology.kubernetes.io/zone'] ?? '', subzone: labels['topology.istio.io/subzone'] ?? '' }; // prettier-ignore
  if (topology.region !== '' || topology.zone !== '') return { locality: topology, from: 'labels topology.kubernetes.io/region and /zone' };
  const [region, zone] = [otel('cloud.region'), otel('cloud.availability_zone')];
  if (region === undefined && zone === undefined) {
    const found = told.find(({ locality }) => locality !== undefined && textOf(locality) !== '');
    return { locality: found?.locality, from: found?.from ?? NOBODY };
  }
  return { locality: { region: region?.value ?? '', zone: zone?.value ?? '', subzone: '' }, from: 'cloud.region and cloud.availability_zone in OTEL_RESOURCE_ATTRIBUTES' }; // prettier-ignore
}

const textOf = ({ region, zone, subzone }: Locality): string => `${region}/${zone}/${subzone}`.replace(/\/+$/, '');

/** `kubernetes://apis/apps/v1/namespaces/shop/deployments/reviews` */
const lastPart = (owner: Candidate): Candidate => owner && fact(owner.value.slice(owner.value.lastIndexOf('/') + 1), owner.from);

/** By the labels controllers put on their pods; without them, by the look of the name. */
function ownerOf(pod: string, labels: Readonly<Record<string, string>>): string {
  const owner = workloadOf(pod, labels);
  return owner === pod ? withoutHashes(pod) : owner;
}

/** Deployments name their pods `workload-<replica set hash>-<pod hash>`, from alphabets without vowels. */
function withoutHashes(pod: string): string {
  return /^(.+)-[4-9bcdf]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$/.exec(pod)?.[1] ?? pod;
}

const system: Surroundings = {
  env: process.env,
  read: (path) => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return undefined;
    }
  },
  hostname,
};
