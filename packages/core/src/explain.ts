import type {
  ClusterPolicy,
  Destination,
  HashKey,
  HeaderOp,
  LoadBalancer,
  Locality,
  Model,
  Route,
  RouteAction,
  VirtualHost,
} from '@inmesh/policy';
import type { Call, Edits } from './call.ts';
import { distribute } from './cluster/locality.ts';
import type { Endpoint } from './endpoint/endpoint.ts';
import { staticEndpoints } from './endpoint/static.ts';
import { ERRORS, type Flag, type GrpcStatusName, grpcStatusName } from './errors.ts';
import type {
  ExplainedCluster,
  ExplainedRequest,
  ExplainedResponse,
  ExplainedRetries,
  Explanation,
  ExplainRequest,
} from './explanation.ts';
import { hedgingOf } from './filters/hedge.ts';
import { grpcStatusOf } from './filters/answers.ts';
import { compileEdits } from './filters/edits.ts';
import { cookieValue } from './filters/hash.ts';
import { applyHeaderOps, valuesAfter } from './filters/header-ops.ts';
import { compileLocation } from './filters/redirect.ts';
import { type Condition, conditions, describeFailure } from './match/conditions.ts';
import { queryValue } from './match/query.ts';
import { grpcPortOf } from './route/grpc-port.ts';
import { HostTable } from './route/hosts.ts';
import { headerList, requestCall } from './route/request-call.ts';
import { RouteTable } from './route/table.ts';

/** Endpoints a cluster has; undefined where nobody knows yet (a name still to be looked up). */
export type EndpointsOf = (cluster: string) => readonly Endpoint[] | undefined;

/**
 * What would become of a request under a policy that no mesh has to run: endpoints are those the document names.
 * Throws MISUSE for a URL that is none.
 */
export function explainPolicy(model: Model, request: ExplainRequest): Explanation {
  const { clusters, services } = tablesOf(model);
  return explain(model, request, (name) => {
    const cluster = clusters.get(name);
    const service = cluster === undefined ? undefined : services.get(cluster.service);
    if (cluster === undefined || service === undefined || cluster.loadBalancer.kind === 'passthrough') return undefined;
    // A service of DNS or of no resolution is what its names turn out to be; what the document lists are those names.
    const known = service.resolution === 'static' || service.endpoints.length > 0;
    return known ? staticEndpoints(service, cluster.port).filter((endpoint) => carries(endpoint, cluster.labels)) : undefined;
  });
}

/**
 * What would become of a request under a policy, with the endpoints a running mesh knows. Nothing is sent, no draw is
 * made. Matching, rewriting and redirecting are done by the very functions the filters are made of.
 */
export function explain(model: Model, request: ExplainRequest, endpointsOf: EndpointsOf): Explanation {
  const call = requestCall(request, (host) => grpcPortOf(model, host));
  const explanation = explainCall(model, call, request, endpointsOf);
  const { decision, status, flag } = explanation;
  if (call.protocol !== 'grpc' || status === null) return explanation;
  return { ...explanation, grpcStatus: decision === 'refuse' ? refusedAs(flag) : grpcStatusName(grpcStatusOf(status)) };
}

