import { lookup as systemLookup, Resolver } from 'node:dns/promises';

/** One address of a name. */
export interface Answer {
  readonly address: string;
  /** How long it may be used; undefined where the system did not say (hosts file, mDNS …). */
  readonly ttlMs: number | undefined;
}

/** Asks for the addresses of a name, in the order they were answered. Rejects if there is none. */
export type Lookup = (host: string) => Promise<readonly Answer[]>;

/** Which addresses of a name are wanted (Envoy `dns_lookup_family`). */
export type Family = 'V4_PREFERRED' | 'V6_PREFERRED' | 'V4_ONLY' | 'V6_ONLY' | 'ALL';

export interface LookupOptions {
  /** Default V4_PREFERRED: A, and AAAA only if there is none. Half of the endpoints of a dual-stack name cannot be reached where there is no IPv6. */
  readonly family?: Family;
  /** DNS servers, `ip` or `ip:port`. Default: the system's. */
  readonly servers?: readonly string[];
  /** Per question; it is asked twice. Default 3 s. */
  readonly timeoutMs?: number;
}

/** What a look-up of one family may end with that says nothing about the other. */
const NOTHING: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA']);

/**
 * Asks the DNS servers, because only they say how long an answer holds; and where they know nothing or cannot be reached,
 * the system, which also knows the hosts file, `localhost` and search domains. Names without a dot are the system's
 * from the start: a server cannot complete them.
 */
export function dnsLookup({ family = 'V4_PREFERRED', servers, timeoutMs = 3000 }: LookupOptions = {}): Lookup {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 2 });
  if (servers !== undefined) resolver.setServers([...servers]);
  const ask = async (host: string, version: 4 | 6): Promise<Answer[]> => {
    const records = version === 4 ? await resolver.resolve4(host, { ttl: true }) : await resolver.resolve6(host, { ttl: true });
    return records.map(({ address, ttl }) => ({ address, ttlMs: ttl * 1000 }));
  };
  const first = family.startsWith('V6') ? 6 : 4;
  const second = first === 4 ? 6 : 4;
  const askServers = async (host: string): Promise<readonly Answer[]> => {
    if (family === 'V4_ONLY' || family === 'V6_ONLY') return ask(host, first);
    if (family === 'ALL') return askBoth(ask, host);
    return ask(host, first).catch((error: NodeJS.ErrnoException) => {
      if (NOTHING.has(error.code)) return ask(host, second);
      throw error;
    });
  };
  return async (host) => {
    if (!isLocal(host)) {
      try {
        return await askServers(host);
      } catch {
        // Whatever the servers failed with, the system may know better; if not, its error is the one people know.
      }
    }
    return askSystem(host, family);
  };
}

/** Both families at once; one may have nothing. A failure of either fails both, or half of the endpoints would vanish. */
async function askBoth(ask: (host: string, version: 4 | 6) => Promise<Answer[]>, host: string): Promise<Answer[]> {
  const orNothing = (error: NodeJS.ErrnoException): Answer[] => {
    if (NOTHING.has(error.code)) return [];
    throw error;
  };
  const found = await Promise.all([ask(host, 4).catch(orNothing), ask(host, 6).catch(orNothing)]);
  if (found.flat().length === 0) throw Object.assign(new Error(`${host} has no address`), { code: 'ENODATA' });
  return found.flat();
}

const isLocal = (host: string): boolean => !host.replace(/\.$/, '').includes('.') || /\.(localhost|local)\.?$/i.test(host);

async function askSystem(host: string, family: Family): Promise<readonly Answer[]> {
  const all = await systemLookup(host, { all: true, order: family === 'V6_PREFERRED' ? 'ipv6first' : 'ipv4first' });
  const of = (version: number): typeof all => all.filter((one) => one.family === version);
  const preferred = family.startsWith('V6') ? of(6) : of(4);
  const other = family.startsWith('V6') ? of(4) : of(6);
  const wanted = family === 'ALL' ? all : preferred.length > 0 || family.endsWith('ONLY') ? preferred : other;
  if (wanted.length === 0) throw Object.assign(new Error(`${host} has no address of family ${family}`), { code: 'ENODATA' });
  return wanted.map(({ address }) => ({ address, ttlMs: undefined }));
}
