import { GeneralName, OtherName } from '@peculiar/asn1-x509';
import { describe, expect, it } from 'vitest';
import {
  basicConstraints,
  CLIENT_AUTH,
  extendedKeyUsage,
  extension,
  keyUsage,
  SERVER_AUTH,
  subjectAlternativeNames,
  uriName,
} from '../dev/write.ts';
import { bare, der, type RawName, leafExtensions, rawExtension, rawNames, rsaKeys, type Spec, testLeaf, testRoot } from '../testing/pki.ts';
import { outcome } from '../testing/verify.ts';

const A = 'spiffe://td/ns/default/sa/a';
const root = testRoot();

const verdict = (uri: string | readonly string[], spec: Spec = {}, as: 'client' | 'server' = 'client'): string =>
  outcome([testLeaf(root, uri, spec)], { bundles: { td: [root] }, as });

const named = (...names: readonly RawName[]): Spec => ({ extensions: [...bare(leafExtensions(A)), rawNames(...names)] });

describe('whom a certificate names', () => {
  it('is the one URI name it has', () => {
    expect(verdict(A)).toBe(A);
  });

  it('other kinds of names may stand beside it and say nothing', () => {
    const names = [
      new GeneralName({ dNSName: 'a.default.svc' }),
      new GeneralName({ iPAddress: '10.0.0.1' }),
      new GeneralName({ rfc822Name: 'spiffe://td/ns/default/sa/admin' }),
      new GeneralName({
        otherName: new OtherName({ typeId: '1.2.3', value: new Uint8Array(der(0x0c, Buffer.from('URI:spiffe://td/ns/x/sa/y'))).buffer }),
      }),
    ];
    expect(verdict(A, { extensions: leafExtensions(A, { names }) })).toBe(A);
  });

  it('two URI names are nobody, in whatever order and even if equal', () => {
    const reason = 'it has 2 URI names, where a SPIFFE identity is exactly one';
    expect(verdict([A, 'spiffe://td/ns/default/sa/b'])).toBe(reason);
    expect(verdict(['https://example.org', A])).toBe(reason);
    expect(verdict([A, A])).toBe(reason);
  });

  it('no URI name is nobody, whatever the DNS name or the common name say', () => {
    const reason = 'it has no URI name, so it proves no SPIFFE identity';
    expect(verdict([], { name: A, extensions: leafExtensions([], { names: [new GeneralName({ dNSName: A })] }) })).toBe(reason);
    expect(verdict([], { name: A, extensions: bare(leafExtensions(A)) })).toBe(reason);
  });

  it.each([
    ['another scheme', 'https://td/ns/default/sa/a'],
    ['upper case in the trust domain', 'spiffe://TD/ns/default/sa/a'],
    ['percent encoding', 'spiffe://td/ns/default/sa/%61'],
    ['an empty segment', 'spiffe://td/ns//default/sa/a'],
    ['dot segments', 'spiffe://td/ns/x/../default/sa/a'],
    ['a slash at the end', 'spiffe://td/ns/default/sa/a/'],
    ['a port', 'spiffe://td:443/ns/default/sa/a'],
    ['a query', 'spiffe://td/ns/default/sa/a?b'],
    ['no path, as only a CA has', 'spiffe://td'],
    ['a path that is not of five segments', 'spiffe://td/ns/evil/x/ns/default/sa/a'],
    ['a wildcard', 'spiffe://td/ns/default/sa/*'],
    ['a comma that could end it in a joined string', 'spiffe://td/ns/default/sa/a, URI:spiffe://td/ns/default/sa/b'],
  ])('refuses %s', (_, uri) => {
    expect(verdict(uri)).toContain('is no SPIFFE ID of a workload');
  });

  it('bytes are taken as they stand: a NUL ends nothing, and UTF-8 is no ASCII', () => {
    expect(verdict([], named([0x86, `${A}\0.evil`]))).toContain('is no SPIFFE ID of a workload');
    expect(verdict([], named([0x86, Buffer.from('spiffe://td/ns/default/sa/ä')]))).toContain('is no SPIFFE ID of a workload');
    expect(verdict([], named([0x82, `x\0, URI:${A}`]))).toBe('it has no URI name, so it proves no SPIFFE identity');
  });

  it('refuses names in forms DER does not have', () => {
    expect(verdict([], named([0xa6, der(0x16, Buffer.from(A))]))).toContain('a name is of no known kind');
    expect(verdict([], named([0x16, A]))).toContain('a name is of no known kind');
    const padded = Buffer.concat([Buffer.from([0x86, 0x81, A.length]), Buffer.from(A)]);
    expect(verdict([], { extensions: [...bare(leafExtensions(A)), rawExtension('2.5.29.17', true, der(0x30, padded))] })).toContain(
      'a length is padded',
    );
  });

  it('refuses a second extension of names, which another reader might take', () => {
    const extensions = [...leafExtensions(A), subjectAlternativeNames([uriName('spiffe://td/ns/default/sa/b')])];
    expect(verdict(A, { extensions })).toContain('it has an extension twice');
  });
});

