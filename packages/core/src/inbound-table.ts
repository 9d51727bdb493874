import type { MtlsMode } from '@inmesh/policy';
import type { Decision } from './inbound/authorization.ts';
import type { RbacView } from './inbound/rbac-stats.ts';
import type { Peer } from './peer.ts';
import type { Routed } from './routed.ts';

/** What a workload demands of its callers, ready, by port. */
export interface InboundTable {
  /** What becomes of calls to a port of this process. */
  receive(port: number): Routed;
  mtls(port: number): MtlsMode;
  /** Must the connection be ours to judge calls to this port? */
  asksForPeer(port: number): boolean;
  /** May a TCP connection come in, whose bytes are nobody's business? */
  admit(peer: Peer): Decision;
  /** What AuthorizationPolicies decided, by port. */
  rbac(): readonly RbacView[];
  view(): InboundView;
}

/** What is demanded of callers, for status. */
export interface InboundView {
  readonly mtls: MtlsMode;
  /** Ports with a mode of their own. */
  readonly mtlsPorts: Readonly<Record<string, MtlsMode>>;
  /** AuthorizationPolicies that hold for this workload. */
  readonly policies: number;
  /** `refused`: a policy demands that tokens are verified and this mesh was made without a verifier, so none passes. */
  readonly tokens: 'not looked at' | 'verified' | 'refused';
}
