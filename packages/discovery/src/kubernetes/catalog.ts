import { kinds } from '@inmesh/policy';
import type { Api } from './api.ts';
import type { Collection } from './scope.ts';

/** Kinds a policy is made of: those of Istio, of the Gateway API and our own. */
const POLICY_KINDS = kinds.filter(({ group }) => group !== '' && group !== 'discovery.k8s.io');

/** Which of the policy kinds a cluster serves, by `group/Kind`, each at the version we like best. Rejects with ApiError. */
export async function catalogOf(api: Api, signal: AbortSignal): Promise<ReadonlyMap<string, Collection>> {
  const served = new Map<string, readonly string[]>();
  for (const { name, versions } of listAt(await api.get('/apis', { signal }), 'groups'))
    served.set(
      String(name),
      (Array.isArray(versions) ? (versions as { readonly version?: unknown }[]) : []).map(({ version }) => String(version)),
    );
  const found = new Map<string, Collection>();
  for (const [group, wanted] of Map.groupBy(POLICY_KINDS, ({ group }) => group)) {
    const preferred = wanted[0]!.versions.filter((version) => served.get(group)?.includes(version));
    for (const version of preferred) {
      const root = `/apis/${group}/${version}`;
      for (const { name, kind, namespaced, verbs } of listAt(await api.get(root, { signal }), 'resources')) {
        const ours = wanted.some((one) => one.kind === kind && one.versions.includes(version));
        // `virtualservices/status` is of the same kind.
        if (!ours || String(name).includes('/') || (Array.isArray(verbs) && !verbs.includes('watch'))) continue;
        const key = `${group}/${String(kind)}`;
        if (!found.has(key)) found.set(key, { root, plural: String(name), kind: String(kind), namespaced: namespaced !== false });
      }
    }
  }
  return found;
}

function listAt(value: unknown, field: string): readonly Readonly<Record<string, unknown>>[] {
  const list = ((value ?? {}) as Readonly<Record<string, unknown>>)[field];
  return Array.isArray(list) ? (list as Readonly<Record<string, unknown>>[]) : [];
}
