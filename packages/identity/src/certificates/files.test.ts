import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Closeable, type Identity, type IdentityState, systemClock } from '@inmesh/core';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createDevCa, type DevSvid } from '../dev/index.ts';
import { DAY, testCrl, testRoot } from '../testing/pki.ts';
import { fileCertificates, type FileCertificatesOptions, findCertificates } from './files.ts';

let folder: string;
let left: Closeable[] = [];
const ca = createDevCa({ trustDomain: 'td' });
const other = createDevCa({ trustDomain: 'other' });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-certificates-'));
});

afterEach(() => {
  for (const one of left.splice(0)) one.close();
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => join(folder, name);
const write = (name: string, text: string): void => writeFileSync(at(name), text);
/** As careful programs write: never half a file. */
const replace = (name: string, text: string): void => {
  write(`${name}.new`, text);
  renameSync(at(`${name}.new`), at(name));
};
const FILES = { certificate: 'cert-chain.pem', privateKey: 'key.pem', roots: 'root-cert.pem' };

function writeAll({ certificate, privateKey }: DevSvid, roots = ca.roots): void {
  write('cert-chain.pem', certificate);
  write('key.pem', privateKey);
  write('root-cert.pem', roots);
}

function watched(options: Partial<FileCertificatesOptions> = {}): IdentityState[] {
  const states: IdentityState[] = [];
  const paths = { certificate: at(FILES.certificate), privateKey: at(FILES.privateKey), roots: at(FILES.roots) };
  const source = fileCertificates({ ...paths, quietMs: 20, graceMs: 150, ...options });
  left.push(source.watch((state) => states.push(state), { clock: systemClock, random: () => 0.5 }));
  return states;
}

const identityOf = (state?: IdentityState): Identity => {
  if (state?.state !== 'ready') throw new Error(`no identity: ${JSON.stringify(state)}`);
  return state.identity;
};
const reasonOf = (state?: IdentityState): string => (state?.state === 'failed' ? state.reason : `not failed: ${state?.state}`);
const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 3000, interval: 10 });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('certificates in files', () => {
  it('are an identity with the roots of its own trust domain', async () => {
    const svid = ca.issue({ serviceAccount: 'a' });
    writeAll(svid);
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    const identity = identityOf(states[0]);
    expect(identity).toMatchObject({ principal: svid.principal, expiresAt: svid.expiresAt, crl: '' });
    expect([...identity.bundles]).toEqual([['td', ca.roots]]);
  });

  it('know federated trust domains, aliases and revocation lists', async () => {
    writeAll(ca.issue({ serviceAccount: 'a' }));
    write('other.pem', other.roots);
    write('crl.pem', testCrl(testRoot(), []));
    const states = watched({ bundles: { other: at('other.pem') }, crl: at('crl.pem'), aliases: ['old-td'] });
    await until(() => expect(states).toHaveLength(1));
    const { bundles, crl } = identityOf(states[0]);
    expect([...bundles]).toEqual([
      ['td', ca.roots],
      ['old-td', ca.roots],
      ['other', other.roots],
    ]);
    expect(crl).toContain('BEGIN X509 CRL');
  });

  it('replaced one after the other are one change, and never a pair that does not match', async () => {
    writeAll(ca.issue({ serviceAccount: 'a' }));
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    const next = ca.issue({ serviceAccount: 'b' });
    replace('cert-chain.pem', next.certificate);
    await pause(60);
    expect(states).toHaveLength(1);
    replace('key.pem', next.privateKey);
    await until(() => expect(states).toHaveLength(2));
    expect(identityOf(states[1]).principal.serviceAccount).toBe('b');
    expect(identityOf(states[1]).version).not.toBe(identityOf(states[0]).version);
    await pause(250);
    expect(states).toHaveLength(2);
  });

  it('a pair that stays torn is a failure that says so, and is over when it matches', async () => {
    const first = ca.issue({ serviceAccount: 'a' });
    writeAll(first);
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    replace('cert-chain.pem', ca.issue({ serviceAccount: 'b' }).certificate);
    await until(() => expect(states).toHaveLength(2));
    expect(reasonOf(states[1])).toContain('the private key is that of another certificate');
    replace('cert-chain.pem', first.certificate);
    await until(() => expect(states).toHaveLength(3));
    expect(identityOf(states[2]).principal).toEqual(first.principal);
  });

  it('roots alone may change', async () => {
    writeAll(ca.issue({ serviceAccount: 'a' }));
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    const both = ca.roots + createDevCa({ trustDomain: 'td' }).roots;
    replace('root-cert.pem', both);
    await until(() => expect(states).toHaveLength(2));
    expect(identityOf(states[1]).bundles.get('td')).toBe(both);
  });

  it('written in place are read too', async () => {
    writeAll(ca.issue({ serviceAccount: 'a' }));
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    writeAll(ca.issue({ serviceAccount: 'b' }));
    await until(() => expect(states.length).toBeGreaterThan(1));
    expect(identityOf(states.at(-1)).principal.serviceAccount).toBe('b');
  });

  it('of a mounted Secret change by its link', async () => {
    const mount = (version: string, serviceAccount: string): void => {
      mkdirSync(at(version));
      const { certificate, privateKey } = ca.issue({ serviceAccount });
      for (const [name, text] of Object.entries({ 'tls.crt': certificate, 'tls.key': privateKey, 'ca.crt': ca.roots }))
        write(join(version, name), text);
      symlinkSync(version, at('..data_tmp'));
      renameSync(at('..data_tmp'), at('..data'));
    };
    mount('..1', 'a');
    for (const name of ['tls.crt', 'tls.key', 'ca.crt']) symlinkSync(join('..data', name), at(name));
    const files = await findCertificates(folder);
    if (typeof files === 'string') throw new Error(files);
    // The safety net is out of reach: the link alone must do.
    const states = watched({ ...files, pollMs: 60_000 });
    await until(() => expect(states).toHaveLength(1));
    for (const [version, account] of Object.entries({ '..2': 'b', '..3': 'c' })) {
      // Nothing is being looked at any more.
      await pause(100);
      mount(version, account);
      await until(() => expect(identityOf(states.at(-1)).principal.serviceAccount).toBe(account));
    }
    expect(states).toHaveLength(3);
  });

  it('may come later, even their folder', async () => {
    const late = { certificate: at('late/cert-chain.pem'), privateKey: at('late/key.pem'), roots: at('late/root-cert.pem') };
    const states = watched({ ...late, pollMs: 50 });
    await until(() => expect(states).toHaveLength(1));
    expect(reasonOf(states[0])).toBe(`${late.certificate} does not exist`);
    mkdirSync(at('late'));
    const svid = ca.issue({ serviceAccount: 'a' });
    write('late/cert-chain.pem', svid.certificate);
    write('late/key.pem', svid.privateKey);
    write('late/root-cert.pem', ca.roots);
    await until(() => expect(identityOf(states.at(-1)).principal).toEqual(svid.principal));
  });

  it('that vanish leave what was good in use', async () => {
    writeAll(ca.issue({ serviceAccount: 'a' }));
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    unlinkSync(at('key.pem'));
    await until(() => expect(states).toHaveLength(2));
    expect(reasonOf(states[1])).toBe(`${at('key.pem')} does not exist`);
  });

  it('are watched no more once closed', async () => {
    writeAll(ca.issue({ serviceAccount: 'a' }));
    const states = watched({ pollMs: 20 });
    await until(() => expect(states).toHaveLength(1));
    left.splice(0)[0]!.close();
    writeAll(ca.issue({ serviceAccount: 'b' }));
    await pause(150);
    expect(states).toHaveLength(1);
  });

  const bad: readonly (readonly [string, () => void, string])[] = [
    [
      'an expired certificate',
      () => writeAll(createDevCa({ trustDomain: 'td', clock: { wall: () => Date.now() - 2 * DAY } }).issue({ serviceAccount: 'a' })),
      'expired at',
    ],
    ['a key that is none', () => writeAll({ ...ca.issue({ serviceAccount: 'a' }), privateKey: 'x' }), 'the private key cannot be read'],
    ['roots that are cut off', () => writeAll(ca.issue({ serviceAccount: 'a' }), ca.roots.slice(0, 99)), 'a CERTIFICATE block is cut off'],
    ['no roots', () => writeAll(ca.issue({ serviceAccount: 'a' }), ''), 'the roots of trust domain "td": none found'],
    ['a leaf as root', () => writeAll(ca.issue({ serviceAccount: 'a' }), ca.issue({ serviceAccount: 'b' }).certificate), 'it is no CA'],
    [
      'a certificate that is none',
      () => writeAll({ ...ca.issue({ serviceAccount: 'a' }), certificate: 'x' }),
      'no CERTIFICATE block found',
    ],
    ['a CA as workload', () => writeAll({ ...ca.issue({ serviceAccount: 'a' }), certificate: ca.roots }), 'is no SPIFFE ID of a workload'],
  ];
  it.each(bad)('%s is refused by name', async (_, prepare, reason) => {
    prepare();
    const states = watched();
    await until(() => expect(states).toHaveLength(1));
    expect(reasonOf(states[0])).toContain(reason);
    expect(reasonOf(states[0])).toContain(at('cert-chain.pem'));
  });

  it('a trust domain cannot have two bundles', async () => {
    writeAll(ca.issue({ serviceAccount: 'a' }));
    write('other.pem', other.roots);
    const states = watched({ bundles: { td: at('other.pem') } });
    await until(() => expect(states).toHaveLength(1));
    expect(reasonOf(states[0])).toContain('trust domain "td" has two bundles');
  });

  it('a path that is missing from the options is misuse', () => {
    expect(() => fileCertificates({ certificate: 'a', privateKey: '', roots: 'c' })).toThrow(
      'fileCertificates needs the path of "privateKey"',
    );
  });
});

describe('findCertificates', () => {
  it.each([
    ['Istio', 'cert-chain.pem', 'key.pem', 'root-cert.pem', 'ca-crl.pem'],
    ['cert-manager', 'tls.crt', 'tls.key', 'ca.crt', 'ca.crl'],
    ['spiffe-helper', 'svid.pem', 'svid_key.pem', 'svid_bundle.pem', 'crl.pem'],
  ])('knows the layout of %s', async (_, certificate, privateKey, roots, crl) => {
    for (const name of [certificate, privateKey, roots]) write(name, '');
    const files = { certificate: at(certificate), privateKey: at(privateKey), roots: at(roots) };
    expect(await findCertificates(folder)).toEqual(files);
    write(crl, '');
    expect(await findCertificates(folder)).toEqual({ ...files, crl: at(crl) });
  });

  it('says what is missing', async () => {
    write('tls.crt', '');
    expect(await findCertificates(folder)).toBe(
      `${folder} holds no certificate: it lacks Istio's cert-chain.pem, key.pem, root-cert.pem; or cert-manager's tls.key, ca.crt; or spiffe-helper's svid.pem, svid_key.pem, svid_bundle.pem`,
    );
  });
});
