import { OPERATION_FIELDS, SOURCE_FIELDS, type Pair, type PolicyRule } from '../kinds/authorization-policy-schema.ts';
import { DRY_RUN_ANNOTATION } from '../kinds/authorization-policy-checks.ts';
import type { ResourceOf } from '../kinds/index.ts';
import type { MeshConfigSpec } from '../kinds/mesh-config.ts';
import { parseConditionKey } from '../kinds/parts/condition-key.ts';
import type { Attribute, AuthorizationPolicy, AuthorizationRule, Condition } from '../inbound.ts';
import type { Workload } from '../model.ts';
import { attachedTo } from './attached.ts';
import { compareText } from './order.ts';
import { expandPrincipals, expandTrustDomains } from './trust-domain.ts';

type Resource = ResourceOf<'AuthorizationPolicy'>;

/** The AuthorizationPolicies that hold for a workload, in an order that does not depend on the document's. */
export const authorizationFor = (policies: readonly Resource[], workload: Workload, mesh: MeshConfigSpec): readonly AuthorizationPolicy[] =>
  attachedTo(policies, workload, mesh.rootNamespace)
    .map((policy) => translate(policy, mesh))
    .sort((a, b) => compareText(a.action, b.action) || compareText(a.namespace, b.namespace) || compareText(a.name, b.name));

function translate({ metadata, spec }: Resource, mesh: MeshConfigSpec): AuthorizationPolicy {
  const meaning = (attribute: Attribute, values: readonly string[]): readonly string[] =>
    [...new Set(meaningOf(attribute, values, metadata.namespace, mesh))].sort(compareText);
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    action: spec.action,
    provider: spec.provider?.name ?? '',
    dryRun: isTrue(metadata.annotations[DRY_RUN_ANNOTATION]),
    // In the order of the document: a rule is known by its index.
    rules: spec.rules.map((rule) => ruleOf(rule, meaning)),
  };
}

/** Go's ParseBool, which validation has asked already. */
const isTrue = (text: string | undefined): boolean => text !== undefined && ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text);

type Meaning = (attribute: Attribute, values: readonly string[]) => readonly string[];

const ruleOf = ({ from = [], to = [], when }: PolicyRule, meaning: Meaning): AuthorizationRule => ({
  from: sorted(from.map(({ source }) => sorted(conditionsOf(source, SOURCE_FIELDS, meaning)))),
  to: sorted(to.map(({ operation }) => sorted(conditionsOf(operation, OPERATION_FIELDS, meaning)))),
  when: sorted(
    when.flatMap(({ key, values, notValues }): Condition[] => {
      const parsed = parseConditionKey(key);
      return 'fault' in parsed ? [] : [conditionOf(parsed.attribute, values, notValues, meaning)];
    }),
  ),
});

/** Alternatives and conjunctions have no order; theirs is that of their text. */
const sorted = <Value>(values: readonly Value[]): readonly Value[] =>
  values.map((value) => ({ value, text: JSON.stringify(value) })).sort((a, b) => compareText(a.text, b.text)).map(({ value }) => value); // prettier-ignore

const conditionsOf = <Name extends string>(
  holder: Readonly<Record<Name, readonly string[]>>,
  pairs: readonly Pair<Name>[],
  meaning: Meaning,
): readonly Condition[] =>
  pairs
    .filter(({ field, not }) => holder[field].length + holder[not].length > 0)
    .map(({ field, not, attribute }) => conditionOf({ name: attribute }, holder[field], holder[not], meaning));

const conditionOf = (attribute: Attribute, values: readonly string[], notValues: readonly string[], meaning: Meaning): Condition => ({
  attribute,
  values: meaning(attribute, values),
  notValues: meaning(attribute, notValues),
});

/** Values as the decision compares them. */
function meaningOf({ name }: Attribute, values: readonly string[], namespace: string, mesh: MeshConfigSpec): readonly string[] {
  switch (name) {
    case 'source.principal':
      return expandPrincipals(values, mesh);
    case 'source.trustDomain':
      return expandTrustDomains(values, mesh);
    case 'source.serviceAccount':
      return values.map((account) => (account.includes('/') ? account : `${namespace}/${account}`));
    case 'destination.port':
      return values.map((port) => String(Number(port)));
    default:
      return values;
  }
}
