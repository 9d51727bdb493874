import type { PathMatch, PathRewrite, Route, RouteAction, RouteMatch } from '../model.ts';
import type { Target } from './destinations.ts';
import {
  type AnyRoute,
  byPrecedence,
  type GrpcRoute,
  type HttpRoute,
  rankGrpc,
  rankHttp,
  type Ranked,
  type Rule,
} from './gateway-precedence.ts';
import { type Governor, perPort } from './governor.ts';
import { headerOps, type HeaderEdits, type HeaderOperations } from './headers.ts';
import { byAge, byAgeAndPath, labelOf } from './order.ts';
import type { Registry } from './registry.ts';
import { retryPolicy, type RetrySettings } from './retries.ts';
import { type Choice, forwardTo, matchesAll, mirrorTo, note, type RouteContext } from './routes.ts';
import type { Setting } from './virtual-service.ts';

type Parent = AnyRoute['spec']['parentRefs'][number];
type Filter = HttpRoute['spec']['rules'][number]['filters'][number] | GrpcRoute['spec']['rules'][number]['filters'][number];
type Backend = HttpRoute['spec']['rules'][number]['backendRefs'][number] | GrpcRoute['spec']['rules'][number]['backendRefs'][number];

/**
 * Gateway API routes of one service (GAMMA, GEP-1294). A route in the service's namespace is for all clients, one
 * elsewhere for clients of its own namespace; the latter beat the former, and the two are not merged.
 */
export interface GatewayRoutes {
  readonly consumer: Governor | undefined;
  readonly producer: Governor | undefined;
}

/** A route bound to a service, on one of its ports or on all (null). */
interface Attachment {
  readonly route: AnyRoute;
  readonly port: number | null;
}

/** The routes of every service that has any, by host. */
export function gatewayRoutesOf(registry: Registry, setting: Setting): ReadonlyMap<string, GatewayRoutes> {
  const routes = [...registry.of('HTTPRoute'), ...registry.of('GRPCRoute')].toSorted((a, b) => byAgeAndPath(a.metadata, b.metadata));
  if (routes.length === 0) return new Map();
  const entries = new Map(registry.of('ServiceEntry').map(({ metadata, spec }) => [`${metadata.namespace}/${metadata.name}`, spec.hosts]));
  const entryHosts: EntryHosts = (namespace, name) => entries.get(`${namespace}/${name}`) ?? [];

  const groups = new Map<string, { consumer: Attachment[]; producer: Attachment[] }>();
  for (const route of routes)
    for (const parent of route.spec.parentRefs)
      for (const { host, namespace } of parentsOf(parent, route, setting, entryHosts)) {
        const home = route.metadata.namespace;
        const side = home === namespace ? 'producer' : home === setting.workload.namespace ? 'consumer' : undefined;
        const ports = attachedPorts(parent, host, setting);
        if (side === undefined || ports === undefined) continue;
        let group = groups.get(host);
        if (group === undefined) groups.set(host, (group = { consumer: [], producer: [] }));
        group[side].push(...ports.map((port) => ({ route, port })));
      }
  return new Map(
    [...groups].map(([host, { consumer, producer }]) => [
      host,
      { consumer: governorOf(consumer, setting, entryHosts), producer: governorOf(producer, setting, entryHosts) },
    ]),
  );
}

/** Hosts of a ServiceEntry by namespace and name. */
type EntryHosts = (namespace: string, name: string) => readonly string[];

const ISTIO = 'networking.istio.io';
const isService = (ref: { readonly group: string; readonly kind: string }): boolean =>
  (ref.group === '' || ref.group === 'core') && ref.kind === 'Service';
const serviceHost = (name: string, namespace: string, domain: string): string => `${name}.${namespace}.svc.${domain}`.toLowerCase();

