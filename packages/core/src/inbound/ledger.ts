import type { Call } from '../call.ts';
import type { Clock } from '../clock.ts';
import type { Peer } from '../peer.ts';
import type { AuditRecord, AuditSink } from '../ports/audit.ts';
import { type Authorization, type CompiledRule, type Decision, firstMatch } from './authorization.ts';

/** Where decisions about calls are written down. Where nobody listens there is none, and nothing is worked out. */
export interface Ledger {
  /** Does somebody want every decision, also where no rule could make another? */
  readonly everything: boolean;
  /** Refused before the rules were asked: no identity, a bad token, a CUSTOM policy. Audits come later and do not see it, as in Istio. */
  refused(call: Call, status: number, policy: string): void;
  /** What the rules said. */
  decided(call: Call, decision: Decision): void;
}

export function createLedger(sinks: readonly AuditSink[], authorization: Authorization, clock: Clock): Ledger | undefined {
  if (sinks.length === 0) return undefined;
  const { audit, dryDeny, dryAllow } = authorization;

  function tell(call: Call, refusal: number, policy: string, audited: readonly string[], judged: boolean): void {
    const denied = refusal !== 0;
    const listening = sinks.filter(({ wants }) => wants === 'all' || audited.length > 0 || (wants === 'denied' && denied));
    if (listening.length === 0) return;
    const peer = call.peer!;
    const { connection } = peer;
    const record: AuditRecord = {
      time: clock.wall(),
      decision: denied ? 'deny' : 'allow',
      status: refusal,
      policy,
      audited,
      dryRun: judged ? dryRunVerdicts(dryDeny, dryAllow, call, peer) : [],
      principal: peer.principal?.uri ?? '',
      requestPrincipal: requestPrincipal(peer),
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

  return {
    everything: sinks.some(({ wants }) => wants === 'all'),
    refused: (call, status, policy) => tell(call, status, policy, [], false),
    decided: (call, { allowed, rule }) => tell(call, allowed ? 0 : 403, rule, matching(audit, call, call.peer!), true),
  };
}

/** `ISSUER/SUBJECT` of the verified token, '' without one. */
export function requestPrincipal({ claims }: Peer): string {
  const iss = claims?.['iss'];
  const sub = claims?.['sub'];
  return typeof iss === 'string' && typeof sub === 'string' ? `${iss}/${sub}` : '';
}

export function matching(rules: readonly CompiledRule[], call: Call, peer: Peer): string[] {
  return rules.filter(({ matches }) => matches(call, peer)).map(({ id }) => id);
}

/** What policies in dry run would have decided, each set for itself as Istio's shadow rules do: `deny ns[…]…`, `allow ns[…]…`, `deny [none]`. */
export function dryRunVerdicts(
  deny: readonly CompiledRule[],
  allow: readonly CompiledRule[] | undefined,
  call: Call,
  peer: Peer,
): readonly string[] {
  const denial = firstMatch(deny, call, peer);
  const allowed = allow === undefined ? undefined : firstMatch(allow, call, peer);
  return [
    ...(denial === undefined ? [] : [`deny ${denial.id}`]),
    ...(allow === undefined ? [] : [allowed === undefined ? 'deny [none]' : `allow ${allowed.id}`]),
  ];
}
