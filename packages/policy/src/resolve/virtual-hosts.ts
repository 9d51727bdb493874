import type { MeshConfigSpec } from '../kinds/mesh-config.ts';
import type { RetryPolicy, Route, ServicePort, VirtualHost, Workload } from '../model.ts';
import type { Clusters } from './clusters.ts';
import type { GatewayRoutes } from './gateway-api.ts';
import type { Governor } from './governor.ts';
import { clientForms, HostIndex, isWildcard } from './hosts.ts';
import type { KnownService } from './known-service.ts';
import { byAge, compareText } from './order.ts';
import { MATCH_ALL } from './routes.ts';
import type { Addressable, Scope } from './sidecar.ts';
import type { VirtualServiceGovernor } from './virtual-service.ts';

/** What virtual hosts are made from. */
export interface HostInput {
  readonly workload: Workload;
  readonly mesh: MeshConfigSpec;
  readonly defaultRetries: RetryPolicy | null;
  readonly scope: Scope;
  readonly virtualServices: readonly VirtualServiceGovernor[];
  readonly gatewayRoutes: ReadonlyMap<string, GatewayRoutes>;
  readonly clusters: Clusters;
}

/**
 * Every name a client may address, on every port, with the routes that govern it there (Istio route.go,
 * BuildSidecarVirtualHostWrapper): those of services, and those of hosts only a VirtualService knows.
 */
export function virtualHostsOf(input: HostInput): readonly VirtualHost[] {
  const index = new HostIndex<readonly VirtualServiceGovernor[]>();
  for (const one of input.virtualServices)
    for (const host of new Set(one.hosts)) index.add(host, [one], (present, added) => [...present, ...added]);

  const names = new Names();
  const known = new Set<string>();
  const coveringServices = new Set<string>();
  for (const { known: one } of input.scope.addressable) {
    known.add(one.service.host);
    for (const wildcard of index.coveringWildcards(one.service.host)) coveringServices.add(wildcard);
    for (const { number } of one.service.ports) names.reserve(one.service.host, number);
  }

  const hosts: VirtualHost[] = [];
  const aliases = aliasesOf(input.scope.addressable, known);
  for (const { known: one, ports } of input.scope.addressable.toSorted((a, b) => compareText(a.known.service.host, b.known.service.host))) {
    if (one.aliasOf !== null && known.has(one.aliasOf)) continue;
    const forms = formsOf(one, aliases.get(one.service.host) ?? [], input);
    for (const port of ports) {
      if (port.protocol === 'UDP') continue;
      const domains = names.claim(forms, one.service.host, port.number);
      if (domains.length > 0) hosts.push({ ...serviceHost(one, port, index, input), domains });
    }
  }

  for (const [host, candidates] of index.entries()) {
    // A wildcard that covers services is spent on them (separateVSHostsAndServices).
    if (known.has(host) || coveringServices.has(host)) continue;
    hosts.push(...unknownHosts(host, candidates, names, input));
  }
  return hosts.sort((a, b) => compareText(a.name, b.name));
}

/** An ExternalName of a service of the mesh is one more name of it (Istio's alias services). */
function aliasesOf(addressable: readonly Addressable[], known: ReadonlySet<string>): ReadonlyMap<string, readonly string[]> {
  const aliases = addressable.flatMap(({ known: { aliasOf, service } }) =>
    aliasOf !== null && known.has(aliasOf) ? [{ target: aliasOf, host: service.host }] : [],
  );
  return new Map([...Map.groupBy(aliases, ({ target }) => target)].map(([target, all]) => [target, all.map(({ host }) => host)]));
}

function formsOf({ service }: KnownService, aliases: readonly string[], { workload, mesh }: HostInput): readonly string[] {
  const forms = new Set(clientForms(service.host, workload.namespace, mesh.domain, service.headless));
  for (const alias of aliases) for (const form of clientForms(alias, workload.namespace, mesh.domain, service.headless)) forms.add(form);
  for (const address of service.addresses) {
    if (address.includes('/') || address === '0.0.0.0') continue;
    forms.add(address);
    if (address.includes(':')) forms.add(`[${address}]`);
  }
  return [...forms];
}

/** Who answers to a name on a port. A full name belongs to its service, whatever short forms others have; else first come. */
class Names {
  readonly #byPort = new Map<number | null, Map<string, string>>();

  reserve(host: string, port: number): void {
    const owners = this.#on(port);
    owners.set(host, host);
    owners.set(`${host}.`, host);
  }

  /** The forms that are `owner`'s now. */
  claim(forms: readonly string[], owner: string, port: number | null): readonly string[] {
    const owners = this.#on(port);
    return forms.filter((form) => {
      const taken = owners.get(form);
      if (taken === undefined) owners.set(form, owner);
      return taken === undefined || taken === owner;
    });
  }

  #on(port: number | null): Map<string, string> {
    let owners = this.#byPort.get(port);
    if (owners === undefined) this.#byPort.set(port, (owners = new Map()));
    return owners;
  }
}

// ── hosts of services ────────────────────────────────────────────────────────────────────────────────────────────────

const TCP: ReadonlySet<ServicePort['protocol']> = new Set(['TCP', 'MONGO', 'MYSQL', 'REDIS']);

