import type { Model, ServicePort } from '@inmesh/policy';

const chosen = new WeakMap<Model, Map<string, number>>();

/**
 * The port of a service that is called by its name alone, as clients of gRPC call it: its port for gRPC, else for HTTP/2, else its only one, else 80. Of several
 * that would do, the lowest.
 */
export function grpcPortOf(model: Model, host: string): number {
  let ports = chosen.get(model);
  if (ports === undefined) chosen.set(model, (ports = new Map()));
  let port = ports.get(host);
  if (port === undefined) ports.set(host, (port = find(model, host)));
  return port;
}

const LIKELY: readonly (readonly ServicePort['protocol'][])[] = [
  ['GRPC'],
  ['HTTP2'],
  ['HTTP', 'HTTPS', 'GRPC_WEB', 'UNSUPPORTED', 'TCP', 'TLS'],
];

function find({ hosts, services }: Model, host: string): number {
  const known = hosts.find(({ domains, service }) => service !== null && domains.includes(host));
  const ports = [...(services.find((service) => service.host === known?.service)?.ports ?? [])].sort((a, b) => a.number - b.number);
  for (const protocols of LIKELY) {
    const fits = ports.filter(({ protocol }) => protocols.includes(protocol));
    if (fits.length > 0) return fits[0]!.number;
  }
  return 80;
}
