import { BlockList, isIP } from 'node:net';
import { MeshError } from '@inmesh/core';

/**
 * Addresses no key set lives at. A URL in a policy must not make this process ask its own machine's metadata service. Loopback and private
 * ranges stay open: issuers inside a cluster live there.
 */
const NEVER: readonly string[] = [
  '0.0.0.0/8', // unspecified: connects to this machine
  '169.254.0.0/16', // link-local; metadata of AWS, Azure, Google, Oracle …
  '100.100.100.200/32', // metadata of Alibaba
  '168.63.129.16/32', // Azure's wire server
  '192.0.0.192/32', // metadata of Oracle, formerly
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
  '::/128',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
  'fd00:ec2::254/128', // metadata of AWS
  'fd20:ce::254/128', // metadata of Google
  'fd00:c1::a9fe:a9fe/128', // metadata of Oracle
  'fd00:42::42/128', // metadata of Scaleway
];

/** Addresses that must not be connected to. */
export interface BlockedAddresses {
  has(address: string): boolean;
}

/** `more`: ranges as `10.0.0.0/8` or single addresses, beside those nobody fetches keys from. Throws MISUSE for what is no range. */
export function blockedAddresses(more: readonly string[]): BlockedAddresses {
  const list = new BlockList();
  for (const range of [...NEVER, ...more]) add(list, range);
  return {
    has: (address) => {
      // A zone says which of our interfaces; the address is the same.
      const bare = address.split('%', 1)[0]!;
      const family = isIP(bare);
      // IPv4 inside IPv6 (::ffff:a.b.c.d) is found by the list itself.
      return family === 0 || list.check(bare, family === 4 ? 'ipv4' : 'ipv6');
    },
  };
}

function add(list: BlockList, range: string): void {
  const [address = '', bits, ...rest] = range.split('/');
  const family = isIP(address);
  const width = family === 4 ? 32 : 128;
  const length = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : NaN;
  if (family === 0 || rest.length > 0 || !(length <= width))
    throw new MeshError('MISUSE', `blockedCidrs: "${range}" is no range of addresses; write such as 10.0.0.0/8 or fd00::/8`);
  list.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6');
  // What reaches an IPv4 address by way of NAT64 (RFC 6052) or 6to4 (RFC 3056) is blocked with it.
  if (family !== 4) return;
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  const [high, low] = [(a * 256 + b).toString(16), (c * 256 + d).toString(16)];
  list.addSubnet(`64:ff9b::${high}:${low}`, 96 + length, 'ipv6');
  list.addSubnet(`2002:${high}:${low}::`, 16 + length, 'ipv6');
}