function serviceHost(
  known: KnownService,
  port: ServicePort,
  index: HostIndex<readonly VirtualServiceGovernor[]>,
  input: HostInput,
): Omit<VirtualHost, 'domains'> {
  const { host } = known.service;
  const shared = { name: `${host}:${port.number}`, port: port.number, service: host };
  if (TCP.has(port.protocol)) {
    const why = [
      `port ${port.number} of ${host} is declared ${port.protocol}: rules for HTTP do not hold there, and calls are not retried`,
    ];
    return { ...shared, routes: [implicitRoute(known, port.number, null, input)], why };
  }
  const why: string[] = [];
  const routes = input.gatewayRoutes.get(host);
  const governed = govern(governorsOf(host, index, routes), port.number, why, routes?.consumer);
  if (governed === undefined) {
    why.push(`calls to ${host}:${port.number} go to the service itself`);
    return { ...shared, routes: [implicitRoute(known, port.number, input.defaultRetries, input)], why };
  }
  if (port.protocol === 'HTTPS' || port.protocol === 'TLS')
    why.push(
      `rules for HTTP hold on this ${port.protocol} port, since the mesh sees calls before they are encrypted; a sidecar could not apply them`,
    );
  return { ...shared, routes: governed, why };
}

/**
 * Who may govern a host, the most entitled first. Gateway API routes of the workload's own namespace (consumer routes)
 * come before all; then VirtualServices and routes of the service's namespace by age (VirtualServicesForGateway). Only
 * where nothing names the host does a wildcard count: the most specific one.
 */
function governorsOf(
  host: string,
  index: HostIndex<readonly VirtualServiceGovernor[]>,
  routes: GatewayRoutes | undefined,
): readonly Governor[] {
  const exact: Governor[] = [...(index.get(host) ?? [])];
  if (routes?.producer !== undefined) exact.push(routes.producer);
  exact.sort((a, b) => byAge(a.metadata, b.metadata));
  if (routes?.consumer !== undefined) exact.unshift(routes.consumer);
  return exact.length > 0 ? exact : (index.mostSpecific(host)?.slice(0, 1) ?? []);
}

/** The first governor that says anything on the port governs it alone; rules of several are not merged. */
function govern(governors: readonly Governor[], port: number | null, why: string[], consumer?: Governor): readonly Route[] | undefined {
  const place = port === null ? 'any port' : `port ${port}`;
  let winner: Governor | undefined;
  let routes: readonly Route[] | undefined;
  for (const governor of governors) {
    if (winner !== undefined) {
      why.push(
        `${governor.resource} is not used: ${winner.resource} ${winner === consumer ? 'is of the own namespace' : reasonOf(winner, governor)}, and rules for one host are not merged`,
      );
      continue;
    }
    const said = governor.on(port);
    if (said.routes.length === 0) {
      why.push(...said.notes, `${governor.resource} says nothing for calls of this workload on ${place}`);
      continue;
    }
    winner = governor;
    routes = said.routes;
    why.push(`${governor.resource} governs ${place}`, ...said.notes);
  }
  return routes;
}

const reasonOf = (winner: Governor, loser: Governor): string =>
  winner.metadata.createdAt < loser.metadata.createdAt ? 'is older' : 'is as old and comes first by name';

function implicitRoute(known: KnownService, port: number, retries: RetryPolicy | null, { clusters }: HostInput): Route {
  const { cluster, missing } = clusters.reach({ host: known.service.host, subset: undefined, port }, port);
  return {
    name: 'default',
    resource: null,
    match: MATCH_ALL,
    action: {
      kind: 'forward',
      destinations: [
        {
          cluster,
          weight: 1,
          missing: missing === null ? null : { status: 503, why: missing },
          requestHeaders: [],
          responseHeaders: [],
          authority: null,
        },
      ],
    },
    timeoutMs: null,
    retries,
    fault: null,
    mirrors: [],
    rewrite: null,
    responseHeaders: [],
    hash: clusters.implicitHash(known, port),
  };
}

// ── hosts no registry knows ──────────────────────────────────────────────────────────────────────────────────────────

/**
 * A VirtualService for a host that is no service of the workload. Istio honours it on port 80 only, for want of a
 * listener elsewhere; inside the process there is none, so it holds on any port. Ports on which it says something of
 * their own are listed beside `*`.
 */
function unknownHosts(
  host: string,
  candidates: readonly VirtualServiceGovernor[],
  names: Names,
  { workload, mesh }: HostInput,
): VirtualHost[] {
  const ports = [...new Set(candidates.flatMap((one) => one.ports()))].sort((a, b) => a - b);
  return [...ports, null].flatMap((port): VirtualHost[] => {
    const why: string[] = [];
    const routes = govern(candidates, port, why);
    if (routes === undefined) return [];
    why.push(`${host} is no service this workload sees: its rules hold on any port (behind a sidecar on port 80 only)`);
    const forms = isWildcard(host) ? [host] : clientForms(host, workload.namespace, mesh.domain, false);
    const domains = names.claim(forms, host, port);
    return domains.length === 0 ? [] : [{ name: `${host}:${port ?? '*'}`, domains, port, service: null, routes, why }];
  });
}
