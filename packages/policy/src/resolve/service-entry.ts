import type { ResourceOf } from '../kinds/index.ts';
import { REGISTERED_LABEL } from '../kinds/service-entry.ts';
import type { WorkloadEntrySpec } from '../kinds/workload-entry.ts';
import type { EndpointSpec, Probe, Service } from '../model.ts';
import { type KnownService, ownAnnotations, trafficDistributionOf } from './known-service.ts';
import { type Machines, placeOf, saysMtls, workloadOf } from './kubernetes.ts';
import { byAge, labelOf } from './order.ts';
import type { Registry } from './registry.ts';
import { parseLocality } from './workload.ts';
import { selects } from './visibility.ts';
import { type Probes, probesOf } from './workload-group.ts';

type ServiceEntry = ResourceOf<'ServiceEntry'>;
type Port = ServiceEntry['spec']['ports'][number];

/** A workload a ServiceEntry may select: a WorkloadEntry, or a pod whose address some EndpointSlice tells. */
interface Candidate {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  endpoint(ports: readonly Port[]): EndpointSpec;
}

/** Services that ServiceEntries declare: one for each host; entries of one namespace for the same host are one service. */
export function entryServices(registry: Registry, machines: Machines): KnownService[] {
  const entries = registry.of('ServiceEntry').toSorted((a, b) => byAge(a.metadata, b.metadata));
  const probes = probesOf(registry);
  const candidates = entries.some(({ spec }) => spec.workloadSelector !== undefined)
    ? candidatesOf(registry, machines, probes)
    : new Map<string, readonly Candidate[]>();
  const services = new Map<string, KnownService>();
  for (const entry of entries) {
    const selected = entry.spec.workloadSelector;
    const declared =
      selected === undefined
        ? entry.spec.endpoints.flatMap((one) => {
            const { namespace } = entry.metadata;
            return entryEndpoint(one, one.labels, entry.spec.ports, '', namespace, probes(namespace, one.labels));
          })
        : (candidates.get(entry.metadata.namespace) ?? [])
            .filter(({ labels }) => selects(selected.labels, labels))
            .map((one) => one.endpoint(entry.spec.ports));
    // What is outside the mesh has no identity of it, whatever its labels say.
    const outside = entry.spec.location === 'MESH_EXTERNAL';
    const members = outside ? declared.map((one) => (one.mtls ? { ...one, mtls: false } : one)) : declared;
    for (const host of entry.spec.hosts) {
      const added = serviceOf(entry, host.toLowerCase(), members);
      const key = `${added.registered ? '*' : ''}${added.service.namespace}/${added.service.host}`;
      const present = services.get(key);
      services.set(key, present === undefined ? added : merged(present, added));
    }
  }
  return [...services.values()];
}

const RESOLUTIONS = { NONE: 'none', STATIC: 'static', DNS: 'dns', DNS_ROUND_ROBIN: 'dnsRoundRobin', DYNAMIC_DNS: 'dynamicDns' } as const;

function serviceOf(entry: ServiceEntry, host: string, members: readonly EndpointSpec[]): KnownService {
  const { spec, metadata } = entry;
  const byName = spec.resolution === 'DNS' || spec.resolution === 'DNS_ROUND_ROBIN';
  // Without endpoints the host itself is looked up; only a port translation needs an entry to say so.
  const translated =
    byName && members.length === 0 && spec.ports.some(({ number, targetPort }) => targetPort !== undefined && targetPort !== number);
  return {
    registry: 'ServiceEntry',
    registered: metadata.labels[REGISTERED_LABEL] !== undefined,
    createdAt: metadata.createdAt,
    exportTo: spec.exportTo,
    trafficDistribution: trafficDistributionOf(undefined, metadata.annotations),
    publishNotReady: false,
    aliasOf: null,
    service: {
      host,
      name: metadata.name,
      namespace: metadata.namespace,
      resource: labelOf(entry),
      location: spec.location === 'MESH_INTERNAL' ? 'internal' : 'external',
      resolution: RESOLUTIONS[spec.resolution],
      ports: spec.ports.map(({ number, name, protocol }) => ({ number, name, protocol })),
      addresses: spec.addresses,
      headless: false,
      endpoints: translated ? entryEndpoint({ address: host, ports: {} }, {}, spec.ports, '', metadata.namespace) : members,
      subjectAltNames: spec.subjectAltNames,
      annotations: ownAnnotations(metadata.annotations),
    },
  };
}