function explainCall(model: Model, call: Call, request: ExplainRequest, endpointsOf: EndpointsOf): Explanation {
  const headers = headerList(request.headers).filter(([name]) => name.toLowerCase() !== 'host');
  const { hosts } = tablesOf(model);
  const found = hosts.find(call.host, call.port);
  if (found === undefined) return outside(model, call, headers, hosts);

  const { host, routes } = found;
  const index = routes().indexOf(call);
  const route = host.routes[index];
  const scene: Scene = {
    model,
    call,
    headers,
    host,
    endpointsOf,
    why: [...greet(host, call), ...host.why, ...passedOver(host, index, call)],
  };
  if (route === undefined) {
    scene.why.push(`none of the ${host.routes.length} rules matches: the call is answered with ${refusedWith(call, 404, 'NR')} (NR)`);
    return { ...nothing(scene), ...refusal('NO_ROUTE'), resource: onlyOne(host.routes.map((each) => each.resource)) };
  }
  scene.why.push(...chosen(host, route, index, call), ...(route.why ?? []));
  const common = { ...nothing(scene), resource: route.resource, route: route.name, fault: route.fault };
  switch (route.action.kind) {
    case 'forward':
      return { ...common, ...forward(scene, route, route.action) };
    case 'redirect': {
      const location = compileLocation(route.action)(call);
      scene.why.push(`it is redirected to ${location} without asking anyone`);
      const { status } = route.action;
      return { ...common, decision: 'redirect', status, redirect: { status, location }, response: responseOf(route.responseHeaders) };
    }
    case 'direct': {
      const { status, body } = route.action;
      scene.why.push(`the policy itself answers it with ${call.protocol === 'grpc' ? grpcStatusName(grpcStatusOf(status)) : status}`);
      return {
        ...common,
        decision: 'directResponse',
        status,
        directResponse: { status, body },
        response: responseOf(route.responseHeaders),
      };
    }
    case 'refuse':
      scene.why.push(
        `the rule cannot be carried out: ${route.action.why}; the call is answered with ${refusedWith(call, route.action.status)}`,
      );
      return { ...common, decision: 'refuse', status: route.action.status };
  }
}

