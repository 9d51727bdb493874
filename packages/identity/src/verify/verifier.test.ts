import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DAY, NOW, testCrl, testIntermediate, testLeaf, testRoot } from '../testing/pki.ts';
import { parseCertificate } from './certificate.ts';
import { parseRevocationLists } from './revocation.ts';
import { peerVerifier } from './verifier.ts';

const A = 'spiffe://td/ns/default/sa/a';
const root = testRoot({ notAfter: NOW + 100 * DAY });
const ca = testIntermediate(root);
const leaf = testLeaf(ca, A);
const chain = [leaf.der, ca.der];
const trusting = (pem = root.pem, crl = '') => ({ bundles: new Map([['td', pem]]), crl });

describe('what is remembered', () => {
  it('time is looked at again on every handshake', () => {
    const verifier = peerVerifier();
    const identity = trusting();
    expect(verifier.verify(chain, identity, 'client', NOW).ok).toBe(true);
    expect(verifier.verify(chain, identity, 'client', NOW + DAY + 1)).toMatchObject({ ok: false });
    expect(verifier.verify(chain, identity, 'client', NOW - DAY - 1)).toMatchObject({ ok: false });
    expect(verifier.verify(chain, identity, 'client', NOW).ok).toBe(true);
  });

  it('a revocation list that goes out of date ends what was proven by it', () => {
    const verifier = peerVerifier();
    const identity = trusting(root.pem, testCrl(ca, [], { nextUpdate: NOW + 1000 }) + testCrl(root, []));
    expect(verifier.verify(chain, identity, 'client', NOW).ok).toBe(true);
    expect(verifier.verify(chain, identity, 'client', NOW + 1001)).toMatchObject({ ok: false });
  });

  it('is forgotten with the roots and the revocation lists it rests on', () => {
    const verifier = peerVerifier();
    const identity = trusting();
    expect(verifier.verify(chain, identity, 'client', NOW).ok).toBe(true);
    expect(verifier.verify(chain, trusting(testRoot().pem), 'client', NOW)).toMatchObject({ ok: false });
    const crl = testCrl(ca, [leaf]) + testCrl(root, []);
    expect(verifier.verify(chain, { ...identity, crl }, 'client', NOW)).toMatchObject({ ok: false });
    expect(verifier.verify(chain, identity, 'client', NOW).ok).toBe(true);
  });

  it('does not let a peer off its intermediates', () => {
    const verifier = peerVerifier();
    const identity = trusting();
    expect(verifier.verify(chain, identity, 'client', NOW).ok).toBe(true);
    expect(verifier.verify([leaf.der], identity, 'client', NOW)).toMatchObject({ ok: false });
  });

  it('makes the second handshake of a peer cheap', () => {
    const verifier = peerVerifier();
    const identity = trusting();
    const time = (runs: number): number => {
      const begun = performance.now();
      for (let run = 0; run < runs; run += 1) verifier.verify(chain, identity, 'client', NOW);
      return (performance.now() - begun) / runs;
    };
    const first = time(1);
    time(200);
    expect(time(1000)).toBeLessThan(first / 3);
  });
});

describe('hostile bytes', () => {
  const identity = trusting();
  const verifier = peerVerifier();
  const never = (der: Uint8Array): void => {
    const result = verifier.verify([der, ca.der], identity, 'client', NOW);
    if (result.ok) expect(Buffer.compare(der, leaf.der)).toBe(0);
    else expect(result.reason).not.toBe('');
  };

  it('any bytes at all are a refusal with a reason', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), never), { numRuns: 500 });
  });

  it('a certificate with one byte changed is never accepted', () => {
    for (let at = 0; at < leaf.der.length; at += 1) {
      for (const flip of [0x01, 0x20, 0x80, 0xff]) {
        const changed = Buffer.from(leaf.der);
        changed[at] = changed[at]! ^ flip;
        never(changed);
      }
    }
  });

  it('a certificate cut short or with bytes behind it is never accepted', () => {
    for (let length = 0; length < leaf.der.length; length += 1) never(leaf.der.subarray(0, length));
    expect(verifier.verify([Buffer.concat([leaf.der, Buffer.from([0])]), ca.der], identity, 'client', NOW)).toMatchObject({ ok: false });
  });

  it('a certificate far too big is not even read', () => {
    expect(parseCertificate(new Uint8Array(40_000))).toEqual({ ok: false, reason: 'it has 40000 bytes, more than 32768' });
  });

  it('nesting without end does no harm', () => {
    const deep = Buffer.alloc(30_000, 0x30);
    expect(parseCertificate(deep).ok).toBe(false);
  });

  it('a revocation list with bytes changed is a reason or a list, and no crash', () => {
    const [, base64 = ''] = /-----\n([\s\S]*?)-----END/.exec(testCrl(ca, [leaf])) ?? [];
    const list = Buffer.from(base64, 'base64');
    fc.assert(
      fc.property(fc.nat(list.length - 1), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(list);
        changed[at] = byte;
        parseRevocationLists(`-----BEGIN X509 CRL-----\n${changed.toString('base64')}\n-----END X509 CRL-----\n`);
      }),
      { numRuns: 1000 },
    );
  });
});
