import type { HeaderOp } from '@inmesh/policy';
import type { Peer } from './peer.ts';

/** What was asked, in words every protocol shares. Read-only: rewriting happens in Edits. */
export interface Call {
  readonly protocol: 'http' | 'grpc' | 'websocket' | 'tcp';
  readonly scheme: string;
  /** Host header as the caller sent it, port included. */
  readonly authority: string;
  /** Host without port, lower-case: what virtual hosts are looked up by. */
  readonly host: string;
  /** Port addressed, the scheme's default filled in. */
  readonly port: number;
  readonly method: string;
  /** Without query. */
  readonly path: string;
  /** After the `?`, or ''. */
  readonly query: string;
  /** Value by lower-case name, several joined with `,`; undefined if absent. */
  header(name: string): string | undefined;
  headerValues(name: string): readonly string[];
  /** May the body be sent twice? Asked when a retry is due, not before. */
  readonly replayable: boolean;
  /** Address of the one on whose behalf we call (consistent hash useSourceIp); undefined if unknown. */
  readonly sourceIp: string | undefined;
  /** Inbound calls: who calls. */
  readonly peer?: Peer;
}

/** What the chosen route changes on the way; applied by the transport in one pass. Compiled once per destination. */
export interface Edits {
  readonly authority: string | undefined;
  /** Path without query; undefined keeps it. */
  readonly path: string | undefined;
  /** Query without `?`; undefined keeps it. */
  readonly query?: string;
  readonly request: readonly HeaderOp[];
  readonly response: readonly HeaderOp[];
}

export const NO_EDITS: Edits = { authority: undefined, path: undefined, request: [], response: [] };

/** Something with headers: names are lower-case, several values of one joined with `,`. */
export interface HeaderReader {
  header(name: string): string | undefined;
}
