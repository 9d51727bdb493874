/** Queries that need not return data in the tests: what they mention, and why there is none. */
const WITHOUT_DATA: readonly (readonly [metric: RegExp, why: string])[] = [
  [/\bistio_tcp_\w+/, 'series of TCP begin with the first TCP connection, and the mesh carries none yet'],
  [/\bistio_(request|response)_bytes_/, 'not counted yet'],
  [/\benvoy_cluster_\w+/, 'not counted yet'],
  [/\bnodejs_\w+|\bprocess_\w+/, 'not told yet'],
  [/\binmesh_slo_\w+/, 'no objectives yet'],
  [/\binmesh_hedges_total/, 'begins with the first hedge'],
  [/\binmesh_identity_failures_total/, 'begins with the first failure'],
  [/\binmesh_jwt_\w+/, 'the shop takes no tokens'],
];

/** Why an expression may return nothing; undefined if it may not. */
export const withoutData = (expr: string): string | undefined => WITHOUT_DATA.find(([metric]) => metric.test(expr))?.[1];
