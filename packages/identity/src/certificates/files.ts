import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type CertificateSource, type Clock, type Identity, type IdentityState, MeshError } from '@inmesh/core';
import { type MadeIdentity, toIdentity } from './identity.ts';
import { watchFiles } from './watch-files.ts';

/** Where the PEM files of a workload lie. */
export interface CertificateFiles {
  /** Leaf first, then intermediates. */
  readonly certificate: string;
  readonly privateKey: string;
  /** Roots of the workload's own trust domain. */
  readonly roots: string;
  /** Revocation lists. */
  readonly crl?: string;
  /** Federated trust domain → its roots. */
  readonly bundles?: Readonly<Record<string, string>>;
}

export interface FileCertificatesOptions extends CertificateFiles {
  /** Other names of the own trust domain (MeshConfig trustDomainAliases): their identities are verified against the same roots. */
  readonly aliases?: readonly string[];
  /** A change is read once nothing moved for this long. Default 100 ms, as Istio's agent. */
  readonly quietMs?: number;
  /** How long files may contradict each other while they are replaced before that counts as a failure. Default 2 s. */
  readonly graceMs?: number;
  /** The safety net under fs.watch. Default 5 s. */
  readonly pollMs?: number;
}

/**
 * PEM files as the source of a workload's certificate, read again whenever one changes: atomic renames, symlink swaps of mounted Secrets, files
 * written one after the other. A pair that does not match, or anything peers would refuse, is not taken; what was good stays in use.
 */
export function fileCertificates(options: FileCertificatesOptions): CertificateSource {
  const { certificate, privateKey, roots, crl, bundles = {} } = options;
  for (const [name, path] of Object.entries({ certificate, privateKey, roots })) {
    if (typeof path !== 'string' || path === '') throw new MeshError('MISUSE', `fileCertificates needs the path of "${name}"`);
  }
  return {
    name: certificate,
    watch: (onChange, { clock }) => {
      const loading = new Loading(options, onChange, clock);
      const files = [certificate, privateKey, roots, ...(crl === undefined ? [] : [crl]), ...Object.values(bundles)];
      const { quietMs = 100, pollMs = 5000 } = options;
      const watching = watchFiles(files, () => void loading.load(), { clock, quietMs, pollMs });
      return {
        close: () => {
          watching.close();
          loading.close();
        },
      };
    },
  };
}

class Loading {
  readonly #options: FileCertificatesOptions;
  readonly #onChange: (state: IdentityState) => void;
  readonly #clock: Clock;
  #told: Identity | undefined;
  #failure: string | undefined;
  #grace: ReturnType<Clock['after']> | undefined;
  #loads = 0;
  #closed = false;

  constructor(options: FileCertificatesOptions, onChange: (state: IdentityState) => void, clock: Clock) {
    this.#options = options;
    this.#onChange = onChange;
    this.#clock = clock;
  }

  close(): void {
    this.#closed = true;
    this.#grace?.cancel();
  }

  /** `patient`: with a good identity in use, what is wrong may still be put right by the second half of the change. */
  async load(patient = true): Promise<void> {
    const load = (this.#loads += 1);
    const made = await this.#read();
    // A later load has seen more.
    if (this.#closed || load !== this.#loads) return;
    if (made.ok) {
      this.#grace?.cancel();
      this.#grace = undefined;
      this.#tellReady(made.identity);
    } else if (this.#told !== undefined && patient) {
      this.#grace ??= this.#clock.after(this.#options.graceMs ?? 2000, () => {
        this.#grace = undefined;
        void this.load(false);
      });
    } else if (made.reason !== this.#failure) {
      this.#failure = made.reason;
      this.#onChange({ state: 'failed', reason: made.reason });
    }
  }

  #tellReady(identity: Identity): void {
    const recovered = this.#failure !== undefined;
    this.#failure = undefined;
    if (identity.version === this.#told?.version && !recovered) return;
    this.#told = identity;
    this.#onChange({ state: 'ready', identity });
  }

  async #read(): Promise<MadeIdentity> {
    const { certificate, privateKey, roots, crl, bundles = {}, aliases = [] } = this.#options;
    try {
      const federated = new Map<string, string>();
      for (const [trustDomain, path] of Object.entries(bundles)) federated.set(trustDomain, await readText(path));
      const material = {
        certificate: await readText(certificate),
        privateKey: await readText(privateKey),
        roots: await readText(roots),
        crl: crl === undefined ? '' : await readText(crl),
        bundles: federated,
        aliases,
      };
      const made = toIdentity(material, this.#clock.wall());
      return made.ok ? made : { ok: false, reason: `${certificate}: ${made.reason}` };
    } catch (error) {
      return { ok: false, reason: (error as Error).message };
    }
  }
}

/** No certificate is larger; a path to something else may be. */
const BIGGEST = 4 * 2 ** 20;

async function readText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > BIGGEST) throw new Error(`it has ${size} bytes, more than ${BIGGEST}`);
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new Error(`${path} does not exist`, { cause: error });
    if (code === 'EACCES' || code === 'EPERM') throw new Error(`${path} may not be read (permissions)`, { cause: error });
    throw new Error(`${path} cannot be read: ${message}`, { cause: error });
  }
}

/** How those who put certificates into folders name them. */
const LAYOUTS: readonly (CertificateFiles & { readonly of: string; readonly crl: string })[] = [
  { of: 'Istio', certificate: 'cert-chain.pem', privateKey: 'key.pem', roots: 'root-cert.pem', crl: 'ca-crl.pem' },
  { of: 'cert-manager', certificate: 'tls.crt', privateKey: 'tls.key', roots: 'ca.crt', crl: 'ca.crl' },
  { of: 'spiffe-helper', certificate: 'svid.pem', privateKey: 'svid_key.pem', roots: 'svid_bundle.pem', crl: 'crl.pem' },
];

/** The certificate files of a folder, by the names Istio, cert-manager or spiffe-helper give them; or a sentence on what is missing. */
export async function findCertificates(folder: string): Promise<CertificateFiles | string> {
  const missing: string[] = [];
  for (const { of, crl, ...names } of LAYOUTS) {
    const { certificate, privateKey, roots } = names;
    const lacks: string[] = [];
    for (const name of [certificate, privateKey, roots]) if (!(await isFile(join(folder, name)))) lacks.push(name);
    if (lacks.length === 0) {
      const files = { certificate: join(folder, certificate), privateKey: join(folder, privateKey), roots: join(folder, roots) };
      return (await isFile(join(folder, crl))) ? { ...files, crl: join(folder, crl) } : files;
    }
    missing.push(`${of}'s ${lacks.join(', ')}`);
  }
  return `${folder} holds no certificate: it lacks ${missing.join('; or ')}`;
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
