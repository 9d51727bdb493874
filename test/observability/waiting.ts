type Exempt = readonly (readonly [metric: RegExp, why: string])[];

/** Never told in the shop of these tests. */
const NOT_HERE: Exempt = [
  [/\bistio_tcp_\w+/, 'begins with the first TCP connection, and the mesh carries none yet'],
  [/\binmesh_hedges_total/, 'begins with the first hedge'],
  [/\binmesh_identity_failures_total/, 'begins with the first failure'],
  [/\binmesh_jwt_\w+/, 'the shop takes no tokens'],
  [/\binmesh_registry_up/, 'the shop follows no registry'],
  [/\benvoy_http_rbac_shadow_\w+/, 'the shop has no policies in dry run'],
  [/\benvoy_cluster_upstream_rq_(per_try_timeout|retry_limit_exceeded)/, 'begins with the first'],
  [/\benvoy_cluster_(outlier_detection_ejections_overflow|update_\w+)/, 'begins with the first'],
];

/** Why an expression may return nothing; undefined if it may not. */
export const withoutData = (expr: string): string | undefined => NOT_HERE.find(([metric]) => metric.test(expr))?.[1];
