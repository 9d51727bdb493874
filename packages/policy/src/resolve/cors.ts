import type { Cors, CorsRoute } from '../inbound.ts';
import type { ResourceOf } from '../kinds/index.ts';
import type { MeshConfigSpec } from '../kinds/mesh-config.ts';
import type { CorsFilter } from '../kinds/parts/cors-filter.ts';
import type { Metadata } from '../document.ts';
import type { StringMatch, Workload } from '../model.ts';
import { delegatesOf, expandDelegates, type HttpMatch, type HttpRule, type OwnedRule } from './delegates.ts';
import { byPrecedence, rankHttp, type HttpRoute } from './gateway-precedence.ts';
import { clientForms, fullName, HostIndex, isWildcard } from './hosts.ts';
import { membershipsOf } from './membership.ts';
import { byAge, compareText, labelOf } from './order.ts';
import type { Registry } from './registry.ts';
import { MATCH_ALL, matchesAll, matchOf } from './routes.ts';
import { visibleTo } from './visibility.ts';

/** Rules that may govern a host where calls to it arrive. */
interface Governor {
  readonly metadata: Pick<Metadata, 'createdAt' | 'name' | 'namespace'>;
  readonly hosts: readonly string[];
  readonly routes: readonly Omit<CorsRoute, 'domains'>[];
  /** Some route leads to the workload, whatever host was asked for. */
  readonly leadsHere: boolean;
}

/**
 * Cross-origin rules of the hosts a workload answers for: those of its services, and those whose routes lead to one of
 * its services. Behind a sidecar the caller's proxy carries them out, which no browser has; so they are carried out where
 * calls arrive. One governor for each host, as for callers. Hosts without any such rules are left out.
 */
export function corsFor(registry: Registry, workload: Workload, mesh: MeshConfigSpec): readonly CorsRoute[] {
  const memberships = new Map(membershipsOf(registry, workload, mesh.domain).map((one) => [one.host, one]));
  if (memberships.size === 0) return [];
  const here = (host: string): boolean => memberships.has(host);

  const index = new HostIndex<readonly Governor[]>();
  const governors = [...virtualServices(registry, workload, mesh, here), ...gatewayRoutes(registry, mesh.domain, here)];
  governors.sort((a, b) => byAge(a.metadata, b.metadata));
  const hosts = new Set(memberships.keys());
  for (const governor of governors)
    for (const host of new Set(governor.hosts)) {
      index.add(host, [governor], (present, added) => [...present, ...added]);
      if (governor.leadsHere) hosts.add(host);
    }

  return [...hosts].sort(compareText).flatMap((host): readonly CorsRoute[] => {
    const governor = index.mostSpecific(host)?.find(({ routes }) => routes.length > 0);
    if (governor === undefined || governor.routes.every(({ cors }) => cors === null)) return [];
    const { namespace = governor.metadata.namespace, headless = false } = memberships.get(host) ?? {};
    const domains = isWildcard(host) ? [host] : clientForms(host, namespace, mesh.domain, headless);
    return governor.routes.map(({ resource, match, cors }) => ({ resource, domains, match, cors }));
  });
}

// ── VirtualService ───────────────────────────────────────────────────────────────────────────────────────────────────

function virtualServices(registry: Registry, workload: Workload, mesh: MeshConfigSpec, here: (host: string) => boolean): Governor[] {
  const all = registry.of('VirtualService');
  const delegates = delegatesOf(all);
  return all
    .filter(
      ({ spec, metadata }) =>
        spec.hosts.length > 0 &&
        (spec.gateways.length === 0 || spec.gateways.includes('mesh')) &&
        visibleTo(spec.exportTo, mesh.defaultVirtualServiceExportTo, metadata.namespace, workload.namespace),
    )
    .map((resource) => {
      const rules = expandDelegates(resource, delegates, mesh, []);
      return {
        metadata: resource.metadata,
        hosts: resource.spec.hosts.map((host) => fullName(host, resource.metadata.namespace, mesh.domain)),
        routes: routesOf(rules, labelOf(resource)),
        leadsHere: rules.some(({ rule, namespace }) =>
          rule.route.some(({ destination }) => here(fullName(destination.host, namespace, mesh.domain))),
        ),
      };
    });
}

function routesOf(rules: readonly OwnedRule[], resource: string): Governor['routes'] {
  const routes: Omit<CorsRoute, 'domains'>[] = [];
  for (const { rule } of rules) {
    const cors = rule.corsPolicy === undefined ? null : policyCors(rule.corsPolicy);
    for (const block of rule.match.length === 0 ? [undefined] : rule.match.filter(forAnybody)) {
      const match = block === undefined ? MATCH_ALL : matchOf(block);
      routes.push({ resource, match, cors });
      if (matchesAll(match)) return routes;
    }
  }
  return routes;
}

