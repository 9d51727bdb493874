import { LOAD_BALANCER_ANNOTATION } from '../kinds/destination-rule.ts';
import type { ResourceOf } from '../kinds/index.ts';
import type { MeshConfigSpec } from '../kinds/mesh-config.ts';
import type { TrafficPolicy } from '../kinds/parts/traffic-policy.ts';
import type { HashKey, Service, Workload } from '../model.ts';
import { fullName, HostIndex } from './hosts.ts';
import { byAge, labelOf } from './order.ts';
import { selects, visibleTo } from './visibility.ts';

type DestinationRule = ResourceOf<'DestinationRule'>;
type Subset = DestinationRule['spec']['subsets'][number];
type Blocks = Pick<TrafficPolicy, 'connectionPool' | 'loadBalancer' | 'outlierDetection' | 'tls'>;

/** What holds for a destination: one DestinationRule, or several of one namespace for one host made into one. */
export interface Rule {
  /** `DestinationRule ns/name`, the oldest first. */
  readonly resources: readonly string[];
  readonly trafficPolicy: TrafficPolicy | undefined;
  readonly subsets: ReadonlyMap<string, Subset>;
  /** The annotation inmesh.dev/load-balancer asks for Peak EWMA. */
  readonly peakEwma: boolean;
  readonly exportTo: readonly string[];
  readonly selector: Readonly<Record<string, string>> | undefined;
}

/** The blocks that hold for one port of one subset. A block left out is Istio's default. */
export type EffectivePolicy = Partial<Blocks & Pick<TrafficPolicy, 'tunnel' | 'proxyProtocol' | 'retryBudget'>>;

export interface Rules {
  /** The rule that holds for a service, if any. */
  for(service: Pick<Service, 'host' | 'namespace'>): Rule | undefined;
}

/**
 * Finds the DestinationRule of a service (Istio push_context.go, destinationRule): in the workload's own namespace, then
 * the service's as far as exported, then the root's; in each the most specific host. The first hit is the whole rule:
 * nothing is inherited from further away.
 */
export function rulesOf(destinationRules: readonly DestinationRule[], workload: Workload, mesh: MeshConfigSpec): Rules {
  const local = new HostIndex<readonly Rule[]>();
  const exported = new Map<string, HostIndex<readonly Rule[]>>();
  const privateRoot = new HostIndex<readonly Rule[]>();
  const fallback = mesh.defaultDestinationRuleExportTo;

  for (const resource of destinationRules.toSorted((a, b) => byAge(a.metadata, b.metadata))) {
    const { namespace } = resource.metadata;
    const host = fullName(resource.spec.host, namespace, mesh.domain);
    const rule = ruleOf(resource);
    const { exportTo } = rule;
    // A rule exported to others only is not seen at home.
    const seenAtHome = exportTo.length === 0 || exportTo.some((target) => target === '*' || target === '.' || target === namespace);
    if (seenAtHome && namespace === workload.namespace) local.add(host, [rule], join);
    const isPrivate =
      exportTo.length === 0 ? fallback.includes('.') : exportTo.length === 1 && (exportTo[0] === '.' || exportTo[0] === namespace);
    if (!isPrivate) {
      let index = exported.get(namespace);
      if (index === undefined) exported.set(namespace, (index = new HostIndex()));
      index.add(host, [rule], join);
    } else if (namespace === mesh.rootNamespace) privateRoot.add(host, [rule], join);
  }

  const exportedFrom = (namespace: string, host: string): readonly Rule[] => {
    const found = exported.get(namespace)?.mostSpecific(host) ?? [];
    return found.filter(({ exportTo }) => exportTo.length === 0 || visibleTo(exportTo, fallback, namespace, workload.namespace));
  };

  const select = ({ host, namespace }: Pick<Service, 'host' | 'namespace'>): Rule | undefined => {
    // A workload of the root namespace sees its private rules first; its public ones are everybody's last resort.
    const own = workload.namespace === mesh.rootNamespace ? privateRoot : local;
    const first = own.mostSpecific(host);
    if (first !== undefined) return selected(first, workload);
    const near = exportedFrom(namespace, host);
    return selected(near.length > 0 ? near : exportedFrom(mesh.rootNamespace, host), workload);
  };

  const memo = new Map<Pick<Service, 'host' | 'namespace'>, Rule | undefined>();
  return {
    for: (service) => {
      let rule = memo.get(service);
      if (rule === undefined && !memo.has(service)) memo.set(service, (rule = select(service)));
      return rule;
    },
  };
}

const ruleOf = (resource: DestinationRule): Rule => {
  const { spec, metadata } = resource;
  const subsets = new Map<string, Subset>();
  for (const subset of spec.subsets) if (!subsets.has(subset.name)) subsets.set(subset.name, subset);
  return {
    resources: [labelOf(resource)],
    trafficPolicy: spec.trafficPolicy,
    subsets,
    peakEwma: metadata.annotations[LOAD_BALANCER_ANNOTATION] === 'PEAK_EWMA',
    // A rule for some workloads holds in its own namespace only.
    exportTo: spec.workloadSelector === undefined ? spec.exportTo : ['.'],
    selector: spec.workloadSelector?.matchLabels,
  };
};

/** Rules of one namespace for one host become one if they are exported alike and select the same; else they stand side by side. */
function join(present: readonly Rule[], [added]: readonly Rule[]): readonly Rule[] {
  if (added === undefined) return present;
  const at = present.findIndex((rule) => sameWords(rule.exportTo, added.exportTo) && sameSelector(rule.selector, added.selector));
  return at < 0 ? [...present, added] : present.with(at, merge(present[at]!, added));
}

