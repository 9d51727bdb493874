import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { type Clock, type Closeable, MeshError, type Principal, systemClock } from '@inmesh/core';
import { GeneralName } from '@peculiar/asn1-x509';
import { keyProblem } from '../certificates/identity.ts';
import { parseSpiffeId, trustDomainProblem } from '../spiffe/id.ts';
import { type Certificate, parseCertificate } from '../verify/certificate.ts';
import { pemBlocks, toPem } from '../verify/pem.ts';
import * as write from './write.ts';

export interface DevCaOptions {
  /** Default `cluster.local`. */
  readonly trustDomain?: string;
  /** How long a root is valid. Default one year. */
  readonly ttlMs?: number;
  readonly clock?: Pick<Clock, 'wall'>;
}

export interface DevSvidRequest {
  /** Default `default`. */
  readonly namespace?: string;
  readonly serviceAccount: string;
  /** Default 24 h, as Istio; never longer than the root lives. */
  readonly ttlMs?: number;
  /** DNS names and addresses beside the identity, for clients that know no identities. */
  readonly hosts?: readonly string[];
}

/** A certificate for a workload, with its key. */
export interface DevSvid {
  readonly principal: Principal;
  /** PEM. */
  readonly certificate: string;
  /** PEM (PKCS #8). */
  readonly privateKey: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** PEM of a root and its key. */
export interface DevRoot {
  readonly certificate: string;
  readonly privateKey: string;
}

/** All that a development CA is: which root signs, which one comes next, which ones are believed. */
export interface DevCaState {
  readonly signer: DevRoot;
  /** Believed already and not signing yet. */
  readonly next: DevRoot | undefined;
  /** Signed until lately and still believed. */
  readonly old: string | undefined;
}

/** Where an exchange of roots stands. */
export type RotationStep = 'announced' | 'signing' | 'done';

const DAY = 24 * 3600 * 1000;
/** Clocks differ: a certificate is valid a little before it is made (Istio does so too). */
const BACKDATED_MS = 2 * 60 * 1000;

/** A CA for development, tests and demos. Its key lies in memory, or in a file that anyone who can read it can sign with. */
export class DevCa {
  readonly trustDomain: string;
  readonly #clock: Pick<Clock, 'wall'>;
  readonly #ttlMs: number;
  readonly #listeners = new Set<() => void>();
  #state: DevCaState;
  #signer: { readonly certificate: Certificate; readonly name: string; readonly key: KeyObject };