function parentsOf(
  parent: Parent,
  route: AnyRoute,
  { mesh, scope }: Setting,
  entryHosts: EntryHosts,
): readonly { readonly host: string; readonly namespace: string }[] {
  const namespace = parent.namespace ?? route.metadata.namespace;
  if (isService(parent)) return [{ host: serviceHost(parent.name, namespace, mesh.domain), namespace }];
  if (parent.group !== ISTIO) return [];
  if (parent.kind === 'ServiceEntry') return entryHosts(namespace, parent.name).map((host) => ({ host: host.toLowerCase(), namespace }));
  const host = parent.name.toLowerCase();
  const owner = parent.kind === 'Hostname' ? scope.destination(host)?.service.namespace : undefined;
  return owner === undefined ? [] : [{ host, namespace: owner }];
}

/** `port`, or `sectionName` as the name of a port; neither is every port. A section nobody has attaches nowhere. */
function attachedPorts(parent: Parent, host: string, { scope }: Setting): readonly (number | null)[] | undefined {
  if (parent.sectionName === undefined) return [parent.port ?? null];
  const named = scope.destination(host)?.service.ports.find(({ name }) => name === parent.sectionName)?.number;
  return named === undefined || (parent.port !== undefined && parent.port !== named) ? undefined : [named];
}

function governorOf(attachments: readonly Attachment[], setting: Setting, entryHosts: EntryHosts): Governor | undefined {
  const routes = [...new Set(attachments.map(({ route }) => route))].sort((a, b) => byAge(a.metadata, b.metadata));
  const oldest = routes[0];
  if (oldest === undefined) return undefined;
  return {
    resource: routes.map(labelOf).join(', '),
    metadata: oldest.metadata,
    on: perPort((port) => {
      const here = new Set(attachments.filter((one) => one.port === null || one.port === port).map(({ route }) => route));
      const notes: string[] = [];
      const grpc = [...here].filter((route): route is GrpcRoute => route.kind === 'GRPCRoute');
      const http = [...here].filter((route): route is HttpRoute => route.kind === 'HTTPRoute');
      // On one service and port a GRPCRoute beats every HTTPRoute.
      if (grpc.length > 0 && http.length > 0)
        notes.push(
          `${http.map(labelOf).join(', ')} ${http.length === 1 ? 'is' : 'are'} not used: a GRPCRoute beats an HTTPRoute on the same port`,
        );
      const ranked = grpc.length > 0 ? grpc.flatMap(rankGrpc) : http.flatMap(rankHttp);
      ranked.sort(byPrecedence);
      return { routes: translate(ranked, port, setting, entryHosts, notes), notes };
    }),
  };
}

// ── translation ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** What answers where nothing valid can be called (HTTPRouteRule.backendRefs). */
const INVALID_STATUS = 500;

function translate(
  ranked: readonly Ranked[],
  port: number | null,
  setting: Setting,
  entryHosts: EntryHosts,
  notes: string[],
): readonly Route[] {
  const rules = new Map<Rule, (match: RouteMatch) => Route>();
  const routes: Route[] = [];
  for (const { route, rule, index, match } of ranked) {
    let build = rules.get(rule);
    if (build === undefined) rules.set(rule, (build = translateRule(route, rule, index, port, setting, entryHosts, notes)));
    routes.push(build(match));
    if (matchesAll(match)) break;
  }
  return routes;
}

