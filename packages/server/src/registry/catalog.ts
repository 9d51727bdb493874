import type { Registration } from './registration.ts';

/** A service as its members describe it: what a ServiceEntry needs. */
export interface CatalogEntry {
  readonly host: string;
  readonly namespace: string;
  readonly ports: readonly { readonly name: string; readonly number: number; readonly protocol: string }[];
}

/** `registrations`: all of one service, at least one; who came first names its namespace. */
export function catalogEntry(host: string, registrations: readonly Registration[]): CatalogEntry {
  const names = [...new Set(registrations.flatMap(({ member: { ports }, servicePorts }) => [...Object.keys(ports), ...Object.keys(servicePorts)]))].sort(); // prettier-ignore
  const taken = new Set<number>();
  const ports = names.flatMap((name) => {
    const number = portOf(name, registrations);
    // Two names for one number are one port: the first of them.
    if (taken.size === taken.add(number).size) return [];
    return [{ name, number, protocol: protocolOf(name) }];
  });
  return { host, namespace: registrations[0]!.namespace, ports };
}

/** The port callers address: what most members say, and where they say nothing, what most of them listen on; of equals the lowest. */
function portOf(name: string, registrations: readonly Registration[]): number {
  const said = registrations.flatMap(({ servicePorts }) => servicePorts[name] ?? []);
  const numbers = said.length > 0 ? said : registrations.flatMap(({ member: { ports } }) => ports[name] ?? []);
  const votes = new Map<number, number>();
  for (const number of numbers) votes.set(number, (votes.get(number) ?? 0) + 1);
  return [...votes].sort(([a, votesA], [b, votesB]) => votesB - votesA || a - b)[0]![0];
}

const PROTOCOLS: ReadonlySet<string> = new Set(['http', 'http2', 'https', 'grpc', 'tcp', 'tls', 'mongo', 'mysql', 'redis']);

/** By the name of the port up to its first dash, as in Kubernetes; one that says nothing is HTTP, which is what most that register speak. */
function protocolOf(name: string): string {
  if (name.startsWith('grpc-web')) return 'GRPC-WEB';
  const word = name.split('-', 1)[0]!.toLowerCase();
  return PROTOCOLS.has(word) ? word.toUpperCase() : 'HTTP';
}
