import * as v from 'valibot';
import { list, optional, required } from '../schema/fields.ts';
import { dnsLabel, exportTarget, host, labels } from '../schema/scalars.ts';
import { documented } from '../schema/fields.ts';
import { istioKind, type Check } from './kind.ts';
import { checkExportTo } from './parts/export-to.ts';
import { checkTrafficPolicy, trafficPolicy } from './parts/traffic-policy.ts';

/** Annotation by which a DestinationRule asks for an algorithm Istio has no word for, and stays a valid Istio resource. */
export const LOAD_BALANCER_ANNOTATION = 'inmesh.dev/load-balancer';

const schema = v.object({
  host: required(
    host,
    'Service the rule is for: a name, a host of a ServiceEntry, or a wildcard. A short name means the namespace of the rule.',
    { honoured: 'HGWT' },
  ),
  trafficPolicy: optional(trafficPolicy, 'Policy of calls to the service, whatever the subset.', { honoured: 'HGWT' }),
  subsets: list(
    v.object({
      name: required(dnsLabel, 'Name a route refers to.'),
      labels: v.optional(documented(labels, 'Labels of the endpoints that make the subset.', { honoured: 'HGWT' }), {}),
      trafficPolicy: optional(trafficPolicy, 'Policy of calls to the subset; each block replaces that of the rule.', { honoured: 'HGWT' }),
    }),
    'Named parts of the service, such as its versions.',
    { honoured: 'HGWT' },
  ),
  exportTo: list(exportTarget, 'Namespaces that see the rule: `.` its own, `*` all, or names.', { default: '["*"]', honoured: 'HGWT' }),
  workloadSelector: optional(
    v.object({ matchLabels: v.optional(documented(labels, 'Labels a calling workload must carry, all of them.'), {}) }),
    'Only these calling workloads of the same namespace obey the rule.',
    { default: 'all', honoured: 'HGWT' },
  ),
});

export type DestinationRuleSpec = v.InferOutput<typeof schema>;

const subsets: Check<DestinationRuleSpec> = (spec, report) => {
  const names = new Set<string>();
  for (const [index, subset] of (spec.subsets ?? []).entries()) {
    if (subset?.name !== undefined && names.size === names.add(subset.name).size)
      report.error(['subsets', index, 'name'], `subset "${subset.name}" is defined twice`, 'rename or remove one');
  }
};

const policies: Check<DestinationRuleSpec> = (spec, report) => {
  checkTrafficPolicy(spec.trafficPolicy, ['trafficPolicy'], report);
  for (const [index, subset] of (spec.subsets ?? []).entries())
    checkTrafficPolicy(subset?.trafficPolicy, ['subsets', index, 'trafficPolicy'], report);
};

const visibility: Check<DestinationRuleSpec> = (spec, report, metadata) => {
  checkExportTo(spec.exportTo, report, false);
  const foreign = (spec.exportTo ?? []).findIndex((target) => target !== undefined && target !== '.' && target !== metadata.namespace);
  if (spec.workloadSelector !== undefined && foreign >= 0)
    report.error(
      ['exportTo', foreign],
      'a rule with a workloadSelector holds in its own namespace only',
      'write exportTo: ["."], or remove workloadSelector',
    );
};

/** Configures what happens to a call after its route is chosen: balancing, connections, outliers, TLS, subsets. */
export const destinationRule = istioKind({
  kind: 'DestinationRule',
  summary:
    'What happens to a call once its route is chosen: load balancing, connections, outlier detection, TLS, and the subsets of a service.',
  schema,
  checks: [subsets, policies, visibility],
});