/** What the sections of an explanation are made from. */
interface Scene {
  readonly model: Model;
  readonly call: Call;
  /** As given, without host. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly host: VirtualHost;
  readonly endpointsOf: EndpointsOf;
  readonly why: string[];
}

// ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Tables {
  readonly hosts: HostTable<{ readonly host: VirtualHost; readonly routes: () => RouteTable<Route> }>;
  readonly clusters: ReadonlyMap<string, ClusterPolicy>;
  readonly services: ReadonlyMap<string, Model['services'][number]>;
}

const tables = new WeakMap<Model, Tables>();

/** Made at a model's first question, for only few models are ever asked. */
function tablesOf(model: Model): Tables {
  let made = tables.get(model);
  if (made === undefined) {
    const hosts = model.hosts.map((host) => {
      let table: RouteTable<Route> | undefined;
      const routes = (): RouteTable<Route> =>
        (table ??= new RouteTable(host.routes.map((route) => ({ match: route.match, value: route }))));
      return { domains: host.domains, port: host.port, value: { host, routes } };
    });
    made = {
      hosts: new HostTable(hosts),
      clusters: new Map(model.clusters.map((cluster) => [cluster.name, cluster])),
      services: new Map(model.services.map((service) => [service.host, service])),
    };
    tables.set(model, made);
  }
  return made;
}

// ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

function nothing({ host, call, why }: Pick<Scene, 'call' | 'why'> & { readonly host: VirtualHost | undefined }): Explanation {
  return {
    decision: 'refuse',
    status: null,
    flag: null,
    ...(call.protocol === 'grpc' ? { grpcStatus: null } : {}),
    service: host?.service ?? null,
    port: call.port,
    resource: null,
    route: null,
    clusters: [],
    timeoutMs: null,
    retries: null,
    fault: null,
    mirrors: [],
    request: null,
    response: null,
    redirect: null,
    directResponse: null,
    why,
  };
}

function refusal(code: 'NO_ROUTE' | 'NO_CLUSTER' | 'NO_ENDPOINT' | 'BLACK_HOLE'): {
  decision: 'refuse';
  status: number;
  flag: Flag | null;
} {
  const { status, flag } = ERRORS[code];
  return { decision: 'refuse', status, flag };
}

/** A host the policy does not know: let through, or refused, by outboundTrafficPolicy. */
function outside({ settings }: Model, call: Call, headers: Scene['headers'], hosts: Tables['hosts']): Explanation {
  const ports = hosts.portsOf(call.host);
  const known = ports.length === 0 ? '' : `, only on ${ports.length === 1 ? 'port' : 'ports'} ${ports.join(', ')}`;
  const why = [`the policy knows no host "${call.host}" on port ${call.port}${known}`];
  const cluster = (name: string): ExplainedCluster[] => [{ name, weight: 1, share: 1, endpoints: [], loadBalancer: null }];
  const base = nothing({ host: undefined, call, why });
  if (settings.outboundTrafficPolicy === 'REGISTRY_ONLY') {
    const answer = refusedWith(call, ERRORS.BLACK_HOLE.status);
    why.push(
      `outboundTrafficPolicy is REGISTRY_ONLY: such a call is answered with ${answer}; declare the host in a ServiceEntry to allow it`,
    );
    return { ...base, ...refusal('BLACK_HOLE'), clusters: cluster('BlackHoleCluster') };
  }
  why.push('outboundTrafficPolicy is ALLOW_ANY: the call goes where it is addressed to, without timeout, retries or balancing');
  const request = { method: call.method, authority: call.authority, path: withQuery(call.path, call.query), headers: joined(headers) };
  return { ...base, decision: 'route', clusters: cluster('PassthroughCluster'), request };
}

function forward(scene: Scene, route: Route, { destinations }: Extract<RouteAction, { kind: 'forward' }>): Partial<Explanation> {
  const { model, call, headers, endpointsOf, why } = scene;
  const policies = tablesOf(model).clusters;
  const total = destinations.reduce((sum, { weight }) => sum + weight, 0);
  const ways = destinations.map((destination) => {
    const policy = policies.get(destination.cluster);
    const endpoints = endpointsOf(destination.cluster);
    const unfit = unfitness(destination, policy, endpoints);
    return { destination, policy, endpoints, unfit, share: destination.weight / total };
  });
  const clusters = ways.map(({ destination, policy, endpoints, share }): ExplainedCluster => {
    const { cluster: name, weight } = destination;
    const loadBalancer = policy === undefined ? null : BALANCERS[policy.loadBalancer.kind];
    return { name, weight, share, endpoints: (endpoints ?? []).map(endpointOf), loadBalancer };
  });

  if (ways.length > 1) {
    const shares = ways.map(({ destination, share }) => `${percentOf(share)} to ${destination.cluster}`);
    why.push(`each call is drawn by weight once, before retries, which stay where it was drawn to: ${shares.join(', ')}`);
  }
  for (const { destination, unfit, share } of ways) {
    if (unfit !== undefined)
      why.push(
        `${ways.length > 1 ? `the ${percentOf(share)} drawn to ${destination.cluster}` : 'calls'} get ${refusedWith(call, unfit.status)}: ${unfit.why}`,
      );
  }
  const main = ways.reduce((best, way) => (way.share > best.share ? way : best));
  const editsOf = ({ destination }: { readonly destination: Destination }): Edits =>
    compileEdits({ ...destination, rewrite: route.rewrite }).of(call);
  const edits = editsOf(main);
  if (ways.some((way) => JSON.stringify(editsOf(way)) !== JSON.stringify(edits))) {
    why.push(
      `request and response are shown as ${main.destination.cluster} has them; other destinations of the rule change them otherwise`,
    );
  }
  if (route.fault !== null && (route.timeoutMs !== null || route.retries !== null)) {
    why.push('the injected fault comes before timeout and retries: it is neither cut short nor retried');
  }
  const hedging = hedgingOf(main.policy?.hedging ?? [])(call.path);
  if (hedging !== undefined) {
    why.push(
      `a gRPC call that is not answered within ${hedging.delayMs} ms goes to another endpoint as well, ${hedging.maxAttempts} attempts in all (${hedging.resource})`,
    );
  }
  const aborted = call.protocol === 'grpc' ? route.fault?.abort?.httpStatus : undefined;
  if (typeof aborted === 'number') why.push(`to a caller of gRPC the injected ${aborted} is ${grpcStatusName(grpcStatusOf(aborted))}`);
  if (hashes(main.policy)) why.push(...route.hash.map((key) => stickiness(key, call, edits)));

  const common = {
    clusters,
    timeoutMs: route.timeoutMs,
    retries: retriesOf(route, main.policy),
    mirrors: route.mirrors.map(({ cluster, percent }) => ({ cluster, percent })),
    request: requestOf(call, headers, edits),
    response: responseOf(edits.response),
  };
  // A refusal is only certain if every destination refuses; the largest share says how.
  if (main.unfit === undefined || ways.some(({ unfit }) => unfit === undefined)) return { ...common, decision: 'route' };
  return { ...common, decision: 'refuse', status: main.unfit.status, flag: main.unfit.flag, request: null, response: null };
}

interface Unfit {
  readonly status: number;
  readonly flag: Flag | null;
  readonly why: string;
}

/** Why no call to a destination can succeed, as far as the policy tells. */
function unfitness(
  { cluster, missing }: Destination,
  policy: ClusterPolicy | undefined,
  endpoints: readonly Endpoint[] | undefined,
): Unfit | undefined {
  if (missing !== null) {
    const { status, why } = missing;
    return { status, flag: status === ERRORS.NO_CLUSTER.status ? ERRORS.NO_CLUSTER.flag : null, why };
  }
  if (policy === undefined) return { ...refusal('NO_CLUSTER'), why: `the policy does not declare ${cluster}` };
  // Where calls go to the address they ask for, nobody has to be known.
  if (policy.loadBalancer.kind === 'passthrough' || policy.resolution !== 'static' || endpoints === undefined) return undefined;
  if (endpoints.length === 0) {
    const labels = Object.entries(policy.labels).map(([name, value]) => `${name}=${value}`);
    const subset = policy.subset === null ? '' : ` with the labels of subset ${policy.subset} (${labels.join(', ') || 'none'})`;
    return { ...refusal('NO_ENDPOINT'), why: `${policy.service} has no endpoint${subset} on port ${policy.port} (UH)` };
  }
  if (policy.locality.kind === 'distribute' && distribute(policy.locality, endpoints).length === 0) {
    const places = policy.locality.to.map(({ pattern }) => pattern).join(', ');
    return {
      ...refusal('NO_ENDPOINT'),
      why: `localityLbSetting distributes calls to ${places}, where ${policy.service} has no endpoint (UH)`,
    };
  }
  if (policy.panicPercent === 0 && endpoints.every(({ health }) => health === 'unhealthy'))
    return { ...refusal('NO_ENDPOINT'), why: `no endpoint of ${policy.service} is ready (UH)` };
  return undefined;
}

const hashes = (policy: ClusterPolicy | undefined): boolean =>
  policy?.loadBalancer.kind === 'ringHash' || policy?.loadBalancer.kind === 'maglev';

function retriesOf({ retries }: Route, policy: ClusterPolicy | undefined): ExplainedRetries | null {
  if (retries === null) return null;
  const { attempts, retryOn, statusCodes, perTryTimeoutMs, backoff } = retries;
  return {
    attempts,
    retryOn: [...retryOn, ...statusCodes.map(String)],
    perTryTimeoutMs,
    backoffMs: { base: backoff.baseMs, max: backoff.maxMs },
    budget: policy?.retryBudget ?? null,
  };
}

function requestOf(call: Call, headers: Scene['headers'], edits: Edits): ExplainedRequest {
  return {
    method: call.method,
    authority: edits.authority ?? call.authority,
    path: withQuery(edits.path ?? call.path, call.query),
    headers: joined(applyHeaderOps(headers, edits.request)),
  };
}

function responseOf(ops: readonly HeaderOp[]): ExplainedResponse | null {
  if (ops.length === 0) return null;
  const named = (kind: 'set' | 'add'): [string, string][] => ops.flatMap((op) => (op.op === kind ? [[op.name, op.value]] : []));
  return {
    set: Object.fromEntries(named('set')),
    add: joined(named('add')),
    remove: ops.filter(({ op }) => op === 'remove').map(({ name }) => name),
  };
}

function endpointOf({ address, labels, locality }: Endpoint): ExplainedCluster['endpoints'][number] {
  return { address, labels, locality: localityOf(locality) };
}

function localityOf({ region, zone, subzone }: Locality): string | null {
  return `${region}/${zone}/${subzone}`.replace(/\/+$/, '') || null;
}

const BALANCERS: Readonly<Record<LoadBalancer['kind'], string>> = {
  roundRobin: 'ROUND_ROBIN',
  leastRequest: 'LEAST_REQUEST',
  random: 'RANDOM',
  passthrough: 'PASSTHROUGH',
  peakEwma: 'PEAK_EWMA',
  ringHash: 'RING_HASH',
  maglev: 'MAGLEV',
};

// ── sentences ────────────────────────────────────────────────────────────────────────────────────────────────────────

function greet({ service, port }: VirtualHost, call: Call): string[] {
  const addressed = `"${call.host}" on port ${call.port}`;
  if (service === null)
    return [`${addressed} is no service any registry knows; a rule names the host${port === null ? ', on any port' : ''}`];
  return [call.host === service ? `${addressed} is a service of the mesh` : `${addressed} is ${service}`];
}

/** Why the rules before the one that decides did not. */
function passedOver({ routes }: VirtualHost, index: number, call: Call): string[] {
  return routes.slice(0, index < 0 ? routes.length : index).map((route, at) => {
    const failed = conditions(route.match).filter((condition) => !condition.holds(call));
    return `${nameOf(route, at)} did not match: ${failed.map((condition) => describeFailure(condition, call)).join(' and ')}`;
  });
}

function chosen({ routes }: VirtualHost, route: Route, index: number, call: Call): string[] {
  if (route.resource === null) return ['no rule governs it: the implicit route to the service applies'];
  const held = conditions(route.match);
  const how =
    held.length === 0 ? 'matches every request' : `matched: ${held.map((condition) => describeHeld(condition, call)).join(' and ')}`;
  const later = routes.length - index - 1;
  const rest = later === 0 ? [] : [`the first match decides: ${later} later ${later === 1 ? 'rule was' : 'rules were'} not looked at`];
  return [`${nameOf(route, index)} of ${route.resource} ${how}`, ...rest];
}

function nameOf({ name }: Route, index: number): string {
  return name === '' ? `rule ${index + 1}` : `rule ${index + 1} "${name}"`;
}

function describeHeld({ subject, read, must }: Condition, call: Call): string {
  const value = read(call);
  return `${subject} is ${value === undefined ? 'absent' : `"${value}"`} (must ${must})`;
}

function stickiness(key: HashKey, call: Call, edits: Edits): string {
  const [source, present] = hashSource(key, call, edits);
  if (present) return `the endpoint is chosen by a hash of ${source}`;
  if (key.kind === 'cookie' && key.ttlMs !== null)
    return `the endpoint is chosen by a hash of ${source}, which is made up and sent back, for the call has none`;
  return `${source}, by whose hash an endpoint would be chosen, is absent: any endpoint may be`;
}

function hashSource(key: HashKey, call: Call, edits: Edits): [source: string, present: boolean] {
  switch (key.kind) {
    case 'header':
      return [`header ${key.name}`, valuesAfter(key.name, call.headerValues(key.name), edits.request).length > 0];
    case 'cookie':
      return [`cookie ${key.name}`, cookieValue(valuesAfter('cookie', call.headerValues('cookie'), edits.request), key.name) !== undefined];
    case 'query':
      return [`query parameter ${key.name}`, queryValue(call.query, key.name) !== undefined];
    case 'sourceIp':
      return ['the address on whose behalf the call is made', call.sourceIp !== undefined];
  }
}

/** What a refused caller of gRPC sees. */
const refusedAs = (flag: Flag | null): GrpcStatusName =>
  grpcStatusName(flag === ERRORS.NO_ROUTE.flag ? ERRORS.NO_ROUTE.grpc : ERRORS.ROUTE_INVALID.grpc);

/** The status of a refusal as its caller sees it. */
const refusedWith = ({ protocol }: Call, status: number, flag: Flag | null = null): string =>
  protocol === 'grpc' ? refusedAs(flag) : String(status);

// ── small things ─────────────────────────────────────────────────────────────────────────────────────────────────────

function joined(headers: readonly (readonly [name: string, value: string])[]): Record<string, string> {
  const result = new Map<string, string>();
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    const before = result.get(key);
    result.set(key, before === undefined ? value : `${before},${value}`);
  }
  return Object.fromEntries(result);
}

const withQuery = (path: string, query: string): string => (query === '' ? path : `${path}?${query}`);

/** `33.3 %`: a share for people. */
const percentOf = (share: number): string => `${Math.round(share * 1000) / 10} %`;

const onlyOne = (names: readonly (string | null)[]): string | null => (new Set(names).size === 1 ? (names[0] ?? null) : null);

function carries({ labels }: Endpoint, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([name, value]) => labels[name] === value);
}
