import type { Resource } from '../document.ts';
import type { EndpointSliceSpec, ServiceSpec } from '../kinds/kubernetes.ts';
import { parseProtocol } from '../kinds/parts/protocol.ts';
import type { EndpointSpec, Locality, ServicePort } from '../model.ts';
import { exportToAnnotation, type KnownService, ownAnnotations, trafficDistributionOf } from './known-service.ts';
import { compareText, labelOf } from './order.ts';
import type { Registry } from './registry.ts';
import { locality } from './workload.ts';

// By name: for who reads them from declarations, to find them among all kinds is too deep for the compiler.
export type Service = Resource<'Service', ServiceSpec>;
export type EndpointSlice = Resource<'EndpointSlice', EndpointSliceSpec>;
/** What is asked of a service to know its members. */
type Members = {
  readonly metadata: Pick<Service['metadata'], 'namespace'>;
  readonly spec: Pick<Service['spec'], 'ports' | 'clusterIP' | 'clusterIPs' | 'publishNotReadyAddresses'>;
};
type SliceEndpoint = EndpointSlice['spec']['endpoints'][number];

/** What is read of a pod, wherever it comes from. */
export interface KnownPod {
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: { readonly nodeName?: string | undefined; readonly serviceAccountName?: string | undefined };
}

/** What the members of a service are known by beside their address: pods and nodes by name. */
export interface Machines {
  pod(namespace: string, name: string): KnownPod | undefined;
  node(name: string): { readonly metadata: { readonly labels: Readonly<Record<string, string>> } } | undefined;
}

export function machinesOf(registry: Registry): Machines {
  const pods = new Map(registry.of('Pod').map((pod) => [`${pod.metadata.namespace}/${pod.metadata.name}`, pod]));
  const nodes = new Map(registry.of('Node').map((node) => [node.metadata.name, node]));
  return { pod: (namespace, name) => pods.get(`${namespace}/${name}`), node: (name) => nodes.get(name) };
}

/** Services of Kubernetes with the members their EndpointSlices name. */
export function kubernetesServices(registry: Registry, machines: Machines, domain: string): KnownService[] {
  const slices = Map.groupBy(
    registry.of('EndpointSlice'),
    ({ metadata }) => `${metadata.namespace}/${metadata.labels['kubernetes.io/service-name'] ?? ''}`,
  );
  return registry.of('Service').map((service) => {
    const { name, namespace } = service.metadata;
    return kubernetesService(service, slices.get(`${namespace}/${name}`), machines, domain);
  });
}

function kubernetesService(
  resource: Service,
  slices: readonly EndpointSlice[] | undefined,
  machines: Machines,
  domain: string,
): KnownService {
  const { spec, metadata } = resource;
  const host = `${metadata.name}.${metadata.namespace}.svc.${domain}`.toLowerCase();
  const external =
    spec.type === 'ExternalName' && spec.externalName !== undefined ? spec.externalName.toLowerCase().replace(/\.$/, '') : undefined;
  const ports = spec.ports.map((port): ServicePort => ({ number: port.port, name: port.name ?? '', protocol: protocolOf(port) }));
  const headless = spec.clusterIP === 'None';
  const endpoints =
    external !== undefined ? [named(external, ports.map(({ number }) => [number, number]), metadata.namespace)]
      : slices !== undefined ? membersOf(resource, slices, machines)
        : headless ? lookedUp(resource, host)
          : []; // prettier-ignore
  return {
    registry: 'Kubernetes',
    registered: false,
    createdAt: metadata.createdAt,
    exportTo: exportToAnnotation(metadata.annotations),
    trafficDistribution: trafficDistributionOf(spec.trafficDistribution, metadata.annotations),
    publishNotReady: spec.publishNotReadyAddresses,
    aliasOf: external ?? null,
    service: {
      host,
      name: metadata.name,
      namespace: metadata.namespace,
      resource: labelOf(resource),
      location: external === undefined ? 'internal' : 'external',
      resolution:
        slices !== undefined && external === undefined && endpoints.every(({ host: address }) => !isName(address)) ? 'static' : 'dns',
      ports,
      addresses: headless ? [] : [...new Set([...spec.clusterIPs, ...(spec.clusterIP === undefined ? [] : [spec.clusterIP]), ...spec.externalIPs])].filter((ip) => ip !== 'None'), // prettier-ignore
      headless,
      endpoints,
      subjectAltNames: [],
      annotations: ownAnnotations(metadata.annotations),
    },
  };
}

const isName = (address: string): boolean => !address.includes(':') && !/^[\d.]+$/.test(address);