/** The older entry keeps its ports and resolution, the younger adds ports and members (Istio canMergeServices). */
function merged(present: KnownService, added: KnownService): KnownService {
  if (present.service.resolution !== added.service.resolution) return present;
  const ports = new Set(present.service.ports.map(({ number }) => number));
  const service: Service = {
    ...present.service,
    ports: [...present.service.ports, ...added.service.ports.filter(({ number }) => !ports.has(number))],
    addresses: [...new Set([...present.service.addresses, ...added.service.addresses])],
    endpoints: [...present.service.endpoints, ...added.service.endpoints],
    subjectAltNames: [...new Set([...present.service.subjectAltNames, ...added.service.subjectAltNames])],
    annotations: { ...added.service.annotations, ...present.service.annotations },
  };
  return { ...present, service };
}

/** A WorkloadEntry's own port beats targetPort, which beats the number. Without an address (another network) nobody can be called. */
function entryEndpoint(
  entry: Partial<WorkloadEntrySpec>,
  labels: Readonly<Record<string, string>>,
  ports: readonly Port[],
  workload: string,
  namespace: string,
  probe?: Probe,
): EndpointSpec[] {
  if (entry.address === undefined) return [];
  const own = entry.ports ?? {};
  return [
    {
      host: entry.address,
      ports: Object.fromEntries(ports.map(({ number, name, targetPort }) => [number, own[name] ?? targetPort ?? number])),
      labels,
      locality:
        entry.locality === undefined && labels['istio-locality'] !== undefined
          ? placeOf(labels, '', undefined, NO_MACHINES)
          : parseLocality(entry.locality),
      network: entry.network ?? labels['topology.istio.io/network'] ?? '',
      weight: entry.weight ?? 1,
      serviceAccount: entry.serviceAccount ?? '',
      // An account is an identity: who has one can show it (Istio getTLSModeFromWorkloadEntry).
      mtls: saysMtls(labels) ?? entry.serviceAccount !== undefined,
      workload,
      namespace,
      node: '',
      health: 'healthy',
      ...(probe === undefined ? {} : { probe }),
    },
  ];
}

/** An endpoint that is declared outside the document, by the fields of a WorkloadEntry; undefined: it has no address. */
export const entryMember = (
  entry: Partial<WorkloadEntrySpec>,
  ports: readonly Port[],
  workload: string,
  namespace: string,
): EndpointSpec | undefined => entryEndpoint(entry, entry.labels ?? {}, ports, workload, namespace)[0];

const NO_MACHINES: Machines = { pod: () => undefined, node: () => undefined };

function candidatesOf(registry: Registry, machines: Machines, probes: Probes): ReadonlyMap<string, readonly Candidate[]> {
  const entries = registry.of('WorkloadEntry').flatMap(({ spec, metadata }): Candidate[] => {
    // A selector sees the labels of the resource as well as those of its spec (Istio's WorkloadInstance).
    const labels = { ...metadata.labels, ...spec.labels };
    if (spec.address === undefined) return [];
    const { name, namespace, annotations } = metadata;
    const probe = probes(namespace, labels, annotations);
    return [{ namespace, labels, endpoint: (ports) => entryEndpoint(spec, labels, ports, name, namespace, probe)[0]! }];
  });
  return Map.groupBy([...entries, ...podCandidates(registry, machines)], ({ namespace }) => namespace);
}

/** Pods have no address in a manifest; the EndpointSlices of their services do. Ports are those of the ServiceEntry. */
function podCandidates(registry: Registry, machines: Machines): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const slice of registry.of('EndpointSlice'))
    for (const { addresses, conditions, targetRef, nodeName, zone } of slice.spec.endpoints) {
      const host = addresses[0];
      const namespace = targetRef?.namespace ?? slice.metadata.namespace;
      const pod = targetRef?.name === undefined ? undefined : machines.pod(namespace, targetRef.name);
      if (host === undefined || pod === undefined || conditions.ready === false || found.has(`${namespace}/${pod.metadata.name}`)) continue;
      const { labels, name } = pod.metadata;
      const node = nodeName ?? pod.spec.nodeName ?? '';
      const endpoint = (ports: readonly Port[]): EndpointSpec => ({
        host,
        ports: Object.fromEntries(ports.map((port) => [port.number, port.targetPort ?? port.number])),
        labels,
        locality: placeOf(labels, node, zone, machines),
        network: labels['topology.istio.io/network'] ?? '',
        weight: 1,
        serviceAccount: pod.spec.serviceAccountName ?? '',
        mtls: saysMtls(labels) ?? false,
        workload: workloadOf(name, labels),
        namespace,
        node,
        health: 'healthy',
      });
      found.set(`${namespace}/${name}`, { namespace, labels, endpoint });
    }
  return [...found.values()];
}