describe('what a leaf may be', () => {
  const used = (usage: ReturnType<typeof keyUsage>): string => verdict(A, { extensions: leafExtensions(A, { usage }) });

  it('a CA is no leaf', () => {
    const [, ...rest] = leafExtensions(A);
    expect(verdict(A, { extensions: [basicConstraints(true), ...rest] })).toContain('it is the certificate of a CA');
    expect(outcome([root], { bundles: { td: [root] } })).toContain('no URI name');
  });

  it('basic constraints may be missing: no CA is what that says', () => {
    const [, ...rest] = leafExtensions(A);
    expect(verdict(A, { extensions: rest })).toBe(A);
  });

  it('its key may sign neither certificates nor revocation lists', () => {
    expect(used(keyUsage(['digitalSignature', 'keyCertSign']))).toContain('keyCertSign');
    expect(used(keyUsage(['digitalSignature', 'cRLSign']))).toContain('cRLSign');
  });

  it('its key must be for signing, and say so critically', () => {
    expect(used(keyUsage(['keyEncipherment']))).toContain('lacks digitalSignature');
    expect(used(keyUsage(['digitalSignature'], false))).toContain('is not critical');
    const [constraint, , purposes, names] = leafExtensions(A);
    expect(verdict(A, { extensions: [constraint!, purposes!, names!] })).toContain('it has no key usage');
    expect(used(keyUsage(['digitalSignature', 'keyEncipherment', 'keyAgreement']))).toBe(A);
  });

  it('an extended key usage must have both uses, for a client and for a server', () => {
    const only = (...usages: readonly string[]): Spec => ({ extensions: leafExtensions(A, { purposes: extendedKeyUsage(...usages) }) });
    expect(verdict(A, only(SERVER_AUTH), 'client')).toContain('lacks clientAuth');
    expect(verdict(A, only(SERVER_AUTH), 'server')).toContain('lacks clientAuth');
    expect(verdict(A, only(CLIENT_AUTH), 'server')).toContain('lacks serverAuth');
    expect(verdict(A, only('2.5.29.37.0'), 'client')).toContain('lacks serverAuth');
    expect(verdict(A, only(SERVER_AUTH, CLIENT_AUTH), 'server')).toBe(A);
    const [constraint, usage, , names] = leafExtensions(A);
    expect(verdict(A, { extensions: [constraint!, usage!, names!] })).toBe(A);
  });

  it('a critical extension nobody knows is not passed over, one that is not critical is', () => {
    const extra = (critical: boolean): Spec => ({
      extensions: [...leafExtensions(A), extension('1.2.3.4', critical, new GeneralName({ dNSName: 'x' }))],
    });
    expect(verdict(A, extra(true))).toContain('a critical extension that is not known here');
    expect(verdict(A, extra(false))).toBe(A);
  });

  it('a weak key proves nothing', () => {
    expect(verdict(A, { keys: rsaKeys(1024) })).toContain('its RSA key has 1024 bits, fewer than 2048');
    expect(verdict(A, { keys: rsaKeys(2048) })).toBe(A);
  });
});
