import { Resolver } from 'node:dns/promises';
import type { Answer, Family } from './answer.ts';
import { isNone, lookupError } from './errors.ts';
import { parseServer, serversOf } from './servers.ts';
import { askSystem } from './system.ts';

/**
 * Asks for the addresses of a name, in the order they were answered; of an SRV name (`isSrvName`) for those of its targets. Rejects if
 * there is none, with code ENOTFOUND or ENODATA where somebody who must know says so, else with why nobody could say.
 */
export type Lookup = (host: string, signal?: AbortSignal) => Promise<readonly Answer[]>;

export interface LookupOptions {
  /** Default V4_PREFERRED: A, and AAAA only if there is none. Half of the endpoints of a dual-stack name cannot be reached where there is no IPv6. */
  readonly family?: Family;
  /** DNS servers, `ip`, `ip:port` or `[ip6]:port`; `consul=127.0.0.1:8600` is asked for names of that domain, and nobody else is. Default: the system's. */
  readonly servers?: readonly string[];
  /** For each server and question: half of it by UDP, half by TCP. Default 3 s. */
  readonly timeoutMs?: number;
}

/** `_service._proto.name`, as RFC 2782 writes who offers a service. No host is called so. */
export const isSrvName = (host: string): boolean => /^_[^.]{1,62}\._[^.]{1,62}\../.test(host);

/**
 * Asks the DNS servers, because only they say how long an answer holds; and where they know nothing or cannot be reached,
 * the system, which also knows the hosts file, `localhost` and search domains. Names without a dot are the system's
 * from the start: a server cannot complete them. SRV names are asked for by TCP, at the servers only.
 * Throws RangeError for a server it cannot read.
 */
export function dnsLookup({ family = 'V4_PREFERRED', servers = [], timeoutMs = 3000 }: LookupOptions = {}): Lookup {
  const chosen = serversOf(servers);
  return async (host, signal) => {
    const named = chosen.of(host);
    if (isLocal(host) && named?.own !== true) return ofSystem(host, family);
    try {
      // Loaded where a name is looked up: most processes have none. The system's servers are read each time, for they change.
      const [{ addressesOf }, { lookupSrv }] = await Promise.all([import('./addresses.ts'), import('./srv.ts')]);
      const options = { servers: (named?.servers ?? new Resolver().getServers()).map(parseServer), timeoutMs, signal };
      if (!isSrvName(host)) return await addressesOf(host, family, options);
      return await lookupSrv(host, { ...options, family, addressesOf: (target) => addressesOf(target, family, options) });
    } catch (error) {
      if (isSrvName(host) || named?.own === true || signal?.aborted === true) throw error;
      return ofSystem(host, family).catch((unknown: unknown) => {
        // That the system does not know it either says nothing while those who should know could not be asked.
        throw isNone(error) ? unknown : error;
      });
    }
  };
}

const isLocal = (host: string): boolean => !host.replace(/\.$/, '').includes('.') || /\.(localhost|local)\.?$/i.test(host);

async function ofSystem(host: string, family: Family): Promise<readonly Answer[]> {
  const all = await askSystem(host);
  const of = (version: number): typeof all => all.filter((one) => one.family === version);
  const preferred = family.startsWith('V6') ? of(6) : of(4);
  const other = family.startsWith('V6') ? of(4) : of(6);
  const wanted = family === 'ALL' ? all : preferred.length > 0 || family.endsWith('ONLY') ? preferred : other;
  if (wanted.length === 0) throw lookupError('ENODATA', 'getaddrinfo', host);
  return wanted.map(({ address }) => ({ address, ttlMs: undefined }));
}