function translateRule(
  route: AnyRoute,
  rule: Rule,
  index: number,
  port: number | null,
  setting: Setting,
  entryHosts: EntryHosts,
  notes: string[],
): (match: RouteMatch) => Route {
  const { workload, mesh, defaultRetries, destinations } = setting;
  const { name, namespace } = route.metadata;
  const context: RouteContext = { workload, domain: mesh.domain, port, defaultRetries, destinations, resource: labelOf(route), notes };
  const target = targets(namespace, mesh.domain, entryHosts);
  const filters = effectsOf(rule.filters);
  const edits: HeaderEdits = { request: filters.request, response: filters.response };

  const live = rule.backendRefs.filter(({ weight }) => weight > 0);
  const forwarding = filters.redirect === undefined && filters.unknown === undefined && live.length > 0;
  const choices = forwarding ? live.map((backend) => choiceOf(backend, target)) : [];
  const { action, hash } = forwarding
    ? forwardTo(choices, { edits, authority: filters.rewrite?.hostname ?? null, missingStatus: INVALID_STATUS }, context)
    : { action: undefined, hash: [] };

  const times = timesOf(rule);
  const shared = {
    name: rule.name ?? `${namespace}.${name}.${index}`,
    resource: labelOf(route),
    timeoutMs: forwarding ? times.timeoutMs : null,
    retries: forwarding ? retryPolicy(times.retries, defaultRetries, times.timeoutMs, choices.length === 1 && hash.length > 0) : null,
    fault: null,
    mirrors: forwarding
      ? filters.mirrors.flatMap(({ backendRef, percent }) => {
          const found = target(backendRef);
          return typeof found === 'string' ? [] : mirrorTo(found, percent, context);
        })
      : [],
    responseHeaders: forwarding ? [] : headerOps(filters.response),
    hash,
  };
  if (filters.unknown !== undefined)
    note(notes, `${context.resource}: a filter of type ${filters.unknown} is not known, so its calls are answered with ${INVALID_STATUS}`);
  else if (!forwarding && filters.redirect === undefined)
    note(notes, `${context.resource}: rule ${index + 1} has no backend with a weight, so its calls are answered with ${INVALID_STATUS}`);

  return (match) => ({
    ...shared,
    match,
    action: action ?? localAction(filters, match.path),
    rewrite: forwarding && filters.rewrite?.path !== undefined ? rewritten(filters.rewrite.path, match.path) : null,
  });
}

/** Without a retry block a backend timeout is the timeout of the call, and takes the place of `request` (Istio convertHTTPRoute). */
function timesOf(rule: Rule): { readonly timeoutMs: number | null; readonly retries: RetrySettings | undefined } {
  const timeouts = 'timeouts' in rule ? rule.timeouts : undefined;
  const retry = 'retry' in rule ? rule.retry : undefined;
  const request = timeouts?.request || null;
  const backend = timeouts?.backendRequest || null;
  if (retry === undefined) return { timeoutMs: backend ?? request, retries: undefined };
  return {
    timeoutMs: request,
    retries: {
      attempts: retry.attempts ?? 2,
      retryOn: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', ...retry.codes].join(','),
      perTryTimeout: backend ?? undefined,
      backoff: retry.backoff,
    },
  };
}

type Reference = Pick<Backend, 'group' | 'kind' | 'name' | 'namespace' | 'port'>;

/** Whom a backendRef means, or why nobody. In the mesh a reference across namespaces needs no ReferenceGrant (GAMMA). */
const targets =
  (home: string, domain: string, entryHosts: EntryHosts) =>
  (ref: Reference): Target | string => {
    const namespace = ref.namespace ?? home;
    if (isService(ref)) {
      const host = serviceHost(ref.name, namespace, domain);
      return ref.port === undefined
        ? `a reference to Service ${namespace}/${ref.name} needs a port`
        : { host, subset: undefined, port: ref.port };
    }
    if (ref.group === ISTIO && ref.kind === 'Hostname') return { host: ref.name.toLowerCase(), subset: undefined, port: ref.port };
    if (ref.group === ISTIO && ref.kind === 'ServiceEntry') {
      const host = entryHosts(namespace, ref.name)[0];
      return host === undefined
        ? `there is no ServiceEntry ${namespace}/${ref.name}`
        : { host: host.toLowerCase(), subset: undefined, port: ref.port };
    }
    return `a ${ref.group === '' ? '' : `${ref.group}/`}${ref.kind} cannot be called`;
  };