/** A browser is no workload: blocks for the callers of some are not for it. The port it addressed cannot be told here. */
const forAnybody = ({ gateways, sourceLabels, sourceNamespace }: HttpMatch): boolean =>
  gateways.length > 0 ? gateways.includes('mesh') : Object.keys(sourceLabels).length === 0 && sourceNamespace === undefined;

const ANY: StringMatch = { kind: 'present' };

/** Envoy takes a literal `*` among the origins for any. */
const originOf = (origin: StringMatch): StringMatch => (origin.kind === 'exact' && origin.value === '*' ? ANY : origin);

const policyCors = (policy: NonNullable<HttpRule['corsPolicy']>): Cors => ({
  allowOrigins: (policy.allowOrigins.length > 0
    ? policy.allowOrigins
    : policy.allowOrigin.map((value) => ({ kind: 'exact', value }) as const)
  ).map(originOf),
  allowMethods: policy.allowMethods,
  allowHeaders: policy.allowHeaders,
  exposeHeaders: policy.exposeHeaders,
  maxAgeSeconds: policy.maxAge === undefined ? null : policy.maxAge / 1000,
  allowCredentials: policy.allowCredentials ?? false,
  unmatchedPreflights: policy.unmatchedPreflights === 'IGNORE' ? 'IGNORE' : 'FORWARD',
});

// ── HTTPRoute ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The routes of a service's own namespace are one governor, as for callers; those of others are for clients there. */
function gatewayRoutes(registry: Registry, domain: string, here: (host: string) => boolean): Governor[] {
  const entries = new Map(registry.of('ServiceEntry').map(({ metadata, spec }) => [`${metadata.namespace}/${metadata.name}`, spec.hosts]));
  const hostsOf = (ref: Reference, home: string): readonly string[] => {
    const namespace = ref.namespace ?? home;
    if ((ref.group === '' || ref.group === 'core') && ref.kind === 'Service')
      return [`${ref.name}.${namespace}.svc.${domain}`.toLowerCase()];
    if (ref.group !== 'networking.istio.io') return [];
    if (ref.kind === 'ServiceEntry') return (entries.get(`${namespace}/${ref.name}`) ?? []).map((host) => host.toLowerCase());
    return ref.kind === 'Hostname' ? [ref.name.toLowerCase()] : [];
  };
  const byHost = new Map<string, Set<ResourceOf<'HTTPRoute'>>>();
  for (const route of registry.of('HTTPRoute')) {
    const home = route.metadata.namespace;
    for (const parent of route.spec.parentRefs)
      if ((parent.namespace ?? home) === home)
        for (const host of hostsOf(parent, home)) byHost.set(host, (byHost.get(host) ?? new Set()).add(route));
  }
  return [...byHost].map(([host, set]): Governor => {
    const routes = [...set].sort((a, b) => byAge(a.metadata, b.metadata));
    return {
      metadata: routes[0]!.metadata,
      hosts: [host],
      routes: rankedRoutes(routes),
      leadsHere: routes.some(({ spec, metadata }) =>
        spec.rules.some(({ backendRefs }) => backendRefs.some((ref) => hostsOf(ref, metadata.namespace).some(here))),
      ),
    };
  });
}

interface Reference {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string | undefined;
}

function rankedRoutes(routes: readonly HttpRoute[]): Governor['routes'] {
  const ranked = routes.flatMap((route) => rankHttp(route).map((one) => ({ ...one, filters: route.spec.rules[one.index]?.filters ?? [] })));
  const result: Omit<CorsRoute, 'domains'>[] = [];
  for (const { route, filters, match } of ranked.sort(byPrecedence)) {
    const cors = filters.find(({ type }) => type === 'CORS')?.cors;
    result.push({ resource: labelOf(route), match, cors: cors === undefined ? null : filterCors(cors) });
    if (matchesAll(match)) break;
  }
  return result;
}

const filterCors = (filter: CorsFilter): Cors => ({
  allowOrigins: filter.allowOrigins.map(wildcardOrigin),
  allowMethods: filter.allowMethods,
  allowHeaders: filter.allowHeaders,
  exposeHeaders: filter.exposeHeaders,
  maxAgeSeconds: filter.maxAge,
  allowCredentials: filter.allowCredentials,
  unmatchedPreflights: 'IGNORE',
});

/** `*` stands for any number of labels at the beginning of the host (HTTPCORSFilter.allowOrigins). */
function wildcardOrigin(origin: string): StringMatch {
  if (origin === '*') return ANY;
  return origin.includes('*')
    ? { kind: 'regex', value: origin.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)).join('[^/]+') } // prettier-ignore
    : { kind: 'exact', value: origin };
}