/** An endpoint that is a name to look up. */
const named = (host: string, ports: readonly (readonly [number, number])[], namespace: string): EndpointSpec => ({
  host,
  ports: Object.fromEntries(ports),
  labels: {},
  locality: locality(),
  network: '',
  weight: 1,
  serviceAccount: '',
  mtls: false,
  workload: '',
  namespace,
  node: '',
  health: 'healthy',
});

/** DNS of a headless service names the pods, and nobody translates ports on the way to them. */
function lookedUp({ spec, metadata }: Service, host: string): EndpointSpec[] {
  const ports = spec.ports.map(
    ({ port, targetPort }) => [port, typeof targetPort === 'number' && targetPort > 0 ? targetPort : port] as const,
  );
  return ports.some(([port, target]) => port !== target) ? [named(host, ports, metadata.namespace)] : [];
}

// Ports of protocols in which the server speaks first: looking for HTTP there would hang (Istio kube/inject ConvertProtocol).
const SERVER_FIRST: ReadonlySet<number> = new Set([25, 53, 3306, 27_017]);

const APP_PROTOCOLS: Readonly<Record<string, ServicePort['protocol']>> = {
  'kubernetes.io/h2c': 'HTTP2',
  'kubernetes.io/ws': 'HTTP',
  'kubernetes.io/wss': 'HTTPS',
};

/** appProtocol wins over the port name, whose beginning up to the first `-` counts (Istio kube.ConvertProtocol). */
export function protocolOf(port: {
  readonly name?: string | undefined;
  readonly port: number;
  readonly protocol: string;
  readonly appProtocol?: string | undefined;
}): ServicePort['protocol'] {
  if (port.protocol !== 'TCP') return 'UDP';
  const app = port.appProtocol?.toLowerCase();
  const known = app === undefined || !Object.hasOwn(APP_PROTOCOLS, app) ? undefined : APP_PROTOCOLS[app];
  if (known !== undefined) return known;
  const name = (app ?? port.name ?? '').toLowerCase();
  const word = name.startsWith('grpc-web') ? 'grpc-web' : (name.split('-', 1)[0] ?? '');
  return parseProtocol(word) ?? (SERVER_FIRST.has(port.port) ? 'TCP' : 'UNSUPPORTED');
}

// Most members share them; thousands need not have their own.
const NO_LABELS: EndpointSpec['labels'] = {};
const NOWHERE = locality();

/**
 * Members of all slices of a service, each once: several slices may name one address, and both address families one pod. Those that
 * are not ready are left out, as Istio does, unless the service publishes them.
 */
export function membersOf({ spec, metadata }: Members, slices: readonly EndpointSlice[], machines: Machines): EndpointSpec[] {
  const primary = (spec.clusterIPs[0] ?? spec.clusterIP ?? '').includes(':') ? 'IPv6' : 'IPv4';
  const rank = (slice: EndpointSlice): number => (slice.spec.addressType === primary ? 0 : 1);
  const ordered = slices.toSorted((a, b) => rank(a) - rank(b) || compareText(a.metadata.name, b.metadata.name));
  const byAddress = new Map<string, EndpointSpec[]>();
  const dual = ordered.some(({ spec: { addressType } }) => addressType !== ordered[0]?.spec.addressType);
  const familyOf = new Map<string, string>();
  for (const slice of ordered) {
    const ports = portsOf(spec.ports, slice.spec.ports);
    for (const endpoint of slice.spec.endpoints) {
      const host = endpoint.addresses[0];
      const health = healthOf(endpoint, spec.publishNotReadyAddresses);
      if (host === undefined || health === undefined) continue;
      const { targetRef } = endpoint;
      const podName = targetRef?.kind === undefined || targetRef.kind === 'Pod' ? targetRef?.name : undefined;
      if (dual && podName !== undefined) {
        const key = `${targetRef?.namespace ?? metadata.namespace}/${podName}`;
        const family = familyOf.get(key) ?? slice.spec.addressType;
        familyOf.set(key, family);
        if (family !== slice.spec.addressType) continue;
      }
      const member = memberOf(endpoint, host, ports, health, podName, metadata.namespace, machines);
      const present = byAddress.get(host);
      const same = present?.findIndex((other) => other.workload === member.workload && agree(other.ports, ports)) ?? -1;
      if (present === undefined) byAddress.set(host, [member]);
      else if (same < 0) present.push(member);
      else present[same] = { ...present[same]!, ports: { ...present[same]!.ports, ...ports } };
    }
  }
  return [...byAddress.values()].flat();
}

