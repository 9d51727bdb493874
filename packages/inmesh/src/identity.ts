import {
  type CertificateSource,
  type Clock,
  type Closeable,
  type Identity,
  MeshError,
  type MeshEvent,
  type PeerVerifier,
} from '@inmesh/core';
import type { Credentials, HopTokens } from '@inmesh/net';
import { fileCertificates, findCertificates, hopTokenSigner, hopTokenVerifier, peerVerifier, workloadApi } from '@inmesh/identity';

/** Where Istio's agent puts certificates for programs that ask for them. */
const ISTIO_FOLDER = '/etc/certs';

/**
 * Where this process finds its certificate: a folder named by INMESH_CERTIFICATES, the SPIFFE Workload API at
 * SPIFFE_ENDPOINT_SOCKET, or Istio's folder, whichever is there first. undefined: it has none. Throws MISUSE for a folder that
 * was named and holds no certificate.
 */
export async function detectCertificates(
  aliases: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<CertificateSource | undefined> {
  const folder = env['INMESH_CERTIFICATES'];
  if (folder !== undefined && folder !== '') {
    const files = await findCertificates(folder);
    if (typeof files === 'string') throw new MeshError('MISUSE', `INMESH_CERTIFICATES: ${files}`);
    return fileCertificates({ ...files, aliases });
  }
  const socket = env['SPIFFE_ENDPOINT_SOCKET'];
  if (socket !== undefined && socket !== '') return workloadApi({ socket, aliases });
  const files = await findCertificates(ISTIO_FOLDER);
  return typeof files === 'string' ? undefined : fileCertificates({ ...files, aliases });
}

export interface KeyringTools {
  /** Services whose callers may name them in a hop token; undefined: hop tokens are not used. */
  readonly audiences?: (() => ReadonlySet<string>) | undefined;
  readonly clock: Clock;
  readonly random: () => number;
  readonly onEvent: (event: MeshEvent) => void;
}

/** The certificate in use, followed through its rotations. What fails to renew stays in use, and is told. */
export class Keyring implements Credentials, Closeable {
  readonly verifier: PeerVerifier = peerVerifier();
  readonly name: string;
  readonly hops: HopTokens | undefined;
  /** What is wrong with the source at the moment; '' = nothing. */
  trouble = '';
  readonly #watch: Closeable;
  readonly #listeners = new Set<(identity: Identity) => void>();
  #identity: Identity | undefined = undefined;

  private constructor(source: CertificateSource, tools: KeyringTools, told: () => void) {
    this.name = source.name;
    this.hops = tools.audiences === undefined ? undefined : this.#hopTokens(tools.audiences, tools.clock);
    this.#watch = source.watch((state) => {
      if (state.state === 'ready') {
        const { identity } = state;
        this.trouble = '';
        this.#identity = identity;
        for (const listener of this.#listeners) listener(identity);
        tools.onEvent({ type: 'identity.changed', principal: identity.principal.uri, expiresAt: identity.expiresAt });
      } else {
        this.trouble = state.reason;
        tools.onEvent({ type: 'identity.failed', reason: state.reason });
      }
      told();
    }, tools);
  }

  /** Resolves at the first word of the source, good or bad, or after `patienceMs`: traffic does not wait for certificates longer. */
  static open(source: CertificateSource, patienceMs: number, tools: KeyringTools): Promise<Keyring> {
    return new Promise((resolve) => {
      let keyring: Keyring | undefined = undefined;
      let told = false;
      const timer = tools.clock.after(patienceMs, () => resolve(keyring!), true);
      const settle = (): void => {
        told = true;
        if (keyring === undefined) return;
        timer.cancel();
        resolve(keyring);
      };
      keyring = new Keyring(source, tools, settle);
      // A source that speaks while it is opened spoke before there was a keyring.
      if (told) settle();
    });
  }

  #hopTokens(audiences: () => ReadonlySet<string>, clock: Clock): HopTokens {
    const verify = hopTokenVerifier(this.verifier);
    return {
      sign: hopTokenSigner(() => this.#identity, clock),
      verify: (token) => {
        if (this.#identity === undefined) return { ok: false, reason: 'hop token: there is no certificate yet to judge it by' };
        return verify(token, audiences(), this.#identity, clock.wall());
      },
    };
  }

  identity(): Identity | undefined {
    return this.#identity;
  }

  onIdentity(listener: (identity: Identity) => void): Closeable {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  close(): void {
    this.#watch.close();
  }
}
