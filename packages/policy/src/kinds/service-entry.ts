import * as v from 'valibot';
import { CONSUL_SERVICE_ANNOTATION } from '../registered.ts';
import { documented, defaulted, list, optional, required } from '../schema/fields.ts';
import { exportTarget, isIp, isIpOrCidr, isWildcardHost, oneOf, port } from '../schema/scalars.ts';
import { istioKind, type Check } from './kind.ts';
import { checkExportTo } from './parts/export-to.ts';
import { protocol } from './parts/protocol.ts';
import { workloadSelector } from './parts/selector.ts';
import { checkWorkloadEntry, workloadEntrySchema } from './workload-entry.ts';

const schema = v.object({
  hosts: documented(
    v.pipe(
      v.array(v.string()),
      v.minLength(1, 'is empty\nname at least one host'),
      v.maxLength(256, 'holds more than 256 hosts\nuse several resources'),
    ),
    'Names of the service: full names, or wildcards such as *.example.com.',
    { honoured: 'HGWT' },
  ),
  addresses: list(v.string(), 'Virtual addresses or CIDR ranges under which callers dial it.', { honoured: 'HGWT' }),
  ports: list(
    v.object({
      number: required(port, 'Port callers address.'),
      protocol: defaulted(protocol, 'TCP', 'HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.'),
      name: required(v.string(), 'Name of the port, unique here.'),
      targetPort: optional(port, 'Port of the endpoints.', { default: 'number' }),
    }),
    'Ports of the service.',
    { honoured: 'HGWT' },
  ),
  location: defaulted(
    oneOf('MESH_EXTERNAL', 'MESH_INTERNAL'),
    'MESH_EXTERNAL',
    'Whether the service is outside the mesh; decides about mutual TLS and metrics.',
    {
      honoured: 'HGWT',
    },
  ),
  resolution: defaulted(
    oneOf('NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'),
    'NONE',
    'NONE: call the address the caller asked for. STATIC: the endpoints are addresses. DNS: every address found is an endpoint. DNS_ROUND_ROBIN: each new connection takes the first. DYNAMIC_DNS: look up the name the caller asked for.',
    { honoured: 'HGWT' },
  ),
  endpoints: list(workloadEntrySchema, 'Members of the service. Excludes workloadSelector.', { honoured: 'HGWT' }),
  workloadSelector: optional(workloadSelector, 'Pods and WorkloadEntries of the namespace that are members. Excludes endpoints.', {
    honoured: 'HGWT',
  }),
  exportTo: list(exportTarget, 'Namespaces that see the service: `.` its own, `*` all, `~` none, or names.', {
    default: '["*"]',
    honoured: 'HGWT',
  }),
  subjectAltNames: list(v.string(), 'Names one of which the certificate of the server must carry.', { honoured: 'HGWT' }),
});

/** Label of a ServiceEntry that a registry makes of what is registered: it has no members of its own, and gives way to whatever else declares its hosts. */
export const REGISTERED_LABEL = 'inmesh.dev/registered';

export type ServiceEntrySpec = v.InferOutput<typeof schema>;

const hosts: Check<ServiceEntrySpec> = (spec, report) => {
  const seen = new Set<string>();
  for (const [index, host] of (spec.hosts ?? []).entries()) {
    if (host === undefined) continue;
    const path = ['hosts', index];
    const lower = host.toLowerCase();
    if (host === '*') report.error(path, '"*" is no host of a service', 'name a host, or a wildcard such as *.example.com');
    else if (!isWildcardHost(host))
      report.error(path, `"${host}" is not a host`, 'write a domain name, or a wildcard such as *.example.com');
    else if (seen.size === seen.add(lower).size) report.error(path, `host "${host}" stands twice in hosts`, 'keep one');
    if (isIp(host))
      report.warning(
        path,
        `host "${host}" is an IP address`,
        'callers find the service by name: give it one, and put the address into addresses or endpoints',
      );
  }
};

const ports: Check<ServiceEntrySpec> = (spec, report) => {
  const numbers = new Set<number>();
  const names = new Set<string>();
  for (const [index, entry] of (spec.ports ?? []).entries()) {
    if (entry?.number !== undefined && numbers.size === numbers.add(entry.number).size)
      report.error(['ports', index, 'number'], `port ${entry.number} is declared twice`, 'keep one');
    if (entry?.name === '') report.error(['ports', index, 'name'], 'the port has no name', 'name the port, such as http');
    else if (entry?.name !== undefined && names.size === names.add(entry.name).size)
      report.error(['ports', index, 'name'], `port name "${entry.name}" is used twice`, 'rename one');
    if (spec.resolution === 'NONE' && entry?.targetPort !== undefined && entry.targetPort !== entry.number)
      report.warning(
        ['ports', index, 'targetPort'],
        'targetPort has no meaning with resolution NONE',
        'remove it, or choose STATIC or DNS',
      );
    if (
      spec.resolution === 'DYNAMIC_DNS' &&
      entry?.protocol !== undefined &&
      !['HTTP', 'HTTP2', 'GRPC', 'TLS', 'HTTPS'].includes(entry.protocol)
    )
      report.error(
        ['ports', index, 'protocol'],
        `resolution DYNAMIC_DNS cannot serve ${entry.protocol}`,
        'it needs HTTP, HTTP2, GRPC or TLS: calls that name their host',
      );
  }
};

