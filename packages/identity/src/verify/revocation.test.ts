import { GeneralName } from '@peculiar/asn1-x509';
import { describe, expect, it } from 'vitest';
import { basicConstraints, extension, keyUsage, newKeys } from '../dev/write.ts';
import { DAY, NOW, testCrl, testIntermediate, testLeaf, testRoot } from '../testing/pki.ts';
import { outcome } from '../testing/verify.ts';

const A = 'spiffe://td/ns/default/sa/a';
const root = testRoot();
const ca = testIntermediate(root);
const leaf = testLeaf(ca, A);
const sibling = testLeaf(ca, A);
const bundles = { td: [root] };
const verdict = (crl: string, chain = [leaf, ca]): string => outcome(chain, { bundles, crl });

describe('revocation', () => {
  it('refuses a leaf that was revoked, and no other', () => {
    const crl = testCrl(ca, [leaf]) + testCrl(root, []);
    expect(verdict(crl)).toBe(`${A}: its certificate was revoked`);
    expect(verdict(crl, [sibling, ca])).toBe(A);
  });

  it('refuses what a revoked intermediate issued', () => {
    expect(verdict(testCrl(ca, []) + testCrl(root, [ca]))).toBe(`${A}: intermediate 1 was revoked`);
  });

  it('once one CA of the path has a list, each needs one', () => {
    expect(verdict(testCrl(root, []))).toBe(
      `${A}: no revocation list of the issuer of its certificate can be used: none it signed is configured`,
    );
    expect(verdict(testCrl(ca, []))).toContain('no revocation list of the issuer of intermediate 1 can be used');
  });

  it('a list of another CA concerns nobody here', () => {
    expect(verdict(testCrl(testRoot({ name: 'elsewhere' }), [leaf]))).toBe(A);
  });

  it('a list that is out of date or not yet in force is no list', () => {
    for (const times of [{ nextUpdate: NOW - 1000 }, { thisUpdate: NOW + 1000 }]) {
      expect(verdict(testCrl(ca, [], times) + testCrl(root, []))).toContain('those configured are out of date or partial');
    }
  });

  it('a list that is out of date still revokes', () => {
    const old = testCrl(ca, [leaf], { thisUpdate: NOW - 3 * DAY, nextUpdate: NOW - 2 * DAY });
    expect(verdict(old + testCrl(ca, []) + testCrl(root, []))).toContain('its certificate was revoked');
  });

  it('a list somebody else signed in the name of the CA is no list', () => {
    expect(verdict(testCrl(ca, [leaf], { keys: newKeys() }) + testCrl(root, []))).toContain('none it signed is configured');
  });

  it('a partial list is no list', () => {
    const delta = [extension('2.5.29.27', true, new GeneralName({ dNSName: 'x' }))];
    expect(verdict(testCrl(ca, [], { extensions: delta }) + testCrl(root, []))).toContain('out of date or partial');
  });

  it('a CA whose key may not sign lists has none', () => {
    const mute = testIntermediate(root, { name: 'mute', extensions: [basicConstraints(true), keyUsage(['keyCertSign'])] });
    expect(verdict(testCrl(mute, []) + testCrl(root, []), [testLeaf(mute, A), mute])).toContain('it may not sign any');
  });

  it('lists that cannot be read let nobody in', () => {
    for (const crl of ['garbage', '-----BEGIN X509 CRL-----\nAAAA', '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n']) {
      expect(verdict(crl)).toContain('the revocation lists configured here cannot be used');
    }
  });
});
