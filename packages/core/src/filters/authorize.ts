import type { Call } from '../call.ts';
import type { Clock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import { type Authorization, type CompiledRule, decide, type Decision, firstMatch } from '../inbound/authorization.ts';
import type { FilterKind } from '../kind.ts';
import type { Peer } from '../peer.ts';
import type { AuditRecord, AuditSink } from '../ports/audit.ts';

export interface Authorize {
  readonly authorization: Authorization;
  readonly sinks: readonly AuditSink[];
}

/** AUDIT, then DENY, then ALLOW (AuthorizationPolicy). Policies in dry run and audits only leave a note. */
export const authorize: FilterKind<Authorize> = {
  name: 'authorize',
  inbound: ({ authorization, sinks }, { clock }) => {
    const { deny, allow } = authorization;
    return (next) => (exchange, transport) => {
      const { call } = exchange;
      const peer = call.peer!;
      const decision = decide(deny, allow, call, peer);
      peer.policy = decision.rule;
      if (sinks.length > 0) tell(sinks, authorization, decision, call, peer, clock);
      if (!decision.allowed) throw denied(decision.rule);
      return next(exchange, transport);
    };
  },
};

/** CUSTOM: before tokens are looked at, as in Istio. Without providers, whoever it is for is refused. */
export const custom: FilterKind<{ readonly rules: readonly CompiledRule[] }> = {
  name: 'custom',
  inbound:
    ({ rules }) =>
    (next) =>
    (exchange, transport) => {
      const { call } = exchange;
      const rule = firstMatch(rules, call, call.peer!);
      if (rule !== undefined) {
        call.peer!.policy = rule.id;
        throw denied(rule.id);
      }
      return next(exchange, transport);
    },
};

/** Envoy's words; which rule it was stays here. */
function denied(rule: string): MeshError {
  const why = rule === '' ? 'no ALLOW policy matches' : `denied by ${rule}`;
  return new MeshError('PERMISSION_DENIED', `${why}; inmesh explain --inbound tells more`, {
    answer: { body: 'RBAC: access denied', headers: [] },
  });
}

function tell(
  sinks: readonly AuditSink[],
  { audit, dryDeny, dryAllow }: Authorization,
  decision: Decision,
  call: Call,
  peer: Peer,
  clock: Clock,
): void {
  const audited = audit.filter(({ matches }) => matches(call, peer)).map(({ id }) => id);
  const listening = sinks.filter(({ wants }) => wants === 'all' || audited.length > 0 || (wants === 'denied' && !decision.allowed));
  if (listening.length === 0) return;
  const { connection, claims } = peer;
  const record: AuditRecord = {
    time: clock.wall(),
    decision: decision.allowed ? 'allow' : 'deny',
    status: decision.allowed ? 0 : 403,
    policy: decision.rule,
    audited,
    dryRun: dryRun(dryDeny, dryAllow, call, peer),
    principal: connection.principal?.uri ?? '',
    requestPrincipal: typeof claims?.['iss'] === 'string' && typeof claims['sub'] === 'string' ? `${claims['iss']}/${claims['sub']}` : '',
    sourceIp: connection.remoteAddress,
    method: call.method,
    authority: call.authority,
    path: call.path,
    port: connection.localPort,
  };
  for (const sink of listening) {
    try {
      sink.record(record);
    } catch {
      // A note is never worth a call.
    }
  }
}

/** What policies in dry run would have decided, each set for itself as Istio's shadow rules do. */
function dryRun(deny: readonly CompiledRule[], allow: readonly CompiledRule[] | undefined, call: Call, peer: Peer): string[] {
  const denial = firstMatch(deny, call, peer);
  const allowed = allow === undefined ? undefined : firstMatch(allow, call, peer);
  return [
    ...(denial === undefined ? [] : [`deny ${denial.id}`]),
    ...(allow === undefined ? [] : [allowed === undefined ? 'deny [none]' : `allow ${allowed.id}`]),
  ];
}