const agree = (a: EndpointSpec['ports'], b: EndpointSpec['ports']): boolean =>
  Object.keys(b).every((port) => a[port] === undefined || a[port] === b[port]);

/** Ports meet by name; where both sides have just one, the name does not matter. */
function portsOf(service: Service['spec']['ports'], slice: EndpointSlice['spec']['ports']): Record<string, number> {
  const ports: Record<string, number> = {};
  for (const { name = '', port } of service) {
    const match = slice.find((one) => (one.name ?? '') === name) ?? (service.length === 1 && slice.length === 1 ? slice[0] : undefined);
    if (match?.port !== undefined) ports[port] = match.port;
  }
  return ports;
}

/**
 * Istio leaves members that are not ready out of the cluster, unless the service publishes them. A terminating one that
 * still serves takes calls while nobody else can, as behind kube-proxy (KEP-1669).
 */
function healthOf({ conditions }: SliceEndpoint, publishNotReady: boolean): EndpointSpec['health'] | undefined {
  const { ready = true, serving = ready, terminating = false } = conditions;
  if (ready) return 'healthy';
  if (serving && terminating) return 'draining';
  return publishNotReady ? 'unhealthy' : undefined;
}

function memberOf(
  endpoint: SliceEndpoint,
  host: string,
  ports: EndpointSpec['ports'],
  health: EndpointSpec['health'],
  podName: string | undefined,
  namespace: string,
  machines: Machines,
): EndpointSpec {
  const pod = podName === undefined ? undefined : machines.pod(endpoint.targetRef?.namespace ?? namespace, podName);
  const labels = pod?.metadata.labels ?? NO_LABELS;
  const node = endpoint.nodeName ?? pod?.spec.nodeName ?? '';
  return {
    host,
    ports,
    labels,
    locality: placeOf(labels, node, endpoint.zone, machines),
    network: labels['topology.istio.io/network'] ?? '',
    weight: 1,
    serviceAccount: pod?.spec.serviceAccountName ?? '',
    mtls: saysMtls(labels) ?? false,
    workload: podName === undefined ? '' : workloadOf(podName, labels),
    namespace: endpoint.targetRef?.namespace ?? namespace,
    node,
    health,
    ...(endpoint.hostname === undefined ? {} : { hostname: endpoint.hostname }),
  };
}

const TLS_MODE = 'security.istio.io/tlsMode';

/** Whether a workload says of itself, by Istio's label, that it takes mutual TLS; undefined: it says nothing. */
export const saysMtls = (labels: EndpointSpec['labels']): boolean | undefined =>
  labels[TLS_MODE] === undefined ? undefined : labels[TLS_MODE] === 'istio';

/** The label `istio-locality` of the pod, else the labels of its node, else the zone of the slice (Istio getPodLocality). */
export function placeOf(labels: Readonly<Record<string, string>>, node: string, zone: string | undefined, machines: Machines): Locality {
  const given = placeByLabel(labels['istio-locality']);
  if (given !== undefined) return given;
  if (node === '' && zone === undefined) return NOWHERE;
  const of = machines.node(node)?.metadata.labels ?? {};
  return locality({
    region: of['topology.kubernetes.io/region'] ?? of['failure-domain.beta.kubernetes.io/region'] ?? '',
    zone: of['topology.kubernetes.io/zone'] ?? of['failure-domain.beta.kubernetes.io/zone'] ?? zone ?? '',
    subzone: of['topology.istio.io/subzone'] ?? '',
  });
}

/** What the label `istio-locality` says: a label cannot hold `/`, so that dots may stand for it. */
export function placeByLabel(given: string | undefined): Locality | undefined {
  if (given === undefined || given === '') return undefined;
  const [region = '', zone = '', subzone = ''] = given.split(given.includes('/') ? '/' : '.');
  return locality({ region, zone, subzone });
}

/** The Deployment, StatefulSet, DaemonSet or Job a pod's name tells of (Istio GetWorkloadMetaFromPod), else the pod itself. */
export function workloadOf(pod: string, labels: Readonly<Record<string, string>>): string {
  const hash = labels['pod-template-hash'];
  if (hash !== undefined && hash !== '') {
    const at = pod.lastIndexOf(`-${hash}-`);
    if (at > 0) return pod.slice(0, at);
  }
  if (labels['statefulset.kubernetes.io/pod-name'] !== undefined) return pod.replace(/-\d+$/, '');
  // Only DaemonSets have a revision besides.
  if (labels['controller-revision-hash'] !== undefined) return pod.replace(/-[a-z0-9]{5}$/, '');
  return labels['batch.kubernetes.io/job-name'] ?? labels['job-name'] ?? pod;
}
