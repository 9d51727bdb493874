import type { PolicyOperation, PolicyRule, PolicySource } from '../kinds/authorization-policy-schema.ts';
import type { ResourceOf } from '../kinds/index.ts';

/** What lints over policies that select workloads ask of them. */

export type Path = readonly (string | number)[];
export type Policy = ResourceOf<'AuthorizationPolicy'>;

type Labels = Readonly<Record<string, string>>;
type Security = ResourceOf<'AuthorizationPolicy' | 'RequestAuthentication' | 'PeerAuthentication'>;

/** Labels a policy selects by; none: every workload. */
export const selectorOf = ({ spec }: Pick<Security | ResourceOf<'Telemetry'>, 'spec'>): Labels => spec.selector?.matchLabels ?? {};

/** It is attached to a gateway or waypoint, so that no workload obeys it. */
export const elsewhere = ({ spec }: Policy | ResourceOf<'RequestAuthentication' | 'Telemetry'>): boolean =>
  spec.targetRef !== undefined || (spec.targetRefs ?? []).length > 0;

export const compatible = (a: Labels, b: Labels): boolean =>
  Object.entries(a).every(([key, value]) => b[key] === undefined || b[key] === value);

/**
 * Whether some workload could have a policy and one of the others as well: labels that contradict each other rule it
 * out, and so do two namespaces. Each selector of the others is asked once.
 */
export function meeting(others: readonly Security[], rootNamespace: string): (policy: Security) => boolean {
  const byNamespace = new Map<string, Map<string, Labels>>();
  for (const other of others) {
    const { namespace } = other.metadata;
    let selectors = byNamespace.get(namespace);
    if (selectors === undefined) byNamespace.set(namespace, (selectors = new Map()));
    selectors.set(JSON.stringify(selectorOf(other)), selectorOf(other));
  }
  return (policy) => {
    const { namespace } = policy.metadata;
    const places = namespace === rootNamespace ? [...byNamespace.keys()] : [namespace, rootNamespace];
    const met = (selector: Labels): boolean => compatible(selector, selectorOf(policy));
    return places.some((place) => [...(byNamespace.get(place)?.values() ?? [])].some(met));
  };
}

/** One thing of a policy, and where it stands. */
interface Placed<Value> {
  readonly value: Value;
  readonly path: Path;
}

export const rulesOf = ({ spec }: Policy): Placed<PolicyRule>[] =>
  spec.rules.map((value, index) => ({ value, path: ['spec', 'rules', index] }));

export const sourcesOf = ({ value, path }: Placed<PolicyRule>): Placed<PolicySource>[] =>
  (value.from ?? []).map(({ source }, index) => ({ value: source, path: [...path, 'from', index, 'source'] }));

export const operationsOf = ({ value, path }: Placed<PolicyRule>): Placed<PolicyOperation>[] =>
  (value.to ?? []).map(({ operation }, index) => ({ value: operation, path: [...path, 'to', index, 'operation'] }));
