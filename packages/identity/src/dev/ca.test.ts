import { X509Certificate } from 'node:crypto';
import type { IdentityState } from '@inmesh/core';
import { fakeClock } from '@inmesh/core/testing';
import { describe, expect, it } from 'vitest';
import { DAY } from '../testing/pki.ts';
import { pemBlocks } from '../verify/pem.ts';
import { peerVerifier } from '../verify/verifier.ts';
import { createDevCa, type DevCa } from './ca.ts';
import { devCertificates } from './source.ts';

const clock = fakeClock();

/** Who a certificate proves to be to somebody who believes these roots. */
function outcome(certificate: string, roots: string, trustDomain = 'td', now = clock.wall()): string {
  const chain = pemBlocks(certificate, 'CERTIFICATE');
  if (typeof chain === 'string') return chain;
  const result = peerVerifier().verify(chain, { bundles: new Map([[trustDomain, roots]]), crl: '' }, 'server', now);
  return result.ok ? result.principal.uri : result.reason;
}

describe('a development CA', () => {
  it('issues certificates that verify, for an identity of its trust domain', () => {
    const ca = createDevCa({ trustDomain: 'td', clock });
    const svid = ca.issue({ namespace: 'shop', serviceAccount: 'reviews' });
    expect(outcome(svid.certificate, ca.roots)).toBe('spiffe://td/ns/shop/sa/reviews');
    expect(svid.principal).toMatchObject({ namespace: 'shop', serviceAccount: 'reviews' });
    expect(svid.expiresAt).toBe(clock.wall() + DAY);
    expect(createDevCa().issue({ serviceAccount: 'a' }).principal.uri).toBe('spiffe://cluster.local/ns/default/sa/a');
  });

  it('writes what OpenSSL reads and follows to its root', () => {
    const ca = createDevCa({ trustDomain: 'td', clock });
    const svid = ca.issue({ serviceAccount: 'a', hosts: ['a.example.org', '127.0.0.1', '::1'] });
    const [leaf, root] = [new X509Certificate(svid.certificate), new X509Certificate(ca.roots)];
    expect(leaf.checkIssued(root)).toBe(true);
    expect(leaf.verify(root.publicKey)).toBe(true);
    expect([leaf.ca, root.ca]).toEqual([false, true]);
    expect(leaf.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    expect(leaf.subjectAltName).toBe(
      'URI:spiffe://td/ns/default/sa/a, DNS:a.example.org, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    );
    expect(leaf.checkHost('a.example.org')).toBe('a.example.org');
  });

  it('issues nothing that outlives its root, and nothing once that has expired', () => {
    const later = fakeClock();
    const ca = createDevCa({ trustDomain: 'td', clock: later, ttlMs: DAY });
    later.advance(DAY / 2);
    expect(ca.issue({ serviceAccount: 'a', ttlMs: 7 * DAY }).expiresAt).toBe(later.wall() + DAY / 2);
    later.advance(DAY);
    expect(() => ca.issue({ serviceAccount: 'a' })).toThrow('the development CA expired at 2025-01-02T00:00:00.000Z: make a new one');
  });

  it('refuses names that are none', () => {
    const ca = createDevCa({ trustDomain: 'td', clock });
    expect(() => ca.issue({ serviceAccount: 'a/b' })).toThrow('its path must be /ns/NAMESPACE/sa/ACCOUNT');
    expect(() => ca.issue({ serviceAccount: '' })).toThrow('empty segment');
    expect(() => ca.issue({ serviceAccount: 'a', ttlMs: 0 })).toThrow('cannot be valid for 0 ms');
    expect(() => createDevCa({ trustDomain: 'TD' })).toThrow('its trust domain may only have');
  });

  it('exchanges its root in three steps, and whoever renews between them is never unknown', () => {
    const ca = createDevCa({ trustDomain: 'td', clock });
    /** The parties: each with a certificate and roots as of a step; neighbours in time must know each other. */
    const parties = [{ svid: ca.issue({ serviceAccount: 'a' }), roots: ca.roots }];
    for (const step of ['announced', 'signing', 'done']) {
      expect(ca.rotateRoot()).toBe(step);
      parties.push({ svid: ca.issue({ serviceAccount: 'a' }), roots: ca.roots });
    }
    const knows = (one: number, another: number): boolean =>
      outcome(parties[another]!.svid.certificate, parties[one]!.roots) === 'spiffe://td/ns/default/sa/a';
    const table = parties.map((_, one) => parties.map((__, another) => knows(one, another)));
    expect(table).toEqual([
      [true, true, false, false],
      [true, true, true, true],
      [true, true, true, true],
      [false, false, true, true],
    ]);
    expect(ca.rotateRoot()).toBe('announced');
  });
});

describe('certificates of a development CA', () => {
  function watched(ca: DevCa, options: Partial<Parameters<typeof devCertificates>[1]> = {}, random = () => 0.5) {
    const time = fakeClock();
    const states: IdentityState[] = [];
    const source = devCertificates(ca, { serviceAccount: 'a', ttlMs: 1_000_000, ...options });
    const watch = source.watch((state) => states.push(state), { clock: time, random });
    return { states, time, watch };
  }
  const versions = (states: readonly IdentityState[]): number =>
    new Set(states.map((state) => (state.state === 'ready' ? state.identity.version : state.reason))).size;

  it('are renewed at half their life, a hundredth earlier or later', () => {
    for (const [chance, at] of [
      [0, 490_000],
      [0.5, 500_000],
      [1, 510_000],
    ] as const) {
      const { states, time } = watched(createDevCa({ trustDomain: 'td', clock }), {}, () => chance);
      time.advance(at - 1);
      expect(states).toHaveLength(1);
      time.advance(1);
      expect([states.length, versions(states)]).toEqual([2, 2]);
    }
  });

  it('follow each step of an exchange of roots at once', () => {
    const ca = createDevCa({ trustDomain: 'td', clock });
    const { states, time, watch } = watched(ca, {
      aliases: ['old-td'],
      bundles: { other: createDevCa({ trustDomain: 'other', clock }).roots },
    });
    for (let step = 0; step < 3; step += 1) ca.rotateRoot();
    expect([states.length, versions(states)]).toEqual([4, 4]);
    const last = states.at(-1);
    expect(last?.state === 'ready' && [...last.identity.bundles.keys()]).toEqual(['td', 'old-td', 'other']);
    expect(last?.state === 'ready' && last.identity.bundles.get('old-td')).toBe(ca.roots);
    expect(time.pending).toBe(1);
    watch.close();
    ca.rotateRoot();
    expect([states.length, time.pending]).toEqual([4, 0]);
  });

  it('say why there is none, and try again', () => {
    const { states, time } = watched(createDevCa({ trustDomain: 'td', clock }), { serviceAccount: 'a b' });
    expect(states).toEqual([{ state: 'failed', reason: expect.stringContaining('its path may only have') as string }]);
    expect(time.pending).toBe(1);
  });
});
