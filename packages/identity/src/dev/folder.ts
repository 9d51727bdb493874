import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { MeshError } from '@inmesh/core';
import { DevCa, type DevCaOptions, type DevRoot, type DevSvid } from './ca.ts';

/** Names as Istio has them for a CA that is plugged in; `next-…` and `old-…` only while roots are exchanged. */
const FILES = {
  certificate: 'ca-cert.pem',
  key: 'ca-key.pem',
  roots: 'root-cert.pem',
  nextCertificate: 'next-cert.pem',
  nextKey: 'next-key.pem',
  old: 'old-cert.pem',
} as const;

/** Keeps a development CA in a folder; the key files are for their owner only. Refuses where another CA lies, unless told to `replace` it. */
export async function saveDevCa(folder: string, ca: DevCa, { replace = false }: { readonly replace?: boolean } = {}): Promise<void> {
  const key = join(folder, FILES.key);
  if (!replace && (await exists(key)))
    throw new MeshError('MISUSE', `${key} exists already: choose another folder, or remove that CA first`);
  await mkdir(folder, { recursive: true });
  const { signer, next, old } = ca.state;
  const files: readonly (readonly [string, string | undefined])[] = [
    [FILES.roots, ca.roots],
    [FILES.old, old],
    [FILES.key, signer.privateKey],
    [FILES.certificate, signer.certificate],
    [FILES.nextKey, next?.privateKey],
    [FILES.nextCertificate, next?.certificate],
  ];
  for (const [name, text] of files) {
    if (text === undefined) await rm(join(folder, name), { force: true });
    else await writeWhole(join(folder, name), text);
  }
}

/** The development CA of a folder. */
export async function loadDevCa(folder: string, options: Omit<DevCaOptions, 'trustDomain'> = {}): Promise<DevCa> {
  const read = async (name: string): Promise<string | undefined> => {
    try {
      return await readFile(join(folder, name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new MeshError('MISUSE', `${join(folder, name)} cannot be read: ${(error as Error).message}`, { cause: error });
    }
  };
  const root = async (certificate: string, key: string): Promise<DevRoot | undefined> => {
    const [pem, privateKey] = [await read(certificate), await read(key)];
    return pem === undefined || privateKey === undefined ? undefined : { certificate: pem, privateKey };
  };
  const signer = await root(FILES.certificate, FILES.key);
  if (signer === undefined) {
    throw new MeshError(
      'MISUSE',
      `${folder} holds no development CA (${FILES.certificate}, ${FILES.key}): make one with inmesh dev-ca init`,
    );
  }
  return new DevCa({ signer, next: await root(FILES.nextCertificate, FILES.nextKey), old: await read(FILES.old) }, options);
}

/**
 * Writes a certificate as Istio mounts it, for `fileCertificates`: cert-chain.pem, key.pem (for its owner only), root-cert.pem. Returns the
 * paths. Refuses to overwrite a key, unless told to `replace` it: that is how a certificate is renewed by hand.
 */
export async function writeSvid(
  folder: string,
  { certificate, privateKey }: DevSvid,
  roots: string,
  { replace = false }: { readonly replace?: boolean } = {},
): Promise<{ readonly certificate: string; readonly privateKey: string; readonly roots: string }> {
  const paths = { certificate: join(folder, 'cert-chain.pem'), privateKey: join(folder, 'key.pem'), roots: join(folder, 'root-cert.pem') };
  for (const path of replace ? [] : Object.values(paths)) if (await exists(path)) throw new MeshError('MISUSE', `${path} exists already`);
  await mkdir(folder, { recursive: true });
  await writeWhole(paths.roots, roots);
  await writeWhole(paths.privateKey, privateKey);
  await writeWhole(paths.certificate, certificate);
  return paths;
}

/** Whole or not at all. */
async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}.tmp`;
  await writeFile(draft, text, { mode: basename(path).endsWith('key.pem') ? 0o600 : 0o644 });
  await rename(draft, path);
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
