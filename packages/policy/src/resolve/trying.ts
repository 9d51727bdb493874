import type { ClusterPolicy, Model, Route, VirtualHost, Workload } from '../model.ts';
import { parse } from '../parse/index.ts';
import { resolve } from './resolve.ts';
import { workload } from './workload.ts';

/** For tests: YAML to model, and short ways to what is looked for in it. */
export function modelOf(yaml: string | readonly string[], who: Partial<Workload> = {}): Model {
  const text = typeof yaml === 'string' ? yaml : yaml.join('\n---\n');
  const parsed = parse([{ file: 'test.yaml', text }]);
  if (!parsed.ok) throw new Error(parsed.problems.map(({ resource, path, message }) => `${resource} ${path}: ${message}`).join('\n'));
  return resolve(parsed.document, workload(who));
}

/** The virtual host a client finds under a name and a port; wildcards only as written. */
export const hostAt = (model: Model, domain: string, port: number | null): VirtualHost | undefined =>
  model.hosts.find((host) => host.port === port && host.domains.includes(domain));

export function routesAt(model: Model, domain: string, port: number | null = 80): readonly Route[] {
  const host = hostAt(model, domain, port);
  if (host === undefined) throw new Error(`no host ${domain}:${port}; there are ${model.hosts.map(({ name }) => name).join(', ')}`);
  return host.routes;
}

/** `cluster×weight`, or `cluster!status` where it is missing; or the kind of another action. */
export const targetsOf = ({ action }: Route): string =>
  action.kind === 'forward'
    ? action.destinations
        .map(({ cluster, weight, missing }) => `${cluster}${missing === null ? `×${weight}` : `!${missing.status}`}`)
        .join(' ')
    : action.kind;

export function clusterAt(model: Model, name: string): ClusterPolicy {
  const found = model.clusters.find((cluster) => cluster.name === name);
  if (found === undefined) throw new Error(`no cluster ${name}; there are ${model.clusters.map((cluster) => cluster.name).join(', ')}`);
  return found;
}

/** A Kubernetes Service; ports are `number` or `name:number`. */
export const service = (
  name: string,
  { namespace = 'default', ports = ['http:80'], spec = {}, metadata = {} }: ServiceGiven = {},
): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, ...metadata },
    spec: {
      ports: ports.map((port) => {
        const [label = '', number] = port.split(':');
        return number === undefined ? { port: Number(label) } : { name: label, port: Number(number) };
      }),
      ...spec,
    },
  });

interface ServiceGiven {
  readonly namespace?: string;
  readonly ports?: readonly string[];
  readonly spec?: object;
  readonly metadata?: object;
}

const istio =
  (kind: string) =>
  (name: string, spec: object, metadata: object = {}): string =>
    JSON.stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name, namespace: 'default', ...metadata }, spec });

export const virtualService = istio('VirtualService');
export const destinationRule = istio('DestinationRule');
export const serviceEntry = istio('ServiceEntry');
export const workloadEntry = istio('WorkloadEntry');
export const workloadGroup = istio('WorkloadGroup');
export const sidecar = istio('Sidecar');

const gatewayApi =
  (kind: string) =>
  (name: string, spec: object, metadata: object = {}): string =>
    JSON.stringify({ apiVersion: 'gateway.networking.k8s.io/v1', kind, metadata: { name, namespace: 'default', ...metadata }, spec });

export const httpRoute = gatewayApi('HTTPRoute');
export const grpcRoute = gatewayApi('GRPCRoute');
export const backendTlsPolicy = gatewayApi('BackendTLSPolicy');

const security =
  (kind: string) =>
  (name: string, spec: object, metadata: object = {}): string =>
    JSON.stringify({ apiVersion: 'security.istio.io/v1', kind, metadata: { name, namespace: 'default', ...metadata }, spec });

export const peerAuthentication = security('PeerAuthentication');
export const requestAuthentication = security('RequestAuthentication');
export const authorizationPolicy = security('AuthorizationPolicy');

export const telemetry = (name: string, spec: object, metadata: object = {}): string =>
  JSON.stringify({ apiVersion: 'telemetry.istio.io/v1', kind: 'Telemetry', metadata: { name, namespace: 'default', ...metadata }, spec });

export const objective = (name: string, spec: object, metadata: object = {}): string =>
  JSON.stringify({
    apiVersion: 'inmesh.dev/v1',
    kind: 'ServiceLevelObjective',
    metadata: { name, namespace: 'default', ...metadata },
    spec,
  });

export const meshConfig = (spec: object): string =>
  JSON.stringify({ apiVersion: 'inmesh.dev/v1', kind: 'MeshConfig', metadata: { name: 'mesh' }, spec });

export const hedgePolicy = (name: string, spec: object, metadata: object = {}): string =>
  JSON.stringify({ apiVersion: 'inmesh.dev/v1', kind: 'HedgePolicy', metadata: { name, namespace: 'default', ...metadata }, spec });

/** A timestamp: the smaller, the older. */
export const aged = (days: number): { readonly creationTimestamp: string } => ({
  creationTimestamp: new Date(Date.UTC(2020, 0, 1 + days)).toISOString(),
});

/** `http[]` with one route to a destination. */
export const to = (host: string, more: object = {}): object => ({ route: [{ destination: { host, ...more } }] });
