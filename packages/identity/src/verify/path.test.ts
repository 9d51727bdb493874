import { GeneralName } from '@peculiar/asn1-x509';
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  basicConstraints,
  CLIENT_AUTH,
  extendedKeyUsage,
  extension,
  keyUsage,
  newKeys,
  SERVER_AUTH,
  subjectAlternativeNames,
  uriName,
} from '../dev/write.ts';
import {
  constraints,
  DAY,
  der,
  edSigner,
  leafExtensions,
  NOW,
  pssSigner,
  rawExtension,
  rsaKeys,
  rsaSigner,
  type Spec,
  type TestAuthority,
  testIntermediate,
  testLeaf,
  testRoot,
} from '../testing/pki.ts';
import { outcome } from '../testing/verify.ts';

const A = 'spiffe://td/ns/default/sa/a';
const B = 'spiffe://other/ns/default/sa/b';
const root = testRoot();
const bundles = { td: [root] };

/** The verdict on a leaf below intermediates below the root, from the root down. */
function below(
  specs: readonly Spec[],
  {
    leaf = {},
    uri = A,
    anchor = root,
    as = 'client',
  }: { leaf?: Spec; uri?: string; anchor?: TestAuthority; as?: 'client' | 'server' } = {},
): string {
  const cas = specs.reduce<readonly TestAuthority[]>(
    (above, spec, index) => [...above, testIntermediate(above.at(-1) ?? anchor, { name: `ca ${index}`, ...spec })],
    [],
  );
  const last = testLeaf(cas.at(-1) ?? anchor, uri, leaf);
  return outcome([last, ...cas.toReversed()], { bundles: { td: [anchor], other: [anchor] }, as });
}

describe('the way to a root', () => {
  it('may lead over intermediates, whose order does not matter', () => {
    const outer = testIntermediate(root, { name: 'outer' });
    const inner = testIntermediate(outer, { name: 'inner' });
    const leaf = testLeaf(inner, A);
    expect(outcome([leaf, inner, outer], { bundles })).toBe(A);
    expect(outcome([leaf, outer, inner], { bundles })).toBe(A);
    expect(outcome([leaf, inner, outer, root], { bundles })).toBe(A);
    expect(outcome([leaf, outer], { bundles })).toContain('it was not issued by any of its roots');
  });

  it('leads to a root of the bundle, not to one the peer brought', () => {
    const foreign = testRoot();
    expect(outcome([testLeaf(foreign, A), foreign], { bundles })).toContain('it was not issued by any of its roots');
  });

  it('needs signatures and not names alone', () => {
    const twin = testRoot({ name: 'root' });
    expect(outcome([testLeaf(twin, A)], { bundles })).toContain('it was not issued by any of its roots');
  });

  it('a leaf changed after it was signed is nobody', () => {
    const leaf = testLeaf(root, A);
    const changed = Buffer.from(leaf.der);
    changed.write('z', changed.indexOf(A) + A.length - 1);
    expect(outcome([{ der: changed }], { bundles })).toBe('spiffe://td/ns/default/sa/z: it was not issued by any of its roots');
  });

  it('a leaf that is itself a trusted root is nobody', () => {
    const self = testRoot({ name: 'self', extensions: leafExtensions(A) });
    expect(outcome([self], { bundles: { td: [self] } })).toContain('is no CA');
  });

  it('finds the root that signed while two of one name are believed', () => {
    const next = testRoot({ name: 'root' });
    expect(outcome([testLeaf(next, A)], { bundles: { td: [root, next] } })).toBe(A);
    expect(outcome([testLeaf(root, A)], { bundles: { td: [root, next] } })).toBe(A);
    expect(outcome([testLeaf(root, A)], { bundles: { td: [next] } })).toContain('it was not issued');
  });

  it('finds the way round an intermediate that expired, over the same key certified anew', () => {
    const keys = newKeys();
    const stale = testIntermediate(root, { keys, notAfter: NOW - 1 });
    const fresh = testIntermediate(root, { keys });
    expect(outcome([testLeaf(fresh, A), stale, fresh], { bundles })).toBe(A);
  });

  it('is not looked for without end', () => {
    const keys = newKeys();
    const same = Array.from({ length: 7 }, () => testIntermediate({ ...root, name: 'loop', keys }, { name: 'loop', keys }));
    const begun = performance.now();
    expect(outcome([testLeaf(same[0]!, A), ...same], { bundles })).toContain('it was not issued by any of its roots');
    expect(performance.now() - begun).toBeLessThan(1000);
    expect(outcome([testLeaf(root, A), ...same, root], { bundles })).toBe('it sent 9 certificates, more than 8');
    expect(outcome([], { bundles })).toBe('it sent no certificate');
  });
});

