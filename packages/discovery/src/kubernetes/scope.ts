/** Namespaces whose objects are followed: some, or all of the cluster (`*`). */
export type Scope = readonly string[] | '*';

/** `shop+web`, `*`; '' is the process's own namespace. */
export function parseScope(spec: string): Scope | undefined {
  const names = spec.split('+').map((name) => name.trim()).filter((name) => name !== ''); // prettier-ignore
  if (names.length === 0) return undefined;
  if (names.includes('*')) return '*';
  const wrong = names.find((name) => !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name));
  if (wrong !== undefined)
    throw new Error(`kubernetes:${spec}: "${wrong}" is no namespace; write kubernetes:shop+web, or kubernetes:* for all`);
  return [...new Set(names)];
}

/** A collection of the API. */
export interface Collection {
  /** `/api/v1`, `/apis/networking.istio.io/v1`. */
  readonly root: string;
  /** `virtualservices`. */
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** Where the objects of a collection are listed: once for the whole cluster, or in each namespace. */
export function placesOf(
  { root, plural, namespaced }: Collection,
  scope: Scope,
): readonly { readonly path: string; readonly what: string }[] {
  if (!namespaced || scope === '*') return [{ path: `${root}/${plural}`, what: `${plural} of the cluster` }];
  return scope.map((namespace) => ({ path: `${root}/namespaces/${namespace}/${plural}`, what: `${plural} of namespace ${namespace}` }));
}

export const inScope = (scope: Scope, namespace: string): boolean => scope === '*' || scope.includes(namespace);
