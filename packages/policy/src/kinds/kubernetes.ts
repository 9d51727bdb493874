import * as v from 'valibot';
import { defaulted, documented, list, mapOf, optional, required, text } from '../schema/fields.ts';
import { oneOf, port, whole } from '../schema/scalars.ts';
import { kubernetesKind } from './kind.ts';

/** Core Kubernetes objects a folder of manifests declares services with. Only what the mesh reads is here; the rest is let through. */

const targetPort = v.union([whole(0, 65_535), v.string()], 'is neither a port number nor a port name');

const serviceSchema = v.object({
  type: defaulted(oneOf('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'), 'ClusterIP', 'ExternalName: an alias of another name.'),
  clusterIP: text('Virtual address; None: headless.'),
  clusterIPs: list(v.string(), 'Virtual addresses of all families.'),
  externalIPs: list(v.string(), 'More addresses.'),
  externalName: text('Name the service is an alias of.'),
  selector: mapOf(v.string(), 'Labels of the pods that are its members.'),
  ports: list(
    v.object({
      name: text('Name; its beginning tells the protocol, such as http-web.'),
      port: required(port, 'Port callers address.'),
      targetPort: optional(targetPort, 'Port number or port name of the pods.', { default: 'port' }),
      protocol: defaulted(oneOf('TCP', 'UDP', 'SCTP'), 'TCP', 'Transport protocol.'),
      appProtocol: text('Application protocol; wins over the name.'),
    }),
    'Ports of the service.',
  ),
  trafficDistribution: text('PreferClose, PreferSameZone or PreferSameNode.'),
  publishNotReadyAddresses: defaulted(v.boolean(), false, 'Endpoints that are not ready count as members.'),
});

export type ServiceSpec = v.InferOutput<typeof serviceSchema>;

/** A service of Kubernetes. */
export const service = kubernetesKind({ kind: 'Service', summary: 'A service of Kubernetes.', schema: serviceSchema });

const endpointSliceSchema = v.object({
  addressType: defaulted(oneOf('IPv4', 'IPv6', 'FQDN'), 'IPv4', 'Kind of the addresses.'),
  endpoints: list(
    v.object({
      addresses: required(v.array(v.string()), 'Addresses; all mean the same endpoint.'),
      conditions: v.optional(
        documented(
          v.object({
            ready: optional(v.boolean(), 'Takes calls.', { default: 'true' }),
            serving: optional(v.boolean(), 'Would take calls.', { default: 'as ready' }),
            terminating: optional(v.boolean(), 'Is about to end.', { default: 'false' }),
          }),
          'State of the endpoint.',
        ),
        {},
      ),
      hostname: text('Host name of the endpoint.'),
      targetRef: optional(
        v.object({ kind: text('Kind of the object behind it.'), name: text('Its name.'), namespace: text('Its namespace.') }),
        'The pod behind it.',
      ),
      nodeName: text('Node it runs on.'),
      zone: text('Zone it runs in.'),
    }),
    'Members of the service.',
  ),
  ports: list(
    v.object({
      name: text('Name of the port of the service.'),
      port: optional(port, 'Port of the endpoints.'),
      protocol: defaulted(oneOf('TCP', 'UDP', 'SCTP'), 'TCP', 'Transport protocol.'),
      appProtocol: text('Application protocol.'),
    }),
    'Ports of the members.',
  ),
});

export type EndpointSliceSpec = v.InferOutput<typeof endpointSliceSchema>;

/** Members of a service; the label `kubernetes.io/service-name` names it. */
export const endpointSlice = kubernetesKind({
  kind: 'EndpointSlice',
  group: 'discovery.k8s.io',
  versions: ['v1'],
  body: 'root',
  summary: 'Members of a Service, which the label kubernetes.io/service-name names.',
  schema: endpointSliceSchema,
});

const podSchema = v.object({
  serviceAccountName: text('Identity of the pod.'),
  nodeName: text('Node it runs on.'),
  hostname: text('Host name of the pod.'),
  containers: list(
    v.object({
      name: text('Name of the container.'),
      ports: list(v.object({ name: text('Name of the port.'), containerPort: required(port, 'Port number.') }), 'Ports of the container.'),
    }),
    'Containers, for the names of their ports.',
  ),
});

/** A pod: its labels make subsets, its node gives its place. */
export const pod = kubernetesKind({ kind: 'Pod', summary: 'A pod: its labels make subsets, its node gives its place.', schema: podSchema });

const nodeSchema = v.object({});

/** A node: its labels give region and zone to its pods. */
export const node = kubernetesKind({
  kind: 'Node',
  clusterScoped: true,
  summary: 'A node: its labels give region and zone to its pods.',
  schema: nodeSchema,
});

const configMapSchema = v.object({ data: mapOf(v.string(), 'Texts by key; ca.crt holds certificates.') });

/** Texts by key: certificates that a BackendTLSPolicy names. */
export const configMap = kubernetesKind({
  kind: 'ConfigMap',
  body: 'root',
  summary: 'Texts by key: certificates that a BackendTLSPolicy names.',
  schema: configMapSchema,
});
