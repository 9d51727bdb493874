import { Resolver } from 'node:dns/promises';
import { isNone, lookupError } from './errors.ts';
import { parseServer, serversOf } from './servers.ts';
import { askSystem } from './system.ts';

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

/**
 * Asks for the addresses of a name, in the order they were answered; of an SRV name (`isSrvName`) for those of its targets. Rejects if
 * there is none, with code ENOTFOUND or ENODATA where somebody who must know says so, else with why nobody could say.
 */
export type Lookup = (host: string, signal?: AbortSignal) => Promise<readonly Answer[]>;

/** Which addresses of a name are wanted (Envoy `dns_lookup_family`). */
export type Family = 'V4_PREFERRED' | 'V6_PREFERRED' | 'V4_ONLY' | 'V6_ONLY' | 'ALL';

export interface LookupOptions {
  /** Default V4_PREFERRED: A, and AAAA only if there is none. Half of the endpoints of a dual-stack name cannot be reached where there is no IPv6. */
  readonly family?: Family;
  /** DNS servers, `ip`, `ip:port` or `[ip6]:port`; `consul=127.0.0.1:8600` is asked for names of that domain, and nobody else is. Default: the system's. */
  readonly servers?: readonly string[];
  /** Per question; it is asked twice. Default 3 s. */
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
    // A new one each time: the system's servers may have changed, and it can be given up by itself.
    const resolver = new Resolver({ timeout: timeoutMs, tries: 2 });
    if (named !== undefined) resolver.setServers([...named.servers]);
    const cancel = (): void => resolver.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    const addressesOf = (name: string): Promise<readonly Answer[]> => askServers(resolver, name, family);
    try {
      if (!isSrvName(host)) return await addressesOf(host);
      // Loaded only where it is used.
      const { lookupSrv } = await import('./srv.ts');
      return await lookupSrv(host, { servers: resolver.getServers().map(parseServer), family, timeoutMs, addressesOf, signal });
    } catch (error) {
      if (isSrvName(host) || named?.own === true || signal?.aborted === true) throw error;
      return await ofSystem(host, family).catch((unknown: unknown) => {
        // That the system does not know it either says nothing while those who should know could not be asked.
        throw isNone(error) ? unknown : error;
      });
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  };
}

async function askServers(resolver: Resolver, host: string, family: Family): Promise<readonly Answer[]> {
  const ask = async (version: 4 | 6): Promise<Answer[]> => {
    const records = version === 4 ? await resolver.resolve4(host, { ttl: true }) : await resolver.resolve6(host, { ttl: true });
    return records.map(({ address, ttl }) => ({ address, ttlMs: ttl * 1000 }));
  };
  const first = family.startsWith('V6') ? 6 : 4;
  if (family === 'ALL') return askBoth(ask, host);
  if (family.endsWith('ONLY')) return ask(first);
  return ask(first).catch((error: unknown) => {
    if (isNone(error)) return ask(first === 4 ? 6 : 4);
    throw error;
  });
}

/** Both families at once; one may have nothing. A failure of either fails both, or half of the endpoints would vanish. */
async function askBoth(ask: (version: 4 | 6) => Promise<Answer[]>, host: string): Promise<Answer[]> {
  const orNothing = (error: unknown): Answer[] => {
    if (isNone(error)) return [];
    throw error;
  };
  const found = (await Promise.all([ask(4).catch(orNothing), ask(6).catch(orNothing)])).flat();
  if (found.length === 0) throw lookupError('ENODATA', 'query', host);
  return found;
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
