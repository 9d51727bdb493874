import type { Attribute } from '../inbound.ts';
import { clip } from '../schema/scalars.ts';
import {
  OPERATION_FIELDS,
  SOURCE_FIELDS,
  type AuthorizationPolicySpec,
  type Pair,
  type PolicyRule,
} from './authorization-policy-schema.ts';
import type { Check, Partly, Path, Report } from './kind.ts';
import { checkAttachment } from './parts/attachment.ts';
import { parseConditionKey } from './parts/condition-key.ts';
import { isTemplate, valueFault } from './parts/policy-value.ts';

/** What Istio's validation of an AuthorizationPolicy refuses (pkg/config/validation, pkg/config/security), and the rules of its CRD. */

/** A policy under this annotation is judged and reported, not enforced. */
export const DRY_RUN_ANNOTATION = 'istio.io/dry-run';

const attached: Check<AuthorizationPolicySpec> = (spec, report) => checkAttachment(spec, report);

const action: Check<AuthorizationPolicySpec> = (spec, report, { annotations }) => {
  const { action: word, provider, rules } = spec;
  if (word === undefined) return;
  if ((word === 'DENY' || word === 'CUSTOM') && rules?.length === 0)
    report.error(['rules'], `${word} without rules never matches a call`, 'add a rule; {} matches every call');
  if (word === 'CUSTOM' && provider === undefined)
    report.error(['provider'], 'CUSTOM needs a provider', 'name the extension provider: provider: { name: … }');
  if (word !== 'CUSTOM' && provider !== undefined)
    report.conflict(['provider'], `${word} excludes provider`, 'remove it, or use action CUSTOM');
  if (annotations[DRY_RUN_ANNOTATION] !== undefined && word !== 'ALLOW' && word !== 'DENY')
    report.error(['action'], `${word} cannot run dry`, `remove annotation ${DRY_RUN_ANNOTATION}; it is for ALLOW and DENY`);
};

const rules: Check<AuthorizationPolicySpec> = (spec, report) => {
  for (const [index, rule] of (spec.rules ?? []).entries())
    if (rule !== undefined) checkRule(rule, spec.action === 'CUSTOM', ['rules', index], report);
};

function checkRule(rule: Partly<PolicyRule>, custom: boolean, at: Path, report: Report): void {
  for (const [index, entry] of (rule.from ?? []).entries()) {
    const where = [...at, 'from', index, 'source'];
    const source = entry?.source;
    if (source === undefined) continue;
    checkPairs(source, SOURCE_FIELDS, where, report);
    if (lengthOf(source.serviceAccounts) + lengthOf(source.notServiceAccounts) > 0)
      for (const field of ['principals', 'notPrincipals', 'namespaces', 'notNamespaces'] as const)
        if (lengthOf(source[field]) > 0)
          report.conflict([...where, field], `service accounts exclude ${field}`, 'write them as principals, or use two entries of from');
    if (custom)
      for (const { field, not, attribute } of SOURCE_FIELDS)
        for (const name of [field, not])
          if (afterCustom(attribute) && lengthOf(source[name]) > 0) report.error([...where, name], `${name} ${TOO_EARLY}`, CUSTOM_KNOWS);
  }
  for (const [index, entry] of (rule.to ?? []).entries())
    if (entry?.operation !== undefined) checkPairs(entry.operation, OPERATION_FIELDS, [...at, 'to', index, 'operation'], report);
  for (const [index, condition] of (rule.when ?? []).entries())
    if (condition?.key !== undefined) checkCondition({ ...condition, key: condition.key }, custom, [...at, 'when', index], report);
}

const lengthOf = (list: readonly unknown[] | undefined): number => list?.length ?? 0;

/** At least one field says something, and what each says can be compared. */
function checkPairs<Name extends string>(
  holder: { readonly [Key in Name]?: readonly (string | undefined)[] | undefined },
  pairs: readonly Pair<Name>[],
  at: Path,
  report: Report,
): void {
  const given = pairs.flatMap(({ field, not, attribute }) => [field, not].map((name) => ({ name, attribute, list: holder[name] ?? [] })));
  if (given.every(({ list }) => list.length === 0))
    report.error(at, `${String(at.at(-1))} is empty`, `it needs one of ${pairs.map(({ field }) => field).join(', ')} or their not… twins`);
  for (const { name, attribute, list } of given) checkValues(list, attribute, [...at, name], report);
}

function checkCondition(
  { key, values = [], notValues = [] }: Partly<PolicyRule['when'][number]> & { readonly key: string },
  custom: boolean,
  at: Path,
  report: Report,
): void {
  const parsed = parseConditionKey(key);
  if ('fault' in parsed) return report.error([...at, 'key'], parsed.fault);
  const { name } = parsed.attribute;
  if (values.length + notValues.length === 0)
    report.error(at, `condition ${clip(key)} has neither values nor notValues`, 'add one of them; ["*"] asks that it is there');
  checkValues(values, name, [...at, 'values'], report);
  checkValues(notValues, name, [...at, 'notValues'], report);
  if (custom && afterCustom(name)) report.error([...at, 'key'], `${clip(key)} ${TOO_EARLY}`, CUSTOM_KNOWS);
  if (name === 'experimental.envoy.filters')
    report.info(
      [...at, 'key'],
      'key is accepted but not honoured: it is about what filters of Envoy found out, which no process has, so it is always missing',
      '',
      'INM0301',
    );
}

function checkValues(list: readonly (string | undefined)[], attribute: Attribute['name'], at: Path, report: Report): void {
  for (const [index, value] of list.entries()) {
    if (value === undefined) continue;
    const fault = valueFault(attribute, value);
    if (fault !== undefined) report.error([...at, index], fault);
    else if (literalStar(attribute, value))
      report.warning(
        [...at, index],
        `a * in the middle of "${clip(value)}" is just that character`,
        'a wildcard stands at the beginning or the end',
      );
    else if (attribute === 'source.principal' && /^\w+:\/\//.test(value))
      report.warning(
        [...at, index],
        `"${clip(value)}" fits nobody: principals have no scheme`,
        `write "${clip(value.replace(/^\w+:\/\//, ''))}"`,
      );
  }
}

/** Attributes whose wildcards stand elsewhere, or nowhere. */
const OTHER_FORMS: ReadonlySet<Attribute['name']> = new Set(['source.namespace', 'experimental.envoy.filters']);

const literalStar = (attribute: Attribute['name'], value: string): boolean =>
  !OTHER_FORMS.has(attribute) && !isTemplate(value) && value.length > 1 && value.replace(/^\*|\*$/, '').includes('*');

/** CUSTOM is decided before tokens are read, and Istio keeps it from identities too. */
const afterCustom = (attribute: Attribute['name']): boolean =>
  attribute.startsWith('request.auth.') ||
  ['source.principal', 'source.namespace', 'source.serviceAccount', 'source.trustDomain'].includes(attribute);

const TOO_EARLY = 'is not supported with action CUSTOM';
const CUSTOM_KNOWS = 'a CUSTOM rule asks for addresses, hosts, ports, methods, paths and headers';

/** Rules over several fields of an AuthorizationPolicy. */
export const authorizationPolicyChecks: readonly Check<AuthorizationPolicySpec>[] = [attached, action, rules];
