import { MeshError, type Resolver } from '@inmesh/core';
import { dnsResolver, type Family } from '@inmesh/discovery';
import { listOf } from './environment.ts';

export interface DnsOptions {
  /**
   * `ip`, `ip:port` or `[ip6]:port`; with a domain before it, `consul=127.0.0.1:8600`, the one server asked for names of that domain.
   * Default: INMESH_DNS_SERVERS (with commas between), else the system's.
   */
  readonly servers?: readonly string[];
  /** Default V4_PREFERRED: IPv6 only where there is no IPv4. */
  readonly family?: Family;
}

/** The resolver of names. `refreshMs`: between look-ups of answers that do not say how long they hold (MeshConfig dnsRefreshRate). Throws MISUSE for a server it cannot read. */
export function openDns(
  { servers, family }: DnsOptions = {},
  refreshMs: () => number,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Resolver {
  try {
    return dnsResolver({ servers: servers ?? listOf(env['INMESH_DNS_SERVERS']), family, refreshMs });
  } catch (error) {
    if (error instanceof RangeError) throw new MeshError('MISUSE', `dns.servers (INMESH_DNS_SERVERS): ${error.message}`, { cause: error });
    throw error;
  }
}
