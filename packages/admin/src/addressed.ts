import { isIP } from 'node:net';

/**
 * May a server for the people of this machine be called by this Host header? A page of any site may point a name of its own at
 * 127.0.0.1 and read what answers there as its own (DNS rebinding): only addresses, localhost and the names given are answered.
 */
export function mayBeAddressedAs(host: string | undefined, allowed: ReadonlySet<string>): boolean {
  // HTTP/1.0 has none, and no browser speaks it.
  if (host === undefined) return true;
  const name = host.toLowerCase().replace(/:\d*$/, '');
  return name === 'localhost' || isIP(name.replace(/^\[|\]$/g, '')) !== 0 || allowed.has(name);
}
