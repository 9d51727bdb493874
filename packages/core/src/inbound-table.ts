import type { MtlsMode } from '@inmesh/policy';
import type { Routed } from './routed.ts';

/** What a workload demands of its callers, ready, by port. */
export interface InboundTable {
  /** What becomes of calls to a port of this process. */
  receive(port: number): Routed;
  mtls(port: number): MtlsMode;
  /** Must the connection be ours to judge calls to this port? */
  asksForPeer(port: number): boolean;
}
