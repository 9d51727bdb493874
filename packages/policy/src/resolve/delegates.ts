import type { Resource } from '../document.ts';
import type { VirtualServiceSpec } from '../kinds/virtual-service.ts';
import type { StringMatch } from '../model.ts';
import { fullName } from './hosts.ts';
import { labelOf } from './order.ts';
import { visibleTo } from './visibility.ts';

type VirtualServiceResource = Resource<'VirtualService', VirtualServiceSpec>;
export type HttpRule = VirtualServiceSpec['http'][number];
export type HttpMatch = HttpRule['match'][number];

/** A rule with the namespace its short names mean: that of the resource it was written in, which for a delegate is another. */
export interface OwnedRule {
  readonly rule: HttpRule;
  readonly namespace: string;
}

/** VirtualServices without hosts, by `namespace/name`. */
export type Delegates = ReadonlyMap<string, VirtualServiceResource>;

export const delegatesOf = (virtualServices: readonly VirtualServiceResource[]): Delegates =>
  new Map(
    virtualServices.filter(({ spec }) => spec.hosts.length === 0).map((one) => [`${one.metadata.namespace}/${one.metadata.name}`, one]),
  );

/**
 * The rules of a VirtualService with those it delegates put in their places (Istio pilot/pkg/model/virtualservice.go).
 * One level. Rules that drop out leave a sentence in `notes`.
 */
export function expandDelegates(
  root: VirtualServiceResource,
  delegates: Delegates,
  mesh: { readonly domain: string; readonly defaultVirtualServiceExportTo: readonly string[] },
  notes: string[],
): readonly OwnedRule[] {
  const { namespace } = root.metadata;
  const defaultExportTo = mesh.defaultVirtualServiceExportTo;
  const resource = labelOf(root);
  return root.spec.http.flatMap((rule, index): OwnedRule[] => {
    if (rule.delegate === undefined) return [{ rule, namespace }];
    const key = `${rule.delegate.namespace ?? namespace}/${rule.delegate.name ?? ''}`;
    const delegate = delegates.get(key);
    const name = `rule ${index + 1}${rule.name === undefined ? '' : ` "${rule.name}"`} of ${resource}`;
    if (delegate === undefined) {
      notes.push(`${name} is left out: there is no VirtualService ${key} without hosts to delegate to`);
      return [];
    }
    if (!visibleTo(delegate.spec.exportTo, defaultExportTo, delegate.metadata.namespace, namespace)) {
      notes.push(`${name} is left out: ${labelOf(delegate)} is not exported to namespace ${namespace}`);
      return [];
    }
    const outer = qualified(rule, namespace, mesh.domain);
    notes.push(`${name} takes its rules from ${labelOf(delegate)}`);
    return delegate.spec.http.flatMap((inner, at): OwnedRule[] => {
      if (inner.delegate !== undefined) {
        notes.push(`rule ${at + 1} of ${labelOf(delegate)} is left out: a delegate cannot delegate further`);
        return [];
      }
      const merged = mergeRule(outer, inner);
      if (merged !== undefined) return [{ rule: merged, namespace: delegate.metadata.namespace }];
      notes.push(
        `rule ${at + 1}${inner.name === undefined ? '' : ` "${inner.name}"`} of ${labelOf(delegate)} is left out: a match of it contradicts every match of ${name}`,
      );
      return [];
    });
  });
}

// What a delegate takes over from its root keeps meaning the root's namespace.
const qualified = (rule: HttpRule, namespace: string, domain: string): HttpRule => ({
  ...rule,
  mirror: rule.mirror && { ...rule.mirror, host: fullName(rule.mirror.host, namespace, domain) },
  mirrors: rule.mirrors.map((one) => ({
    ...one,
    destination: { ...one.destination, host: fullName(one.destination.host, namespace, domain) },
  })),
});

const joined = (root: string | undefined, leaf: string | undefined): string | undefined =>
  root === undefined || leaf === undefined ? (leaf ?? root) : `${root}-${leaf}`;

