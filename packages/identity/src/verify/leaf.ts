import { type ParsedSpiffeId, parseSpiffeId } from '../spiffe/id.ts';
import type { Certificate } from './certificate.ts';
import { CLIENT_AUTH, SERVER_AUTH } from './extensions.ts';
import { uriOf } from './names.ts';

/** The identity a leaf claims: its one URI name, in Istio's form. Proves nothing by itself. */
export function claimOf({ names }: Certificate): ParsedSpiffeId {
  const found = uriOf(names);
  return typeof found === 'string' ? { ok: false, reason: found } : parseSpiffeId(found.uri);
}

/** Why this is no leaf of an X509-SVID (SPIFFE X509-SVID 3–5); undefined if it is one. */
export function leafProblem({ basicConstraints, keyUsage, extendedKeyUsage, unknownCritical }: Certificate): string | undefined {
  if (unknownCritical) return 'it has a critical extension that is not known here';
  if (basicConstraints?.ca === true) return 'it is the certificate of a CA, which proves nobody';
  if (keyUsage === undefined) return 'it has no key usage';
  if (!keyUsage.critical) return 'its key usage is not critical';
  if (!keyUsage.digitalSignature) return 'its key usage lacks digitalSignature';
  if (keyUsage.keyCertSign) return 'its key may sign certificates (keyCertSign), so it is that of a CA';
  if (keyUsage.crlSign) return 'its key may sign revocation lists (cRLSign), so it is that of a CA';
  // Both, whatever it acts as: 4.4 wants a workload to be client and server by the same certificate.
  if (extendedKeyUsage !== undefined) {
    if (!extendedKeyUsage.includes(SERVER_AUTH)) return 'its extended key usage lacks serverAuth';
    if (!extendedKeyUsage.includes(CLIENT_AUTH)) return 'its extended key usage lacks clientAuth';
  }
  return undefined;
}
