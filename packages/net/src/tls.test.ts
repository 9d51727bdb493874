import type { ClientTls, ClusterPolicy } from '@inmesh/policy';
import type { PeerCertificate } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { planTls, tlsOptions } from './tls.ts';

const settings: ClientTls = {
  mode: 'SIMPLE',
  clientCertificate: null,
  privateKey: null,
  caCertificates: null,
  caPem: null,
  caCrl: null,
  credentialName: null,
  subjectAltNames: [],
  sni: null,
  insecureSkipVerify: false,
};
const plan = (tls: Partial<ClientTls>, authority: string, scheme = 'http') =>
  planTls({ tls: { ...settings, ...tls } } as ClusterPolicy, scheme, authority)!;
const certificate = (subjectaltname: string): PeerCertificate => ({ subject: { CN: 'x' }, subjectaltname }) as unknown as PeerCertificate;
/** Is a certificate good for the call? Node passes the endpoint's address where there is no SNI. */
const accepts = (tls: Partial<ClientTls>, authority: string, subjectaltname: string, scheme?: string): boolean =>
  tlsOptions(plan(tls, authority, scheme)).checkServerIdentity!('127.0.0.1', certificate(subjectaltname)) === undefined;

describe('whose certificate it must be', () => {
  it.each<[string, string, string | undefined]>([
    ['a policy', 'http', undefined],
    ['an https URL alone', 'https', 'DISABLE'],
  ])('under %s: the one that was asked for, by name or address', (_, scheme, mode) => {
    const tls = mode === undefined ? {} : { mode: 'DISABLE' as const };
    expect(accepts(tls, 'shop.example.com', 'DNS:shop.example.com', scheme)).toBe(true);
    expect(accepts(tls, 'Shop.example.com.:8443', 'DNS:shop.example.com', scheme)).toBe(true);
    expect(accepts(tls, 'shop.example.com', 'DNS:other.example.com', scheme)).toBe(false);
    expect(accepts(tls, '10.0.0.5:443', 'IP Address:10.0.0.5', scheme)).toBe(true);
    expect(accepts(tls, '10.0.0.5', 'IP Address:127.0.0.1', scheme)).toBe(false);
    expect(accepts(tls, '[fd00::1]:443', 'IP Address:fd00::1', scheme)).toBe(true);
    expect(accepts(tls, '[fd00::1]:443', 'DNS:shop.example.com', scheme)).toBe(false);
  });

  it('sends names as SNI, without a last dot, and no addresses', () => {
    expect(plan({}, 'shop.example.com.:443').servername).toBe('shop.example.com');
    expect(plan({}, '10.0.0.5:443').servername).toBe('');
    expect(plan({}, '[fd00::1]').servername).toBe('');
    expect(plan({ sni: 'inner.example.com' }, 'shop.example.com')).toMatchObject({
      servername: 'inner.example.com',
      name: 'inner.example.com',
    });
  });

  it('is one of subjectAltNames where the policy names them, letter by letter', () => {
    const allowed = { subjectAltNames: ['spiffe://cluster.local/ns/a/sa/b', 'vault.example.com'] };
    expect(accepts(allowed, 'shop.example.com', 'DNS:x, URI:spiffe://cluster.local/ns/a/sa/b')).toBe(true);
    expect(accepts(allowed, 'shop.example.com', 'DNS:vault.example.com')).toBe(true);
    expect(accepts(allowed, 'shop.example.com', 'DNS:shop.example.com, DNS:vault.example.com.evil.com')).toBe(false);
    expect(accepts(allowed, 'shop.example.com', '')).toBe(false);
  });

  it('is not told by names within a name (CVE-2021-44532)', () => {
    const allowed = { subjectAltNames: ['vault.example.com'] };
    expect(accepts(allowed, 'shop.example.com', 'DNS:"evil.com, DNS:vault.example.com, DNS:evil.org"')).toBe(false);
    expect(accepts(allowed, 'shop.example.com', 'DNS:"evil\\u0022, DNS:vault.example.com, DNS:evil.org"')).toBe(false);
    expect(accepts(allowed, 'shop.example.com', 'DNS:"evil.com, x", DNS:vault.example.com')).toBe(true);
  });
});
