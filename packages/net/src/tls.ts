import { MeshError } from '@inmesh/core';
import type { ClientTls, ClusterPolicy } from '@inmesh/policy';
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity, type ConnectionOptions, type PeerCertificate } from 'node:tls';

/** That this connection is TLS, and for whom. */
export interface TlsPlan {
  /** Distinguishes pools of one endpoint. */
  readonly key: string;
  /** Whose certificate it must be, unless the policy names subjectAltNames: a host name or an address. */
  readonly name: string;
  /** SNI; '' for addresses, which have none. */
  readonly servername: string;
  /** undefined: as the bare client does for an https URL. */
  readonly policy: ClientTls | undefined;
}

/**
 * Decides whether the connection is TLS. A DestinationRule says so (SIMPLE, MUTUAL), or the caller did by asking for an
 * https URL, which without a policy is verified just as the bare client would.
 */
export function planTls({ tls }: ClusterPolicy, scheme: string, authority: string): TlsPlan | undefined {
  if (tls.mode === 'SIMPLE' || tls.mode === 'MUTUAL') {
    return planFor('tls', tls.sni ?? hostname(authority), tls);
  }
  return scheme === 'https' ? planFor('https', hostname(authority), undefined) : undefined;
}

function planFor(kind: string, name: string, policy: ClientTls | undefined): TlsPlan {
  return { key: `${kind} ${name}`, name, servername: isIP(name) === 0 ? name : '', policy };
}

/** Without port, brackets and the dot of a name that is spelled out: certificates carry none of them. */
function hostname(authority: string): string {
  return authority
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$|\.$/g, '')
    .toLowerCase();
}

/** TLS options for a new connection. Files are read again when they change, so new connections follow a renewal. */
export function tlsOptions(plan: TlsPlan): ConnectionOptions {
  const { name, servername, policy } = plan;
  // By the name that was asked for, never by the endpoint's address, which is what Node falls back to where there is no SNI.
  const identity = (_: string, certificate: PeerCertificate): Error | undefined => checkServerIdentity(name, certificate);
  if (policy === undefined) return { servername, checkServerIdentity: identity };
  const san = policy.subjectAltNames;
  return {
    servername,
    rejectUnauthorized: !policy.insecureSkipVerify,
    // In lists: Node takes an empty text for none given, and would trust every public root.
    ...(policy.caPem !== null
      ? { ca: [policy.caPem] }
      : policy.caCertificates !== null
        ? { ca: [file('caCertificates', policy.caCertificates)] }
        : {}),
    ...(policy.caCrl === null ? {} : { crl: file('caCrl', policy.caCrl) }),
    ...(policy.mode === 'MUTUAL'
      ? { cert: file('clientCertificate', policy.clientCertificate), key: file('privateKey', policy.privateKey) }
      : {}),
    checkServerIdentity: san.length > 0 ? (_, certificate) => checkSubject(san, certificate) : identity,
  };
}

/** Node writes `DNS:a, URI:b`, and a name that has commas of its own in quotes: what is quoted is one name, and none we accept. */
const ALT_NAME = /(?:[^",]|"(?:[^"\\]|\\.)*"?)+/g;

/** The certificate must carry one of the names, letter by letter (Istio ClientTLSSettings.subjectAltNames). */
function checkSubject(allowed: readonly string[], certificate: PeerCertificate): Error | undefined {
  const present = (certificate.subjectaltname?.match(ALT_NAME) ?? []).map((entry) =>
    entry.trim().replace(/^(DNS|URI|IP Address|email):/, ''),
  );
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