const addresses: Check<ServiceEntrySpec> = (spec, report) => {
  for (const [index, address] of (spec.addresses ?? []).entries()) {
    if (address === undefined) continue;
    if (!isIpOrCidr(address)) report.error(['addresses', index], `"${address}" is neither an IP address nor a CIDR range`);
    if (spec.resolution === 'DNS_ROUND_ROBIN' && address.includes('/'))
      report.error(['addresses', index], `resolution DNS_ROUND_ROBIN needs addresses, "${address}" is a range`, 'write single addresses');
  }
  const plain = (spec.ports ?? []).some((entry) => entry?.protocol === 'TCP');
  if (plain && (spec.addresses ?? []).length === 0 && spec.resolution === 'NONE')
    report.warning(
      ['addresses'],
      'TCP ports without addresses match every destination of that port',
      'add the addresses callers dial',
      'IST0134',
    );
};

// Istio's ValidateServiceEntry, resolution by resolution.
const members: Check<ServiceEntrySpec> = (spec, report, { annotations, labels }) => {
  const { endpoints = [], resolution } = spec;
  const portNames = new Set((spec.ports ?? []).map((entry) => entry?.name));
  if (spec.workloadSelector !== undefined && endpoints.length > 0)
    report.conflict(['workloadSelector'], 'endpoints exclude workloadSelector', 'keep one of them');
  if (spec.workloadSelector !== undefined && Object.keys(spec.workloadSelector.labels ?? {}).length === 0)
    report.warning(['workloadSelector', 'labels'], 'workloadSelector without labels selects every workload of the namespace', 'add labels');

  for (const [index, entry] of endpoints.entries()) {
    const at = ['endpoints', index];
    checkWorkloadEntry(entry, at, report, resolution !== 'STATIC' && resolution !== 'NONE');
    for (const name of Object.keys(entry?.ports ?? {}))
      if (!portNames.has(name))
        report.error(
          [...at, 'ports', name],
          `the service has no port named "${name}"`,
          `its ports are ${[...portNames].join(', ') || 'none'}`,
        );
    if (entry?.address?.startsWith('unix://') === true) {
      if (resolution !== undefined && resolution !== 'STATIC')
        report.error([...at, 'address'], 'a unix socket needs resolution STATIC', 'change resolution');
      if ((spec.ports ?? []).length > 1)
        report.error([...at, 'address'], 'a unix socket serves one port only', 'split the resource by port');
    }
  }

  const wildcard = (spec.hosts ?? []).findIndex((host) => host?.startsWith('*') === true);
  switch (resolution) {
    case 'NONE':
      if (endpoints.length > 0)
        report.conflict(['endpoints'], 'resolution NONE excludes endpoints', 'choose STATIC or DNS, or remove endpoints');
      break;
    case 'STATIC':
      // Unless its members are registered elsewhere.
      if (
        endpoints.length === 0 &&
        spec.workloadSelector === undefined &&
        annotations[CONSUL_SERVICE_ANNOTATION] === undefined &&
        labels[REGISTERED_LABEL] === undefined
      )
        report.warning(['endpoints'], 'resolution STATIC without endpoints or workloadSelector: nobody can be called', 'add endpoints');
      break;
    case 'DNS':
    case 'DNS_ROUND_ROBIN':
      if (endpoints.length === 0 && wildcard >= 0)
        report.error(
          ['hosts', wildcard],
          `"${spec.hosts?.[wildcard]}" cannot be looked up`,
          'with DNS resolution a wildcard host needs endpoints',
        );
      if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1)
        report.error(['endpoints'], `resolution DNS_ROUND_ROBIN allows one endpoint, there are ${endpoints.length}`, 'use resolution DNS');
      break;
    case 'DYNAMIC_DNS':
      for (const [index, host] of (spec.hosts ?? []).entries())
        if (host !== undefined && !host.startsWith('*'))
          report.error(['hosts', index], `resolution DYNAMIC_DNS is for wildcard hosts, "${host}" is none`, 'use resolution DNS');
      if (endpoints.length > 0) report.conflict(['endpoints'], 'resolution DYNAMIC_DNS excludes endpoints', 'remove them');
      if ((spec.addresses ?? []).length > 0) report.conflict(['addresses'], 'resolution DYNAMIC_DNS excludes addresses', 'remove them');
      if (spec.workloadSelector !== undefined)
        report.conflict(['workloadSelector'], 'resolution DYNAMIC_DNS excludes workloadSelector', 'remove it');
      break;
    case undefined:
  }
};

const visibility: Check<ServiceEntrySpec> = (spec, report) => checkExportTo(spec.exportTo, report, true);

/** A service that Kubernetes does not know. */
export const serviceEntry = istioKind({
  kind: 'ServiceEntry',
  summary: 'A service that Kubernetes does not know, inside or outside the mesh: its names, ports and members.',
  schema,
  checks: [hosts, ports, addresses, members, visibility],
});
