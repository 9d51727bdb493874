import type { ResourceOf } from '../kinds/index.ts';
import type { MachineProbe, Probe } from '../model.ts';
import { byAge } from './order.ts';
import type { Registry } from './registry.ts';
import { selects } from './visibility.ts';

type Labels = Readonly<Record<string, string>>;

/** The probe of a workload of a namespace with these labels, and the annotations of its WorkloadEntry if it has one. */
export type Probes = (namespace: string, labels: Labels, annotations?: Labels) => Probe | undefined;

/** Istio writes it on the entries of workloads that registered themselves. */
const GROUP = 'istio.io/autoRegistrationGroup';

/**
 * Which probe finds out how a workload is: that of the WorkloadGroup its entry names, else that of the group of its namespace all of
 * whose labels it carries; of several the oldest.
 */
export function probesOf(registry: Registry): Probes {
  const groups = registry.of('WorkloadGroup').toSorted((a, b) => byAge(a.metadata, b.metadata));
  if (groups.length === 0) return () => undefined;
  const known = groups.map((group) => ({
    name: group.metadata.name,
    namespace: group.metadata.namespace,
    labels: { ...group.spec.metadata?.labels, ...group.spec.template.labels },
    probe: probeOf(group.spec.probe),
  }));
  return (namespace, labels, annotations = {}) => {
    const named = annotations[GROUP];
    const home = known.filter((group) => group.namespace === namespace);
    const group =
      named === undefined
        ? // A group without labels has nothing by which it could be told whose it is.
          home.find((one) => Object.keys(one.labels).length > 0 && selects(one.labels, labels))
        : home.find(({ name }) => name === named);
    return group?.probe;
  };
}

type ProbeFields = NonNullable<ResourceOf<'WorkloadGroup'>['spec']['probe']>;

/** As callers carry it out: `exec` can only be done on the machine itself, and no policy makes a caller run a command. */
function probeOf(spec: ProbeFields | undefined): Probe | undefined {
  const probe = spec === undefined ? undefined : machineProbe(spec);
  if (probe === undefined || probe.ask.kind === 'exec') return undefined;
  return { ...probe, ask: probe.ask };
}

/** As the machine itself carries it out. 0 is what protobuf makes of a field nobody set. */
export function machineProbe(spec: ProbeFields): MachineProbe | undefined {
  const ask = askOf(spec);
  if (ask === undefined) return undefined;
  return {
    initialDelayMs: (spec.initialDelaySeconds ?? 0) * 1000,
    timeoutMs: (spec.timeoutSeconds || 1) * 1000,
    periodMs: (spec.periodSeconds || 10) * 1000,
    successThreshold: spec.successThreshold || 1,
    failureThreshold: spec.failureThreshold || 3,
    ask,
  };
}

function askOf({ httpGet, tcpSocket, exec, grpc }: ProbeFields): MachineProbe['ask'] | undefined {
  if (httpGet !== undefined) {
    const { port, path = '/', host = null, scheme = 'http', httpHeaders } = httpGet;
    const headers = httpHeaders.map(({ name, value = '' }) => [name, value] as const);
    return { kind: 'http', port, path: path.startsWith('/') ? path : `/${path}`, host, tls: scheme.toLowerCase() === 'https', headers };
  }
  if (tcpSocket !== undefined) return { kind: 'tcp', port: tcpSocket.port };
  if (exec !== undefined) return { kind: 'exec', command: exec.command };
  return grpc === undefined ? undefined : { kind: 'grpc', port: grpc.port ?? null, service: grpc.service ?? '' };
}
