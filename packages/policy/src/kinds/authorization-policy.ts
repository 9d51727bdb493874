import { authorizationPolicyChecks } from './authorization-policy-checks.ts';
import { authorizationPolicySchema } from './authorization-policy-schema.ts';
import { securityKind } from './kind.ts';

/** Decides who may call a workload, and for what. */
export const authorizationPolicy = securityKind({
  kind: 'AuthorizationPolicy',
  summary: 'Who may call a workload and for what: rules over identities, addresses, hosts, ports, methods, paths, headers and tokens.',
  schema: authorizationPolicySchema,
  checks: authorizationPolicyChecks,
});
