import type { RbacView } from '@inmesh/core';
import { LabelSet, type MetricFamily, type MetricSample } from './exposition.ts';

/** Decisions of AuthorizationPolicies about calls to this process, named as Envoy's RBAC filter has them, dry runs as Istio labels them. */
export function rbacFamilies(ports: readonly RbacView[]): MetricFamily[] {
  const prefix = (port: number): string => `inbound_0.0.0.0_${port}`;
  const decided = (read: (view: RbacView) => number): MetricSample[] =>
    ports.map((view) => ({ labels: new LabelSet({ http_conn_manager_prefix: prefix(view.port) }), value: read(view) }));
  const shadowed = (verdict: 'allowed' | 'denied'): MetricSample[] =>
    ports.flatMap(({ port, shadow }) =>
      (['allow', 'deny'] as const).flatMap((action) => {
        const value = shadow[action]?.[verdict];
        const labels = new LabelSet({ authz_dry_run_action: action, http_conn_manager_prefix: prefix(port) });
        return value === undefined ? [] : [{ labels, value }];
      }),
    );
  const family = (stat: string, help: string, samples: readonly MetricSample[]): MetricFamily => ({
    name: `envoy_http_rbac_${stat}`,
    type: 'counter',
    help,
    samples,
  });
  return [
    family('allowed', 'Calls that AuthorizationPolicies allowed.', decided(({ allowed }) => allowed)), // prettier-ignore
    family('denied', 'Calls that AuthorizationPolicies denied.', decided(({ denied }) => denied)), // prettier-ignore
    family('shadow_allowed', 'Calls that policies in dry run would have allowed.', shadowed('allowed')),
    family('shadow_denied', 'Calls that policies in dry run would have denied.', shadowed('denied')),
  ];
}
