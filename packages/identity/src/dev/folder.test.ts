import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDevCa, type DevCa } from './ca.ts';
import { loadDevCa, saveDevCa } from './folder.ts';

let folder: string;

beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'inmesh-ca-')), 'ca');
});

afterEach(() => rmSync(join(folder, '..'), { recursive: true }));

describe('a development CA in a folder', () => {
  it('is the same one when it is loaded again, with its key for its owner only', async () => {
    const ca = createDevCa({ trustDomain: 'td' });
    await saveDevCa(folder, ca);
    const loaded = await loadDevCa(folder);
    expect([loaded.trustDomain, loaded.roots, loaded.state]).toEqual(['td', ca.roots, ca.state]);
    expect(readdirSync(folder).toSorted()).toEqual(['ca-cert.pem', 'ca-key.pem', 'root-cert.pem']);
    expect(statSync(join(folder, 'ca-key.pem')).mode & 0o777).toBe(0o600);
  });

  it('keeps where an exchange of roots stands', async () => {
    let ca: DevCa = createDevCa({ trustDomain: 'td' });
    await saveDevCa(folder, ca);
    for (const step of ['announced', 'signing', 'done']) {
      ca = await loadDevCa(folder);
      expect(ca.rotateRoot()).toBe(step);
      await saveDevCa(folder, ca, { replace: true });
      expect((await loadDevCa(folder)).state).toEqual(ca.state);
      for (const name of readdirSync(folder)) if (name.endsWith('key.pem')) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    }
    expect(readdirSync(folder).toSorted()).toEqual(['ca-cert.pem', 'ca-key.pem', 'root-cert.pem']);
  });

  it('is not overwritten by another', async () => {
    await saveDevCa(folder, createDevCa());
    await expect(saveDevCa(folder, createDevCa())).rejects.toThrow('exists already: choose another folder, or remove that CA first');
  });

  it('that is none is refused by name', async () => {
    await expect(loadDevCa(folder)).rejects.toThrow(`${folder} holds no development CA`);
    await saveDevCa(folder, createDevCa());
    const svid = createDevCa().issue({ serviceAccount: 'a' });
    writeFileSync(join(folder, 'ca-cert.pem'), svid.certificate);
    await expect(loadDevCa(folder)).rejects.toThrow('this is no development CA of inmesh');
    writeFileSync(join(folder, 'ca-cert.pem'), 'x');
    await expect(loadDevCa(folder)).rejects.toThrow('cannot be read');
  });

  it('whose key is that of another CA, or none, is refused', async () => {
    await saveDevCa(folder, createDevCa());
    writeFileSync(join(folder, 'ca-key.pem'), createDevCa().state.signer.privateKey);
    await expect(loadDevCa(folder)).rejects.toThrow('the private key is that of another certificate');
    writeFileSync(join(folder, 'ca-key.pem'), 'x');
    await expect(loadDevCa(folder)).rejects.toThrow('the private key cannot be read');
  });
});