/** The older rule's traffic policy holds as a block; subsets are put together, and of one name the older holds (mergeDestinationRule). */
const merge = (older: Rule, younger: Rule): Rule => ({
  ...older,
  resources: [...older.resources, ...younger.resources],
  trafficPolicy: older.trafficPolicy ?? younger.trafficPolicy,
  peakEwma: older.peakEwma || younger.peakEwma,
  subsets: new Map([...younger.subsets, ...older.subsets]),
});

const sameWords = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((word) => b.includes(word));

const sameSelector = (a: Rule['selector'], b: Rule['selector']): boolean =>
  a === undefined || b === undefined ? a === b : Object.keys(a).length === Object.keys(b).length && selects(a, b);

/** A rule whose selector holds beats those for everybody; of these the youngest is left (SidecarScope.DestinationRule). */
const selected = (rules: readonly Rule[], { labels }: Workload): Rule | undefined =>
  rules.find(({ selector }) => selector !== undefined && selects(selector, labels)) ??
  rules.findLast(({ selector }) => selector === undefined);

/**
 * The policy of one port of one subset (Istio util.MergeSubsetTrafficPolicy). Settings of a port replace those around
 * them as a whole, defaults included; they have no tunnel, proxyProtocol and retryBudget, so the port loses the rule's,
 * while a port block of a subset leaves what the rule had, and hides the subset's own.
 * Last, the mesh's default blocks fill what is unset.
 */
export function policyFor(
  rule: Rule | undefined,
  subset: string | undefined,
  port: number,
  defaults: MeshConfigSpec['defaultTrafficPolicy'],
): EffectivePolicy {
  const base = portPolicy(rule?.trafficPolicy, port);
  const own = subset === undefined ? undefined : rule?.subsets.get(subset)?.trafficPolicy;
  const layered = own === undefined ? base : layer(base, own, port);
  return {
    ...layered,
    connectionPool: layered.connectionPool ?? defaults?.connectionPool,
    outlierDetection: layered.outlierDetection ?? defaults?.outlierDetection,
  };
}

const portBlock = (policy: TrafficPolicy | undefined, port: number): Blocks | undefined =>
  policy?.portLevelSettings.find((settings) => settings.port?.number === port);

const blocksOf = ({ connectionPool, loadBalancer, outlierDetection, tls }: Blocks): Blocks => ({
  connectionPool,
  loadBalancer,
  outlierDetection,
  tls,
});

function portPolicy(policy: TrafficPolicy | undefined, port: number): EffectivePolicy {
  if (policy === undefined) return {};
  const block = portBlock(policy, port);
  return block === undefined
    ? { ...blocksOf(policy), tunnel: policy.tunnel, proxyProtocol: policy.proxyProtocol, retryBudget: policy.retryBudget }
    : blocksOf(block);
}

function layer(base: EffectivePolicy, own: TrafficPolicy, port: number): EffectivePolicy {
  const block = portBlock(own, port);
  if (block !== undefined) return { ...base, ...blocksOf(block) };
  return {
    connectionPool: own.connectionPool ?? base.connectionPool,
    loadBalancer: own.loadBalancer ?? base.loadBalancer,
    outlierDetection: own.outlierDetection ?? base.outlierDetection,
    tls: own.tls ?? base.tls,
    tunnel: own.tunnel ?? base.tunnel,
    proxyProtocol: own.proxyProtocol ?? base.proxyProtocol,
    retryBudget: own.retryBudget ?? base.retryBudget,
  };
}

type ConsistentHash = NonNullable<NonNullable<TrafficPolicy['loadBalancer']>['consistentHash']>;

/**
 * The key of consistent hashing is looked up along another chain than the policy (Istio route.go,
 * HashForHTTPDestination): subset port, subset, rule port, rule; the ports only if the route names one. A ring without
 * a key is possible that way: then endpoints are drawn at random.
 */
export function hashKeysFor(rule: Rule | undefined, subset: string | undefined, namedPort: number | undefined): readonly HashKey[] {
  const own = subset === undefined ? undefined : rule?.subsets.get(subset)?.trafficPolicy;
  const atPort = (policy: TrafficPolicy | undefined): ConsistentHash | undefined =>
    namedPort === undefined ? undefined : portBlock(policy, namedPort)?.loadBalancer?.consistentHash;
  const hash =
    atPort(own) ?? own?.loadBalancer?.consistentHash ?? atPort(rule?.trafficPolicy) ?? rule?.trafficPolicy?.loadBalancer?.consistentHash;
  return hash === undefined ? [] : keysOf(hash);
}

/** The key a consistentHash block names: one, or none if the block is void. */
export function keysOf({ httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName }: ConsistentHash): readonly HashKey[] {
  if (httpHeaderName !== undefined) return [{ kind: 'header', name: httpHeaderName.toLowerCase() }];
  if (httpCookie !== undefined) {
    const { name, path, ttl, attributes } = httpCookie;
    return [
      {
        kind: 'cookie',
        name,
        path: path ?? '',
        ttlMs: ttl ?? null,
        attributes: attributes.map((one) => ({ name: one.name, value: one.value ?? '' })),
      },
    ];
  }
  if (useSourceIp === true) return [{ kind: 'sourceIp' }];
  return httpQueryParameterName === undefined ? [] : [{ kind: 'query', name: httpQueryParameterName }];
}