/** The delegate's blocks win whole, the root's fill gaps. undefined: the matches contradict each other. */
function mergeRule(root: HttpRule, leaf: HttpRule): HttpRule | undefined {
  const match = mergeMatches(root.match, leaf.match);
  if (match === undefined) return undefined;
  return {
    ...leaf,
    match,
    name: joined(root.name, leaf.name),
    rewrite: leaf.rewrite ?? root.rewrite,
    directResponse: leaf.directResponse ?? root.directResponse,
    timeout: leaf.timeout ?? root.timeout,
    retries: leaf.retries ?? root.retries,
    fault: leaf.fault ?? root.fault,
    mirror: leaf.mirror ?? root.mirror,
    mirrorPercent: leaf.mirrorPercent ?? root.mirrorPercent,
    mirror_percent: leaf.mirror_percent ?? root.mirror_percent,
    mirrorPercentage: leaf.mirrorPercentage ?? root.mirrorPercentage,
    mirrors: leaf.mirrors.length > 0 ? leaf.mirrors : root.mirrors,
    corsPolicy: leaf.corsPolicy ?? root.corsPolicy,
    headers: leaf.headers ?? root.headers,
  };
}

/** Each match of the delegate with each of the root's it is compatible with; one that has none drops the whole rule. */
function mergeMatches(root: readonly HttpMatch[], leaf: readonly HttpMatch[]): HttpMatch[] | undefined {
  if (root.length === 0) return [...leaf];
  if (leaf.length === 0) return [...root];
  const merged: HttpMatch[] = [];
  for (const inner of leaf) {
    const compatible = root.filter((outer) => !contradict(outer, inner));
    if (compatible.length === 0) return undefined;
    merged.push(...compatible.map((outer) => mergeMatch(outer, inner)));
  }
  return merged;
}

const mergeMatch = (root: HttpMatch, leaf: HttpMatch): HttpMatch => ({
  ...leaf,
  name: joined(root.name, leaf.name),
  uri: leaf.uri ?? root.uri,
  scheme: leaf.scheme ?? root.scheme,
  method: leaf.method ?? root.method,
  authority: leaf.authority ?? root.authority,
  headers: { ...root.headers, ...leaf.headers },
  withoutHeaders: { ...root.withoutHeaders, ...leaf.withoutHeaders },
  queryParams: { ...root.queryParams, ...leaf.queryParams },
  port: leaf.port ?? root.port,
  sourceLabels: { ...root.sourceLabels, ...leaf.sourceLabels },
  sourceNamespace: leaf.sourceNamespace ?? root.sourceNamespace,
  gateways: leaf.gateways.length > 0 ? leaf.gateways : root.gateways,
  statPrefix: leaf.statPrefix ?? root.statPrefix,
});

/** Istio's hasConflict. */
function contradict(root: HttpMatch, leaf: HttpMatch): boolean {
  const among = (outer: Readonly<Record<string, StringMatch>>, inner: Readonly<Record<string, StringMatch>>): boolean =>
    Object.entries(inner).some(([name, match]) => Object.hasOwn(outer, name) && valuesContradict(outer[name], match));
  return (
    valuesContradict(root.uri, leaf.uri) ||
    valuesContradict(root.scheme, leaf.scheme) ||
    valuesContradict(root.method, leaf.method) ||
    valuesContradict(root.authority, leaf.authority) ||
    among(root.headers, leaf.headers) ||
    among(root.withoutHeaders, leaf.withoutHeaders) ||
    among(root.queryParams, leaf.queryParams) ||
    root.ignoreUriCase !== leaf.ignoreUriCase ||
    (root.port !== undefined && leaf.port !== undefined && root.port !== leaf.port) ||
    (root.sourceNamespace !== undefined && leaf.sourceNamespace !== root.sourceNamespace) ||
    Object.entries(leaf.sourceLabels).some(([key, value]) => Object.hasOwn(root.sourceLabels, key) && root.sourceLabels[key] !== value) ||
    (root.gateways.length > 0 && leaf.gateways.some((gateway) => !root.gateways.includes(gateway)))
  );
}

/** Istio's stringMatchConflict: prefix extends prefix, exact lies under prefix or equals exact; all else contradicts. */
function valuesContradict(root: StringMatch | undefined, leaf: StringMatch | undefined): boolean {
  if (root === undefined || leaf === undefined) return false;
  if (root.kind === 'exact') return leaf.kind !== 'exact' || leaf.value !== root.value;
  if (root.kind === 'prefix') return !(leaf.kind === 'prefix' || leaf.kind === 'exact') || !leaf.value.startsWith(root.value);
  return true;
}
