import { type Clock, type Endpoint, type Identity, MeshError, type PeerVerifier, type Principal } from '@inmesh/core';
import type { ClusterPolicy, Settings } from '@inmesh/policy';
import { createSecureContext, type PeerCertificate, type SecureContext } from 'node:tls';

/** One workload certificate towards one endpoint: everything a handshake needs. */
export interface MutualPlan {
  readonly identity: Identity;
  readonly verifier: PeerVerifier;
  readonly clock: Clock;
  readonly servername: string;
  /** Why this is not whom we called, or undefined if it is. */
  readonly refuses: (principal: Principal) => string | undefined;
}

/** Does this connection use the workload's own certificate? `auto` asks whether the endpoint takes it (Istio's auto mTLS). */
export function wantsMutual({ tls }: ClusterPolicy, endpoint: Endpoint, scheme: string): boolean {
  // Of an https URL the application itself asked for TLS with a name of the server: that is kept.
  return tls.mode === 'ISTIO_MUTUAL' || (tls.mode === 'auto' && endpoint.mtls && scheme !== 'https');
}

/** As Istio's clients name a cluster in SNI: `outbound_.80_.v1_.reviews.default.svc.cluster.local`. */
export function servernameOf({ tls, name }: ClusterPolicy): string {
  return tls.sni ?? name.replaceAll('|', '_.');
}

/**
 * Secure naming: the server must be who the registry says runs the service. `subjectAltNames` of a rule or a ServiceEntry
 * decide where there are any, else the service account of the endpoint, in this mesh's trust domain or an alias of it. Of
 * an endpoint without an account any identity of those domains is accepted, as in Istio.
 */
export function secureNaming({ tls }: ClusterPolicy, endpoint: Endpoint, trust: Pick<Settings, 'trustDomain' | 'trustDomainAliases'>) {
  const allowed = tls.subjectAltNames;
  const domains = [trust.trustDomain, ...trust.trustDomainAliases];
  const { namespace, serviceAccount } = endpoint;
  return ({ uri, trustDomain, ...principal }: Principal): string | undefined => {
    if (allowed.length > 0) return allowed.includes(uri) ? undefined : `it is ${uri}, allowed are ${allowed.join(', ')} (subjectAltNames)`;
    if (!domains.includes(trustDomain)) return `it is ${uri}, trusted are the domains ${domains.join(', ')}`;
    if (serviceAccount === '' || (principal.namespace === namespace && principal.serviceAccount === serviceAccount)) return undefined;
    return `it is ${uri}, but the registry says the endpoint runs as ${serviceAccount} of namespace ${namespace} (secure naming)`;
  };
}

const contexts = new WeakMap<Identity, SecureContext>();

/** Reading PEM costs a millisecond: once per rotation, not per connection. */
export function contextOf(identity: Identity): SecureContext {
  let context = contexts.get(identity);
  if (context === undefined) {
    const { certificate, privateKey, bundles, crl } = identity;
    context = createSecureContext({
      cert: certificate,
      key: privateKey,
      // The first of two looks: OpenSSL takes any root here. The second holds each identity against its own domain's roots.
      ca: [...bundles.values()],
      allowPartialTrustChain: true,
      minVersion: 'TLSv1.2',
      ...(crl === '' ? {} : { crl }),
    });
    contexts.set(identity, context);
  }
  return context;
}

/** Node's certificate with its issuers, as DER, leaf first. */
export function chainOf(certificate: PeerCertificate): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let at: (PeerCertificate & { issuerCertificate?: PeerCertificate }) | undefined = certificate;
  // A root is its own issuer.
  while (at?.raw !== undefined && chain.length < LONGEST_CHAIN) {
    chain.push(at.raw);
    at = at.issuerCertificate === at ? undefined : at.issuerCertificate;
  }
  return chain;
}

const LONGEST_CHAIN = 10;

/** For Node's `checkServerIdentity`: whether the certificate proves an identity, and the right one. */
export function checkServer({ identity, verifier, clock, refuses }: MutualPlan, certificate: PeerCertificate): Error | undefined {
  const verified = verifier.verify(chainOf(certificate), identity, 'server', clock.wall());
  const reason = verified.ok ? refuses(verified.principal) : verified.reason;
  return reason === undefined ? undefined : new Error(`the server does not prove who it is: ${reason}`);
}

/** Where a policy demands the workload's certificate and there is none: never in plaintext instead. */
export function noIdentity(): MeshError {
  return new MeshError(
    'CONNECT_FAILED',
    'DestinationRule tls mode ISTIO_MUTUAL needs a workload certificate, and this process has none: see createMesh({ identity })',
  );
}