  /** Use `createDevCa` or `loadDevCa`. */
  constructor(state: DevCaState, { clock = systemClock, ttlMs = 365 * DAY }: Omit<DevCaOptions, 'trustDomain'> = {}) {
    this.#state = state;
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#signer = readRoot(state.signer);
    this.trustDomain = trustDomainOf(this.#signer.certificate);
  }

  get state(): DevCaState {
    return this.#state;
  }

  /** PEM of all roots to believe in now. */
  get roots(): string {
    const { signer, next, old } = this.#state;
    return [signer.certificate, next?.certificate ?? '', old ?? ''].join('');
  }

  /** A new key and a certificate for `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`. */
  issue({ namespace = 'default', serviceAccount, ttlMs = DAY, hosts = [] }: DevSvidRequest): DevSvid {
    const parsed = parseSpiffeId(`spiffe://${this.trustDomain}/ns/${namespace}/sa/${serviceAccount}`);
    if (!parsed.ok) throw new MeshError('MISUSE', parsed.reason);
    const { certificate: root, key, name } = this.#signer;
    const now = this.#clock.wall();
    if (now > root.notAfter) {
      throw new MeshError('MISUSE', `the development CA expired at ${new Date(root.notAfter).toISOString()}: make a new one`);
    }
    if (!(ttlMs > 0)) throw new MeshError('MISUSE', `a certificate cannot be valid for ${ttlMs} ms`);
    const { publicKey, privateKey } = write.newKeys();
    // Certificates know whole seconds.
    const expiresAt = Math.floor(Math.min(now + ttlMs, root.notAfter) / 1000) * 1000;
    const der = write.writeCertificate({
      subject: '',
      publicKey,
      signer: write.ecSigner(name, key),
      notBefore: Math.max(now - BACKDATED_MS, root.notBefore),
      notAfter: expiresAt,
      extensions: [
        write.basicConstraints(false),
        write.keyUsage(['digitalSignature']),
        write.extendedKeyUsage(write.SERVER_AUTH, write.CLIENT_AUTH),
        // Critical, as there is no subject (RFC 5280, 4.1.2.6).
        write.subjectAlternativeNames([write.uriName(parsed.principal.uri), ...hosts.map(hostName)], true),
      ],
    });
    return {
      principal: parsed.principal,
      certificate: toPem([der], 'CERTIFICATE'),
      privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
      expiresAt,
    };
  }

  /**
   * Exchanges the root in three steps, one a call, so that at no moment a peer meets a root it does not know: `announced` (both are believed),
   * `signing` (the new one signs), `done` (the old one is believed no more). Let everyone renew between them.
   */
  rotateRoot(): RotationStep {
    const { signer, next, old } = this.#state;
    let step: RotationStep;
    if (next !== undefined) {
      this.#state = { signer: next, next: undefined, old: signer.certificate };
      this.#signer = readRoot(next);
      step = 'signing';
    } else if (old !== undefined) {
      this.#state = { signer, next: undefined, old: undefined };
      step = 'done';
    } else {
      this.#state = { signer, next: newRoot(this.trustDomain, this.#clock.wall(), this.#ttlMs), old: undefined };
      step = 'announced';
    }
    for (const listener of this.#listeners) listener();
    return step;
  }

  /** Tells of each step of an exchange of roots. */
  watch(listener: () => void): Closeable {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }
}

/** A new development CA, in memory. */
export function createDevCa({ trustDomain = 'cluster.local', ...options }: DevCaOptions = {}): DevCa {
  const problem = trustDomainProblem(trustDomain);
  if (problem !== undefined) throw new MeshError('MISUSE', `${JSON.stringify(trustDomain)}: ${problem}`);
  const { clock = systemClock, ttlMs = 365 * DAY } = options;
  return new DevCa({ signer: newRoot(trustDomain, clock.wall(), ttlMs), next: undefined, old: undefined }, options);
}

function newRoot(trustDomain: string, now: number, ttlMs: number): DevRoot {
  const { publicKey, privateKey } = write.newKeys();
  // A name of its own for each, so that nobody tries the wrong root of two.
  const name = `inmesh development CA ${randomBytes(4).toString('hex')}`;
  const der = write.writeCertificate({
    subject: name,
    publicKey,
    signer: write.ecSigner(name, privateKey),
    notBefore: now - BACKDATED_MS,
    notAfter: now + ttlMs,
    extensions: [
      write.basicConstraints(true, 0),
      write.keyUsage(['keyCertSign', 'cRLSign']),
      // A signing certificate names the trust domain, without a path (SPIFFE X509-SVID, 3.2).
      write.subjectAlternativeNames([write.uriName(`spiffe://${trustDomain}`)]),
    ],
  });
  return { certificate: toPem([der], 'CERTIFICATE'), privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string };
}

function readRoot({ certificate: pem, privateKey }: DevRoot): { certificate: Certificate; name: string; key: KeyObject } {
  const blocks = pemBlocks(pem, 'CERTIFICATE');
  const parsed = typeof blocks === 'string' || blocks.length !== 1 ? undefined : parseCertificate(blocks[0]!);
  if (parsed?.ok !== true) throw new MeshError('MISUSE', 'the certificate of the development CA cannot be read');
  const { certificate } = parsed;
  const name = /inmesh development CA [0-9a-f]{8}/.exec(certificate.subject)?.[0];
  if (name === undefined) throw new MeshError('MISUSE', 'this is no development CA of inmesh');
  const problem = keyProblem(certificate, privateKey);
  if (problem !== undefined) throw new MeshError('MISUSE', `the development CA: ${problem}`);
  return { certificate, name, key: createPrivateKey(privateKey) };
}

function trustDomainOf({ names }: Certificate): string {
  const uri = names.find(({ kind }) => kind === 'uri');
  return Buffer.from(uri?.value ?? [])
    .toString('latin1')
    .replace('spiffe://', '');
}

const hostName = (host: string): GeneralName => new GeneralName(isIP(host) === 0 ? { dNSName: host } : { iPAddress: host });
