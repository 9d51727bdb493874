import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { kinds } from '@inmesh/policy';
import { expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { KubeShop, pod, service, slice } from '../support/kube-shop.ts';
import { ALL_KINDS, type SeenRequest } from '../support/kube-api.ts';
import { Refusal } from '../support/kube-store.ts';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

const folder = join(import.meta.dirname, '../../docs/discovery/kubernetes');
const documents = (name: string) =>
  parseAllDocuments(readFileSync(join(folder, name), 'utf8')).map(
    (document) => document.toJS() as { kind: string; rules?: readonly Rule[]; spec?: unknown },
  );
const rulesOf = (kind: string): readonly Rule[] =>
  documents('rbac.yaml').flatMap((document) => (document.kind === kind ? (document.rules ?? []) : []));

/** `group/plural` and the verb a request needs, and whether it stays in a namespace; undefined: everybody may. */
function needs({ path, watch, method }: SeenRequest) {
  const match = /^\/(?:api\/v1|apis\/([^/]+)\/[^/]+)(\/namespaces\/shop)?\/([^/]+)(\/[^/]+)?$/.exec(path);
  if (match === null) return undefined;
  const verb = method !== 'GET' ? 'write' : watch ? 'watch' : match[4] === undefined ? 'list' : 'get';
  return { resource: `${match[1] ?? ''}/${match[3]}`, verb, namespaced: match[2] !== undefined };
}

it('is all that a process needs, and nothing besides', async () => {
  await using shop = await KubeShop.open();
  const allows = (rules: readonly Rule[], resource: string, verb: string) =>
    rules.some(
      ({ apiGroups, resources, verbs }) =>
        apiGroups.some((group) => resources.some((plural) => `${group}/${plural}` === resource)) && verbs.includes(verb),
    );
  const used = new Set<string>();
  shop.api.refuse((request) => {
    const needed = needs(request);
    if (needed === undefined) return undefined;
    const rules = needed.namespaced ? rulesOf('Role') : rulesOf('ClusterRole');
    used.add(`${needed.resource} ${needed.verb}`);
    return allows(rules, needed.resource, needed.verb) ? undefined : new Refusal(403, 'Forbidden', `${needed.verb} ${needed.resource}`);
  });
  const a = await shop.pod('a');
  shop.apply(
    service('reviews'),
    slice('reviews-a', 'reviews', a, [{ pod: 'a', node: 'n1' }]),
    pod('a', { app: 'reviews', 'security.istio.io/tlsMode': 'istio' }),
  );
  const mesh = await shop.mesh();
  expect((await mesh.request('http://reviews/')).text()).toBe('a');
  const { registries, source } = mesh.status();
  expect([registries[0]!.trouble, source.trouble]).toEqual(['', '']);
  const granted = [...rulesOf('Role'), ...rulesOf('ClusterRole')].flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((plural) => verbs.map((verb) => `${group}/${plural} ${verb}`))),
  );
  await expect.poll(() => granted.filter((one) => !used.has(one))).toEqual([]);
});

it('has CRDs for all kinds of inmesh.dev', () => {
  const defined = documents('crds.yaml').map(({ spec }) => spec as { group: string; names: { kind: string; plural: string } });
  const own = kinds.filter(({ group }) => group === 'inmesh.dev').map(({ kind }) => kind);
  expect(defined.map(({ names }) => names.kind).sort()).toEqual(own.sort());
  expect(defined.filter(({ names }) => !ALL_KINDS.some(({ plural, kind }) => plural === names.plural && kind === names.kind))).toEqual([]);
});