function choiceOf(backend: Backend, target: (ref: Reference) => Target | string): Choice {
  const found = target(backend);
  const { request, response, unknown, redirect, rewrite, mirrors } = effectsOf(backend.filters);
  // Istio carries out header changes of a single backend, and takes one with other filters for invalid.
  const odd = unknown !== undefined || redirect !== undefined || rewrite !== undefined || mirrors.length > 0;
  return {
    target: typeof found === 'string' ? { host: backend.name.toLowerCase(), subset: undefined, port: backend.port } : found,
    weight: backend.weight,
    headers: { request, response },
    invalid: typeof found === 'string' ? found : odd ? `a filter of backend ${backend.name} works on whole rules only` : undefined,
  };
}

/** What the filters of a list do, taken together. */
interface Effects {
  readonly request: HeaderOperations | undefined;
  readonly response: HeaderOperations | undefined;
  readonly mirrors: readonly { readonly backendRef: Reference; readonly percent: number }[];
  readonly redirect: Redirect | undefined;
  readonly rewrite: { readonly hostname?: string | undefined; readonly path?: PathModifier | undefined } | undefined;
  /** A filter nobody here knows must not be skipped: its calls are answered with an error. */
  readonly unknown: string | undefined;
}

type HttpFilter = HttpRoute['spec']['rules'][number]['filters'][number];
type Redirect = NonNullable<HttpFilter['requestRedirect']>;
type PathModifier = NonNullable<Redirect['path']>;

function effectsOf(filters: readonly Filter[]): Effects {
  const of = <Type extends Filter['type']>(type: Type) => filters.filter((filter) => filter.type === type);
  const http = filters.filter((filter): filter is HttpFilter => 'requestRedirect' in filter || 'urlRewrite' in filter);
  return {
    request: modifier(of('RequestHeaderModifier')[0]?.requestHeaderModifier),
    response: modifier(of('ResponseHeaderModifier')[0]?.responseHeaderModifier),
    mirrors: of('RequestMirror').flatMap(({ requestMirror: mirror }) =>
      mirror === undefined
        ? []
        : [
            {
              backendRef: mirror.backendRef,
              percent:
                mirror.percent ?? (mirror.fraction === undefined ? 100 : (mirror.fraction.numerator / mirror.fraction.denominator) * 100),
            },
          ],
    ),
    redirect: http.find(({ type }) => type === 'RequestRedirect')?.requestRedirect,
    rewrite: http.find(({ type }) => type === 'URLRewrite')?.urlRewrite,
    unknown: filters.find(({ type }) => type === 'ExtensionRef' || type === 'ExternalAuth')?.type,
  };
}

type Modifier = NonNullable<Filter['requestHeaderModifier']>;

function modifier(given: Modifier | undefined): HeaderOperations | undefined {
  if (given === undefined) return undefined;
  const record = (list: Modifier['set']): Record<string, string> => Object.fromEntries(list.map(({ name, value }) => [name, value]));
  return { set: record(given.set), add: record(given.add), remove: given.remove };
}

function localAction({ redirect, unknown }: Effects, path: PathMatch | null): RouteAction {
  if (unknown !== undefined) return { kind: 'refuse', status: INVALID_STATUS, why: `a filter of type ${unknown} is not known` };
  if (redirect === undefined) return { kind: 'refuse', status: INVALID_STATUS, why: 'the rule has no backend with a weight' };
  return {
    kind: 'redirect',
    status: redirect.statusCode,
    scheme: redirect.scheme ?? null,
    authority: redirect.hostname ?? null,
    // A scheme brings its own port along; without one the port of the request stays (HTTPRequestRedirectFilter.port).
    port: redirect.port ?? (redirect.scheme === undefined ? 'requestPort' : 'protocolDefault'),
    path: redirect.path === undefined ? null : rewritten(redirect.path, path),
  };
}

function rewritten({ type, replaceFullPath = '', replacePrefixMatch = '' }: PathModifier, path: PathMatch | null): PathRewrite {
  if (type === 'ReplaceFullPath') return { kind: 'full', value: replaceFullPath };
  return { kind: 'segments', prefix: path?.kind === 'segments' ? path.value : '', value: replacePrefixMatch };
}
