import type { EndpointSpec, Service } from '@inmesh/policy';
import type { Resolver } from '../ports/resolver.ts';
import type { Endpoint } from './endpoint.ts';

const UNIX = 'unix://';

/** The members a document names for one service port. One that does not listen there (no entry in `ports`) is not among them. */
export function staticEndpoints(service: Service, port: number): Endpoint[] {
  const endpoints: Endpoint[] = [];
  for (const spec of service.endpoints) {
    const endpoint = toEndpoint(spec, spec.ports[port]);
    if (endpoint !== undefined) endpoints.push(endpoint);
  }
  return endpoints;
}

/**
 * `ip:port`, `[ip6]:port`, `name:port`, or `unix:///path` for `unix://` addresses of a WorkloadEntry, which have no port.
 * A host given in brackets, as people copy it from URLs, means the same as one without.
 */
function toEndpoint(spec: EndpointSpec, port: number | undefined): Endpoint | undefined {
  const { labels, locality, network, weight, serviceAccount, mtls, workload, namespace, node, health, hostname, probe } = spec;
  const rest = {
    labels,
    locality,
    network,
    weight,
    serviceAccount,
    mtls,
    workload,
    namespace,
    node,
    health,
    ...(hostname === undefined ? {} : { hostname }),
    ...(probe === undefined ? {} : { probe }),
  };
  if (spec.host.startsWith(UNIX)) return { address: spec.host, host: spec.host.slice(UNIX.length), port: 0, ...rest };
  if (port === undefined) return undefined;
  const host = spec.host.startsWith('[') ? spec.host.slice(1, -1) : spec.host;
  return { address: addressOf(host, port), host, port, ...rest };
}

/** Host and port as one key; IPv6 in brackets. */
export function addressOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** ServiceEntry `resolution: STATIC` and Kubernetes services: the document itself names the members. */
export const staticResolver: Resolver = {
  name: 'static',
  handles: ({ service }) => service.resolution === 'static',
  watch: ({ service, port }, onChange) => {
    onChange({ state: 'bound', endpoints: staticEndpoints(service, port.number) });
    return { close: () => {} };
  },
};
