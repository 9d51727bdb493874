import * as v from 'valibot';
import { documented, optional, required, text } from '../../schema/fields.ts';
import { labels } from '../../schema/scalars.ts';
import type { Partly, Report } from '../kind.ts';

/** Which workloads a policy is for. */
export const selectorOf = (honoured: string) =>
  optional(
    v.object({ matchLabels: v.optional(documented(labels, 'Labels a workload must carry, all of them.', { honoured }), {}) }),
    'Workloads the policy is for.',
    { default: 'all of the namespace; of a policy in the root namespace, all of the mesh', honoured },
  );

/** Which workloads a policy of security.istio.io is for. */
export const selector = selectorOf('S');

const AT_GATEWAYS = 'Istio applies it at gateways and waypoints, never at the workload itself; write a selector instead';

const reference = v.object({
  group: text('API group of the target, "" for a Service.'),
  kind: required(v.string(), 'Gateway, GatewayClass (policies of the root namespace only), Service or ServiceEntry.'),
  name: required(v.pipe(v.string(), v.minLength(1, 'is empty\nname the target')), 'Name of the target.'),
  namespace: text('Namespace of the target, which is that of the policy.'),
});

/** What a policy is for, in the words of the Gateway API. */
export const targets = {
  targetRef: optional(reference, 'What the policy is for, in older releases.', { notHonoured: AT_GATEWAYS }),
  targetRefs: optional(v.pipe(v.array(reference), v.maxLength(16, 'holds more than 16 targets')), 'What the policy is for.', {
    notHonoured: AT_GATEWAYS,
  }),
};

interface Attached {
  readonly selector?: v.InferOutput<typeof selector>;
  readonly targetRef?: Reference | undefined;
  readonly targetRefs?: readonly Reference[] | undefined;
}
type Reference = v.InferOutput<typeof reference>;

/** Kind → its group, as far as policies may be attached to it. */
const TARGETS: Readonly<Record<string, string>> = {
  Gateway: 'gateway.networking.k8s.io',
  GatewayClass: 'gateway.networking.k8s.io',
  Service: '',
  ServiceEntry: 'networking.istio.io',
};

/** Istio's validateOneOfSelectorType and validatePolicyTargetReferences. */
export function checkAttachment({ selector: selected, targetRef, targetRefs }: Partly<Attached>, report: Report): void {
  const given = [
    ...(selected === undefined ? [] : ['selector']),
    ...(targetRef === undefined ? [] : ['targetRef']),
    ...(targetRefs === undefined || targetRefs.length === 0 ? [] : ['targetRefs']),
  ];
  for (const other of given.slice(1)) report.conflict([other], `${given[0]} excludes ${other}`, 'keep one of them');
  if (selected?.matchLabels !== undefined && Object.keys(selected.matchLabels).length === 0)
    report.warning(['selector', 'matchLabels'], 'without labels it selects every workload', 'remove selector if that is meant');
  if (targetRef !== undefined) checkTarget(targetRef, ['targetRef'], report);
  for (const [index, target] of (targetRefs ?? []).entries()) checkTarget(target, ['targetRefs', index], report);
}

function checkTarget(target: Partly<Reference> | undefined, path: readonly (string | number)[], report: Report): void {
  if (target?.kind === undefined) return;
  const { kind, group = '', namespace } = target;
  const expected = Object.hasOwn(TARGETS, kind) ? TARGETS[kind] : undefined;
  if (expected === undefined)
    report.error([...path, 'kind'], `a policy cannot be attached to a ${kind}`, `its targets are ${Object.keys(TARGETS).join(', ')}`);
  else if (expected !== (group === 'core' ? '' : group))
    report.error([...path, 'group'], `"${group}" is not the group of a ${kind}`, `write group: "${expected}"`);
  if (namespace !== undefined) report.error([...path, 'namespace'], 'the target is in the namespace of the policy', 'remove namespace');
}
