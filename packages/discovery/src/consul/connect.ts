import { createPrivateKey, hash, X509Certificate } from 'node:crypto';
import { type CertificateSource, type Identity, type IdentityState, MeshError, type Principal } from '@inmesh/core';
import { follow, type Question } from './blocking.ts';
import { ConsulClient } from './client.ts';
import { Seats } from './seats.ts';
import { type ConsulConnection, consulSettings } from './settings.ts';

export interface ConnectCertificatesOptions extends ConsulConnection {
  /** The service whose certificate this is: `spiffe://TRUST-DOMAIN/ns/default/dc/DATACENTER/svc/SERVICE`. */
  readonly service: string;
  /** Other names of the own trust domain: their identities are verified against the same roots. */
  readonly aliases?: readonly string[];
}

interface Leaf {
  readonly certificate: string;
  readonly privateKey: string;
  readonly principal: Principal;
  readonly expiresAt: number;
}

interface Roots {
  readonly trustDomain: string;
  readonly pem: string;
}

/**
 * Certificates of Consul's service mesh (Connect): the agent makes a key, has its CA sign it, and renews it before it ends; roots that are exchanged are
 * believed beside each other until the old one is gone. Both are followed by blocking queries.
 */
export function connectCertificates(options: ConnectCertificatesOptions): CertificateSource {
  const { service, aliases = [] } = options;
  if (service === '') throw new MeshError('MISUSE', 'connectCertificates needs the name of a service');
  const settings = consulSettings(options);
  return {
    name: `${settings.name} connect ${service}`,
    watch: (onChange, { clock, random }) => {
      const client = new ConsulClient(settings);
      const join = new Join(aliases, onChange);
      const tools = { clock, random, seats: new Seats(2), waitMs: settings.waitMs };
      const question = <T>(path: string, read: (body: unknown) => T, take: (value: T) => void): Question<T> => ({
        ask: (since) => client.get(path, since),
        read,
        onAnswer: take,
        onFailure: (reason) => join.failed(path, reason),
      });
      const leafPath = `/agent/connect/ca/leaf/${encodeURIComponent(service)}`;
      const rootsPath = '/agent/connect/ca/roots';
      const following = [
        follow(
          question(leafPath, readLeaf, (leaf) => join.take(leafPath, { leaf })),
          tools,
        ),
        follow(
          question(rootsPath, readRoots, (roots) => join.take(rootsPath, { roots })),
          tools,
        ),
      ];
      return {
        close: () => {
          for (const one of following) one.close();
          client.close();
        },
      };
    },
  };
}

/** Leaf and roots are one identity; what fails of them is told, and what was good stays. */
class Join {
  readonly #aliases: readonly string[];
  readonly #onChange: (state: IdentityState) => void;
  readonly #failures = new Map<string, string>();
  #leaf: Leaf | undefined;
  #roots: Roots | undefined;
  #told: string | undefined;

  constructor(aliases: readonly string[], onChange: (state: IdentityState) => void) {
    this.#aliases = aliases;
    this.#onChange = onChange;
  }

  failed(of: string, reason: string): void {
    if (this.#failures.get(of) === reason) return;
    this.#failures.set(of, reason);
    this.#tell();
  }

  take(of: string, { leaf = this.#leaf, roots = this.#roots }: { readonly leaf?: Leaf; readonly roots?: Roots }): void {
    this.#failures.delete(of);
    this.#leaf = leaf;
    this.#roots = roots;
    this.#tell();
  }

  #tell(): void {
    const failure = [...this.#failures.values()][0];
    const identity = failure === undefined ? this.#identity() : undefined;
    const next = failure ?? identity?.version;
    if (next === undefined || next === this.#told) return;
    this.#told = next;
    if (identity === undefined) this.#onChange({ state: 'failed', reason: failure! });
    else this.#onChange({ state: 'ready', identity });
  }

  #identity(): Identity | undefined {
    const [leaf, roots] = [this.#leaf, this.#roots];
    // A leaf of other roots is followed by theirs in a moment, or they by it.
    if (leaf === undefined || roots?.trustDomain !== leaf.principal.trustDomain) return undefined;
    const bundles = new Map([roots.trustDomain, ...this.#aliases].map((trustDomain) => [trustDomain, roots.pem]));
    const version = hash('sha256', JSON.stringify([leaf.certificate, leaf.privateKey, [...bundles]]), 'base64url').slice(0, 16);
    return { ...leaf, bundles, crl: '', version };
  }
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(body: unknown, what: string): Fields {
  if (typeof body !== 'object' || body === null || Array.isArray(body) || Buffer.isBuffer(body))
    throw new Error(`answered with something that is no ${what}`);
  return body as Fields;
}

/** The form of SPIFFE ID that Consul gives to services. Its service is what Istio calls the account. */
const SERVICE_ID =
  /^spiffe:\/\/([a-z0-9._-]+)(?:\/ap\/[A-Za-z0-9._-]+)?\/ns\/([A-Za-z0-9._-]+)\/dc\/[A-Za-z0-9._-]+\/svc\/([A-Za-z0-9._-]+)$/;

function readLeaf(body: unknown): Leaf {
  const { CertPEM: certificate, PrivateKeyPEM: privateKey } = fieldsOf(body, 'certificate');
  if (typeof certificate !== 'string' || typeof privateKey !== 'string') throw new Error('answered with something that is no certificate');
  const leaf = new X509Certificate(certificate);
  if (!leaf.checkPrivateKey(createPrivateKey(privateKey))) throw new Error('answered with a certificate and the key of another');
  const uri =
    (leaf.subjectAltName ?? '')
      .split(', ')
      .find((name) => name.startsWith('URI:spiffe://'))
      ?.slice('URI:'.length) ?? '';
  const [, trustDomain, namespace, serviceAccount] = SERVICE_ID.exec(uri) ?? [];
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined)
    throw new Error(`answered with a certificate of "${uri}", which is no service of Consul's`);
  const expiresAt = Date.parse(leaf.validTo);
  return { certificate, privateKey, principal: { uri, trustDomain, namespace, serviceAccount }, expiresAt };
}

function readRoots(body: unknown): Roots {
  const { TrustDomain: trustDomain, Roots: roots } = fieldsOf(body, 'list of roots');
  const found = (Array.isArray(roots) ? roots : []).flatMap((root) => {
    const { RootCert: pem } = fieldsOf(root, 'root');
    return typeof pem === 'string' && pem.trim() !== '' ? [pem.trim()] : [];
  });
  // Without roots nobody would be believed.
  if (typeof trustDomain !== 'string' || found.length === 0) throw new Error('answered with no roots: is connect enabled?');
  return { trustDomain, pem: `${found.join('\n')}\n` };
}