describe('trust domains', () => {
  const otherRoot = testRoot({ name: 'other root' });

  it('an identity is verified against the bundle of its own domain only, whoever else is believed', () => {
    const both = { td: [root], other: [otherRoot] };
    expect(outcome([testLeaf(otherRoot, B)], { bundles: both })).toBe(B);
    expect(outcome([testLeaf(otherRoot, A)], { bundles: both })).toContain('it was not issued by any of its roots');
    expect(outcome([testLeaf(root, B)], { bundles: both })).toContain('it was not issued by any of its roots');
  });

  it('a domain that is no longer federated, or whose bundle is empty, is not believed', () => {
    const leaf = testLeaf(otherRoot, B);
    expect(outcome([leaf], { bundles })).toBe(`${B}: trust domain "other" is not trusted here; those that are: td`);
    expect(outcome([leaf], { bundles: { td: [root], other: [] } })).toContain('is empty, so nobody of it is trusted');
    expect(outcome([leaf], { bundles: {} })).toContain('those that are: none');
  });

  it('an alias is a domain with the same roots', () => {
    expect(outcome([testLeaf(root, 'spiffe://old-td/ns/default/sa/a')], { bundles: { td: [root], 'old-td': [root] } })).toBe(
      'spiffe://old-td/ns/default/sa/a',
    );
  });

  it('half a bundle is none', () => {
    const cut = { ...root, pem: root.pem.slice(0, 100) };
    expect(outcome([testLeaf(root, A)], { bundles: { td: [root, cut] } })).toContain('a CERTIFICATE block is cut off');
  });
});

describe('who may issue', () => {
  const [, certSign] = [basicConstraints(true), keyUsage(['keyCertSign', 'cRLSign'])];

  it('only a CA', () => {
    expect(below([{}])).toBe(A);
    expect(below([{ extensions: [basicConstraints(false), certSign] }])).toContain('intermediate 1 is no CA');
    expect(below([{ extensions: [certSign] }])).toContain('intermediate 1 is no CA');
    expect(below([{ extensions: leafExtensions(B) }])).toContain('intermediate 1 is no CA');
  });

  it('only a key that may sign certificates', () => {
    expect(below([{ extensions: [basicConstraints(true), keyUsage(['digitalSignature', 'cRLSign'])] }])).toContain(
      'intermediate 1 may not sign certificates',
    );
    expect(below([{ extensions: [basicConstraints(true)] }])).toContain('intermediate 1 may not sign certificates');
  });

  it('a root is believed without a key usage, but not against it', () => {
    expect(below([], { anchor: testRoot({ extensions: [basicConstraints(true)] }) })).toBe(A);
    expect(below([], { anchor: testRoot({ extensions: [basicConstraints(true), keyUsage(['digitalSignature'])] }) })).toContain(
      'its root may not sign certificates',
    );
  });

  it('only as deep as the path length says', () => {
    const deep = (length: number): Spec => ({ extensions: [basicConstraints(true, length), certSign] });
    expect(below([deep(0)])).toBe(A);
    expect(below([deep(0), {}])).toContain('intermediate 2 allows 0 intermediates below it, and there are 1');
    expect(below([deep(1), {}])).toBe(A);
    expect(below([{}], { anchor: testRoot(deep(0)) })).toContain('its root allows 0 intermediates below it, and there are 1');
  });

  it('only for the uses it has itself', () => {
    const uses = (...usages: readonly string[]): readonly Spec[] => [
      { extensions: [basicConstraints(true), certSign, extendedKeyUsage(...usages)] },
    ];
    expect(below(uses(SERVER_AUTH), { as: 'client' })).toContain('intermediate 1 may not issue for a client');
    expect(below(uses(SERVER_AUTH), { as: 'server' })).toBe(A);
    expect(below(uses(CLIENT_AUTH), { as: 'server' })).toContain('intermediate 1 may not issue for a server');
    expect(below(uses('2.5.29.37.0'))).toBe(A);
  });

  it('not one with a critical extension nobody knows', () => {
    const odd = extension('1.2.3.4', true, new GeneralName({ dNSName: 'x' }));
    expect(below([{ extensions: [basicConstraints(true), certSign, odd] }])).toContain('intermediate 1 has a critical extension');
  });
});

