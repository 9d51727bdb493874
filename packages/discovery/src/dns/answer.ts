/** One address of a name. */
export interface Answer {
  readonly address: string;
  /** How long it may be used; undefined where the system did not say (hosts file, mDNS …). */
  readonly ttlMs: number | undefined;
  /** What only SRV records say: the port to dial, */
  readonly port?: number;
  /** whom to call while those of lower numbers are not healthy enough, */
  readonly priority?: number;
  /** and the share of the calls among those of one priority, ≥ 1. */
  readonly weight?: number;
}

/** Which addresses of a name are wanted (Envoy `dns_lookup_family`). */
export type Family = 'V4_PREFERRED' | 'V6_PREFERRED' | 'V4_ONLY' | 'V6_ONLY' | 'ALL';
