import { MeshError } from '@inmesh/core';
import type { ClientTls, ClusterPolicy } from '@inmesh/policy';
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity, type ConnectionOptions, type PeerCertificate } from 'node:tls';

/** That this connection is TLS, and for whom. */
export interface TlsPlan {
  /** Distinguishes pools of one endpoint. */
  readonly key: string;
  /** '' for addresses, which have no SNI. */
  readonly servername: string;
  /** undefined: as the bare client does for an https URL. */
  readonly policy: ClientTls | undefined;
}

/**
 * Decides whether the connection is TLS. A DestinationRule says so (SIMPLE, MUTUAL), or the caller did by asking for an
 * https URL, which without a policy is verified just as the bare client would.
 */
export function planTls({ tls }: ClusterPolicy, scheme: string, authority: string): TlsPlan | undefined {
  if (tls.mode === 'SIMPLE' || tls.mode === 'MUTUAL' || tls.mode === 'ISTIO_MUTUAL') {
    const servername = tls.sni ?? hostname(authority);
    return { key: `tls ${servername}`, servername, policy: tls };
  }
  if (scheme !== 'https') return undefined;
  const servername = hostname(authority);
  return { key: `https ${servername}`, servername, policy: undefined };
}

function hostname(authority: string): string {
  const host = authority.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return isIP(host) === 0 ? host : '';
}

/** TLS options for a new connection. Files are read again when they change, so new connections follow a renewal. */
export function tlsOptions(plan: TlsPlan): ConnectionOptions {
  const { policy } = plan;
  if (policy === undefined) return { servername: plan.servername };
  if (policy.mode === 'ISTIO_MUTUAL') {
    throw new MeshError('CONNECT_FAILED', 'DestinationRule tls mode ISTIO_MUTUAL needs a workload certificate, and this process has none');
  }
  const san = policy.subjectAltNames;
  return {
    servername: plan.servername,
    rejectUnauthorized: !policy.insecureSkipVerify,
    ...(policy.caPem !== null
      ? { ca: policy.caPem }
      : policy.caCertificates !== null
        ? { ca: file('caCertificates', policy.caCertificates) }
        : {}),
    ...(policy.caCrl === null ? {} : { crl: file('caCrl', policy.caCrl) }),
    ...(policy.mode === 'MUTUAL'
      ? { cert: file('clientCertificate', policy.clientCertificate), key: file('privateKey', policy.privateKey) }
      : {}),
    checkServerIdentity: (host, certificate) =>
      san.length > 0 ? checkSubject(san, certificate) : plan.servername === '' ? undefined : checkServerIdentity(host, certificate),
  };
}

/** The certificate must carry one of the names, letter by letter (Istio ClientTLSSettings.subjectAltNames). */
function checkSubject(allowed: readonly string[], certificate: PeerCertificate): Error | undefined {
  const present = (certificate.subjectaltname ?? '').split(/,\s*/).map((entry) => entry.replace(/^(DNS|URI|IP Address|email):/, ''));
  if (allowed.some((name) => present.includes(name))) return undefined;
  return new Error(
    `the server's certificate is for ${present.filter(Boolean).join(', ') || 'nobody'}, allowed are ${allowed.join(', ')} (subjectAltNames)`,
  );
}

const read = new Map<string, { readonly changed: number; readonly text: string }>();

function file(field: string, path: string | null): string {
  if (path === null || path === '') throw new MeshError('CONNECT_FAILED', `the policy asks for TLS, but names no ${field}`);
  try {
    const changed = statSync(path).mtimeMs;
    const kept = read.get(path);
    if (kept?.changed === changed) return kept.text;
    const text = readFileSync(path, 'utf8');
    read.set(path, { changed, text });
    return text;
  } catch (error) {
    throw new MeshError('CONNECT_FAILED', `cannot read ${field} of the policy's tls: ${(error as Error).message}`, { cause: error });
  }
}