describe('time', () => {
  const past: Spec = { notBefore: NOW - 2 * DAY, notAfter: NOW - 1000 };
  const future: Spec = { notBefore: NOW + 1000, notAfter: NOW + DAY };

  it.each([
    ['leaf', 'its certificate'],
    ['intermediate', 'intermediate 1'],
    ['root', 'its root'],
  ])('an expired or not yet valid %s is refused', (which, name) => {
    const at = (spec: Spec): string =>
      below([which === 'intermediate' ? spec : {}], {
        leaf: which === 'leaf' ? spec : {},
        anchor: which === 'root' ? testRoot(spec) : root,
      });
    expect(at(past)).toContain(`${name} expired at 2024-12-31T23:59:59.000Z`);
    expect(at(future)).toContain(`${name} is not valid before 2025-01-01T00:00:01.000Z`);
  });

  it('the last second counts', () => {
    const leaf = testLeaf(root, A, { notBefore: NOW, notAfter: NOW + 1000 });
    expect([NOW - 1, NOW, NOW + 1000, NOW + 1001].map((now) => outcome([leaf], { bundles, now }) === A)).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });
});

describe('algorithms', () => {
  it.each(['md5', 'sha1'] as const)('a signature over %s is refused', (hash) => {
    const anchor = testRoot({ keys: rsaKeys(2048), signer: rsaSigner('sha256') });
    expect(below([], { anchor, leaf: { signer: rsaSigner('sha256') } })).toBe(A);
    expect(below([], { anchor, leaf: { signer: rsaSigner(hash) } })).toContain(
      'its certificate is signed with an algorithm that is not believed in',
    );
  });

  it('RSA-PSS is taken with a hash that is named and believed in, and not with the default, SHA-1', () => {
    const anchor = testRoot({ keys: rsaKeys(2048), signer: rsaSigner('sha256') });
    const named = der(0x30, der(0xa0, Buffer.from('300d06096086480165030402010500', 'hex')));
    expect(below([], { anchor, leaf: { signer: pssSigner('sha256', named) } })).toBe(A);
    expect(below([], { anchor, leaf: { signer: pssSigner('sha512', named) } })).toContain('it was not issued by any of its roots');
    expect(below([], { anchor, leaf: { signer: pssSigner('sha1', der(0x30, new Uint8Array())) } })).toContain(
      'an algorithm that is not believed in',
    );
  });

  it('Ed25519 is taken', () => {
    const anchor = testRoot({ keys: generateKeyPairSync('ed25519'), signer: edSigner });
    expect(below([], { anchor, leaf: { signer: edSigner, keys: generateKeyPairSync('ed25519') } })).toBe(A);
    expect(below([], { anchor, leaf: { signer: (issuer) => rsaSigner('sha256')({ ...issuer, keys: rsaKeys(2048) }) } })).toContain(
      'it was not issued by any of its roots',
    );
  });

  it('a CA with a weak or strange key is refused', () => {
    expect(below([{ keys: rsaKeys(1024) }], { leaf: { signer: rsaSigner('sha256') } })).toContain('its RSA key has 1024 bits');
    expect(below([], { anchor: testRoot({ keys: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }) }) })).toContain(
      'its key is on the curve secp256k1',
    );
  });
});

