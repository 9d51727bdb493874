import { type Member, parseMember } from '@inmesh/policy';

/** What a machine says of itself. */
export interface Registration {
  /** Host of the service it is a member of, in lower case. */
  readonly service: string;
  readonly namespace: string;
  readonly workload: string;
  /** Port name → number under which callers address the service; one that is not named is that of its members. */
  readonly servicePorts: Readonly<Record<string, number>>;
  /** It is forgotten when nothing was heard of it for this long. */
  readonly leaseSeconds: number;
  readonly member: Member & { readonly address: string };
}

export type ReadRegistration =
  { readonly ok: true; readonly registration: Registration } | { readonly ok: false; readonly problems: readonly string[] };

const LEASE_SECONDS = 30;
const SHORTEST_LEASE = 1;
const LONGEST_LEASE = 86_400;

const HOST = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
const PORT_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Reads the body of a registration: the fields of a WorkloadEntry, `health`, and `service`, `namespace`, `workload`, `servicePorts`,
 * `leaseSeconds`. A service without a dot is one of its namespace, as in Kubernetes. An address that is left out is `from`, where the
 * request came from.
 */
export function readRegistration(value: unknown, { domain, from }: { readonly domain: string; readonly from: string }): ReadRegistration {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { ok: false, problems: ['the body is no JSON object'] };
  const { service, namespace = 'default', workload = '', servicePorts = {}, leaseSeconds = LEASE_SECONDS, ...rest } = value as Record<string, unknown>; // prettier-ignore
  const problems: string[] = [];
  const host = typeof service === 'string' ? service.toLowerCase() : '';
  if (!HOST.test(host)) problems.push('service must be the host that callers call, such as reviews or reviews.shop.svc.cluster.local');
  if (typeof namespace !== 'string' || !LABEL.test(namespace)) problems.push('namespace must be a DNS label, such as shop');
  if (typeof workload !== 'string' || workload.length > 253) problems.push('workload must be a name');
  if (typeof leaseSeconds !== 'number' || !(leaseSeconds >= SHORTEST_LEASE && leaseSeconds <= LONGEST_LEASE))
    problems.push(`leaseSeconds must be from ${SHORTEST_LEASE} to ${LONGEST_LEASE}`);
  if (!isPorts(servicePorts)) problems.push('servicePorts must map names of ports to numbers from 1 to 65535');
  const parsed = parseMember({ address: from, ...rest });
  if (!parsed.ok) problems.push(...parsed.problems);
  if (problems.length > 0 || !parsed.ok) return { ok: false, problems };
  const { address = from, ports } = parsed.member;
  const unfit = [...Object.keys(ports), ...Object.keys(servicePorts as object)].find((name) => !PORT_NAME.test(name));
  if (unfit !== undefined) return { ok: false, problems: [`"${unfit}" is no name of a port: write such as http, or grpc-api`] };
  if (Object.keys(ports).length === 0 && !address.startsWith('unix:'))
    return { ok: false, problems: ['ports is empty: name the ports it listens on, as in { "http": 8080 }'] };
  return {
    ok: true,
    registration: {
      service: host.includes('.') ? host : `${host}.${String(namespace)}.svc.${domain}`,
      namespace: String(namespace),
      workload: String(workload),
      servicePorts: servicePorts as Record<string, number>,
      leaseSeconds: Number(leaseSeconds),
      member: { ...parsed.member, address },
    },
  };
}

const isPorts = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.entries(value).every(
    ([name, port]) => name !== '__proto__' && typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535,
  );
