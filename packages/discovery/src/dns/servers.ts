import { isIP } from 'node:net';

/** A DNS server to ask. */
export interface Server {
  readonly host: string;
  readonly port: number;
}

/** Which servers to ask about a name: those of the longest domain it is in. `given` names none for it: undefined, the system's are asked. */
export interface Servers {
  of(
    name: string,
  ):
    { readonly servers: readonly string[]; /** They were named for its domain: nobody else knows it. */ readonly own: boolean } | undefined;
}

/**
 * Servers as `ip`, `ip:port` or `[ip6]:port`; `domain=` before one makes it the server of that domain alone, as Consul's agent is
 * of `consul`. Throws RangeError for one it cannot read.
 */
export function serversOf(given: readonly string[]): Servers {
  const byDomain = new Map<string, string[]>();
  for (const text of given) {
    const equals = text.indexOf('=');
    const domain = equals < 0 ? '' : text.slice(0, equals).trim().toLowerCase().replace(/^\.|\.$/g, ''); // prettier-ignore
    const server = text.slice(equals + 1).trim();
    parseServer(server);
    byDomain.set(domain, [...(byDomain.get(domain) ?? []), server]);
  }
  return {
    of: (name) => {
      for (let rest = name.toLowerCase().replace(/\.$/, ''); ; rest = rest.slice(rest.indexOf('.') + 1)) {
        const servers = byDomain.get(rest);
        if (servers !== undefined) return { servers, own: true };
        if (!rest.includes('.')) break;
      }
      const servers = byDomain.get('');
      return servers === undefined ? undefined : { servers, own: false };
    },
  };
}

/** Throws RangeError for what is no server. */
export function parseServer(text: string): Server {
  const match = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([^:]+):(\d+)$/.exec(text);
  const host = match?.[1] ?? text;
  const port = Number(match?.[2] ?? 53);
  if (isIP(host) === 0 || port < 1 || port > 65_535)
    throw new RangeError(
      `"${text}" is not a DNS server: write ip, ip:port or [ip6]:port, with the domain it is for and "=" before it if it is for one only`,
    );
  return { host, port };
}