describe('name constraints', () => {
  const limited = (...parts: Parameters<typeof constraints>): readonly Spec[] => [
    { extensions: [basicConstraints(true), keyUsage(['keyCertSign', 'cRLSign']), constraints(...parts)] },
  ];

  it('a CA limited to one trust domain issues for no other', () => {
    expect(below(limited([uriName('td')]))).toBe(A);
    expect(below(limited([uriName('td')]), { uri: B })).toContain(`intermediate 1 may not issue the uri name "${B}"`);
    expect(below(limited([], [uriName('other')]), { uri: B })).toContain(`intermediate 1 must not issue the uri name "${B}"`);
    expect(below(limited([], [uriName('other')]))).toBe(A);
  });

  it('holds for everything further down too, and when the root sets it', () => {
    const extensions = [basicConstraints(true), keyUsage(['keyCertSign']), constraints([uriName('td')])];
    expect(below([{ extensions }, {}], { uri: B })).toContain('intermediate 2 may not issue the uri name');
    expect(below([{}], { uri: B, anchor: testRoot({ extensions }) })).toContain('its root may not issue the uri name');
  });

  it('a domain with a dot in front is what stands below it, one without is that host alone', () => {
    const sub = 'spiffe://x.td/ns/default/sa/a';
    const at = (constraint: string, uri: string): string => {
      const ca = testIntermediate(root, limited([uriName(constraint)])[0]);
      return outcome([testLeaf(ca, uri), ca], { bundles: { td: [root], 'x.td': [root] } });
    };
    expect(at('.td', sub)).toBe(sub);
    expect(at('.td', A)).toContain('may not issue');
    expect(at('td', sub)).toContain('may not issue');
    expect(at('TD', A)).toBe(A);
  });

  it('constraints on names of other kinds hold for those names', () => {
    const dns = (name: string): Spec => ({ extensions: leafExtensions(A, { names: [new GeneralName({ dNSName: name })] }) });
    const only = limited([new GeneralName({ dNSName: 'example.org' })]);
    expect(below(only)).toBe(A);
    expect(below(only, { leaf: dns('a.example.org') })).toBe(A);
    expect(below(only, { leaf: dns('notexample.org') })).toContain('may not issue the dns name "notexample.org"');
    expect(below(limited([], [new GeneralName({ dNSName: 'a.example.org' })]), { leaf: dns('*.example.org') })).toContain('must not issue');
    const ip: Spec = { extensions: leafExtensions(A, { names: [new GeneralName({ iPAddress: '10.1.2.3' })] }) };
    const network = (base: readonly number[]): readonly Spec[] => [
      {
        extensions: [
          basicConstraints(true),
          keyUsage(['keyCertSign']),
          rawExtension('2.5.29.30', true, der(0x30, der(0xa0, der(0x30, der(0x87, Uint8Array.from(base)))))),
        ],
      },
    ];
    expect(below(network([10, 1, 0, 0, 255, 255, 0, 0]), { leaf: ip })).toBe(A);
    expect(below(network([10, 2, 0, 0, 255, 255, 0, 0]), { leaf: ip })).toContain('may not issue the ip name');
  });

  it('what cannot be compared is refused', () => {
    const mail = new GeneralName({ rfc822Name: 'a@example.org' });
    expect(below(limited([mail]), { leaf: { extensions: leafExtensions(A, { names: [mail] }) } })).toContain(
      'which cannot be compared here',
    );
    const address = 'spiffe://10.0.0.1/ns/default/sa/a';
    const ca = testIntermediate(root, limited([uriName('10.0.0.1')])[0]);
    expect(outcome([testLeaf(ca, address), ca], { bundles: { '10.0.0.1': [root] } })).toContain('may not issue');
  });

  it('an intermediate is bound by them as well', () => {
    const name = subjectAlternativeNames([uriName('spiffe://other')]);
    const inner: Spec = { extensions: [basicConstraints(true), keyUsage(['keyCertSign']), name] };
    expect(below([...limited([uriName('td')]), inner])).toContain('intermediate 2 may not issue the uri name "spiffe://other"');
  });
});
