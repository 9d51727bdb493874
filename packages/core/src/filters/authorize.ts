import { MeshError } from '../errors.ts';
import { type Authorization, type CompiledRule, decide, firstMatch } from '../inbound/authorization.ts';
import type { Ledger } from '../inbound/ledger.ts';
import type { PortRbacStats } from '../inbound/rbac-stats.ts';
import type { Call } from '../call.ts';
import type { Peer } from '../peer.ts';
import type { FilterKind } from '../kind.ts';

export interface Authorize {
  readonly authorization: Authorization;
  readonly ledger: Ledger | undefined;
  readonly stats: PortRbacStats;
}

/** AUDIT, then DENY, then ALLOW (AuthorizationPolicy). Policies in dry run and audits only leave a note, and are counted. */
export const authorize: FilterKind<Authorize> = {
  name: 'authorize',
  inbound: ({ authorization: { deny, allow, dryDeny, dryAllow }, ledger, stats }) => {
    const shadow = (call: Call, peer: Peer): void => {
      if (dryDeny.length > 0) stats.shadowed('deny', firstMatch(dryDeny, call, peer) === undefined);
      if (dryAllow !== undefined) stats.shadowed('allow', firstMatch(dryAllow, call, peer) !== undefined);
    };
    const shadows = dryDeny.length > 0 || dryAllow !== undefined;
    const decides = deny.length > 0 || allow !== undefined;
    return (next) => (exchange, transport) => {
      const { call } = exchange;
      const peer = call.peer!;
      const decision = decide(deny, allow, call, peer);
      peer.policy = decision.rule;
      ledger?.decided(call, decision);
      if (decides) stats.decided(decision.allowed);
      if (shadows) shadow(call, peer);
      if (!decision.allowed) throw denied(decision.rule);
      return next(exchange, transport);
    };
  },
};

/** CUSTOM: before tokens are looked at, as in Istio. Without providers, whoever it is for is refused. */
export const custom: FilterKind<{
  readonly rules: readonly CompiledRule[];
  readonly ledger: Ledger | undefined;
  readonly stats: PortRbacStats;
}> = {
  name: 'custom',
  inbound:
    ({ rules, ledger, stats }) =>
    (next) =>
    (exchange, transport) => {
      const { call } = exchange;
      const rule = firstMatch(rules, call, call.peer!);
      if (rule !== undefined) {
        call.peer!.policy = rule.id;
        ledger?.refused(call, 403, rule.id);
        stats.decided(false);
        throw denied(rule.id);
      }
      return next(exchange, transport);
    },
};

/** Envoy's words to whom RBAC denies. */
export const ACCESS_DENIED = 'RBAC: access denied';

/** Which rule it was stays here. */
function denied(rule: string): MeshError {
  const why = rule === '' ? 'no ALLOW policy matches' : `denied by ${rule}`;
  return new MeshError('PERMISSION_DENIED', `${why}; inmesh explain --inbound tells more`, {
    // Envoy rbac: responseDetail(policy_id).
    details: `rbac_access_denied_matched_policy[${rule === '' ? 'none' : rule}]`,
    answer: { body: ACCESS_DENIED, headers: [] },
  });
}
