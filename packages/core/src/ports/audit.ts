/** A decision worth keeping: every match of an AUDIT policy, and whatever else a sink asks for. */
export interface AuditRecord {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly decision: 'allow' | 'deny';
  /** Of the refusal; 0 where the call was let through. */
  readonly status: number;
  /** `ns[…]-policy[…]-rule[…]` that decided, '' if none did. */
  readonly policy: string;
  /** AUDIT policies that matched, as `ns[…]-policy[…]-rule[…]`. */
  readonly audited: readonly string[];
  /** What policies in dry run would have decided: `deny ns[…]…`. */
  readonly dryRun: readonly string[];
  readonly principal: string;
  readonly requestPrincipal: string;
  readonly sourceIp: string;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly port: number;
}

/** Keeps decisions. Told synchronously and never waited for; one that throws costs nobody a call. */
export interface AuditSink {
  readonly name: string;
  /** `audited`: only calls an AUDIT policy matched. Default; `denied`: those and every refusal; `all`: every decision. */
  readonly wants: 'audited' | 'denied' | 'all';
  record(record: AuditRecord): void;
  close?(): Promise<void> | void;
}
