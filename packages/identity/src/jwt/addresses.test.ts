import { describe, expect, it } from 'vitest';
import { blockedAddresses } from './addresses.ts';

describe('addresses nobody fetches keys from', () => {
  const none = blockedAddresses([]);

  it.each([
    '0.0.0.0', '169.254.169.254', '169.254.0.1', '100.100.100.200', '168.63.129.16', '224.0.0.1', '255.255.255.255',
    '::', 'fe80::1', 'fe80::1%eth0', 'ff02::1', 'fd00:ec2::254', 'fd20:ce::254',
    '::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '::ffff:0.0.0.0', '64:ff9b::a9fe:a9fe', '2002:a9fe:a9fe::1', 'no address',
  ])('%s is one', (address) => {
    expect(none.has(address)).toBe(true);
  }); // prettier-ignore

  it.each(['127.0.0.1', '::1', '10.1.2.3', '192.168.0.1', '172.16.0.1', '100.64.0.1', '::ffff:10.0.0.1', 'fd12::1', '8.8.8.8', '2001:db8::1'])('%s is none', (address) => {
    expect(none.has(address)).toBe(false);
  }); // prettier-ignore

  it('more can be named', () => {
    const more = blockedAddresses(['10.0.0.0/8', 'fd12::/16', '8.8.8.8']);
    expect(['10.255.0.1', '::ffff:10.0.0.1', '64:ff9b::a00:1', 'fd12:3::4', '8.8.8.8'].map((address) => more.has(address))).toEqual(
      Array(5).fill(true),
    );
    expect(['11.0.0.1', 'fd13::1', '8.8.8.9'].map((address) => more.has(address))).toEqual(Array(3).fill(false));
  });

  it.each(['', 'x', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/9', '10.0.0.0/-1', 'fd00::/129', '10.0.0/8'])('"%s" is no range', (range) => {
    expect(() => blockedAddresses([range])).toThrow(`blockedCidrs: "${range}" is no range of addresses`);
  });
});
