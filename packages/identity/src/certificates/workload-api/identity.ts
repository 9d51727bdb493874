import { children, DerError } from '../../verify/der.ts';
import { toPem } from '../../verify/pem.ts';
import { type MadeIdentity, toIdentity } from '../identity.ts';
import type { SvidResponse } from './protocol.ts';

/** The identity a response gives; the one with this hint if several are given (the first is the default one). */
export function identityOf(response: SvidResponse, hint: string | undefined, aliases: readonly string[], now: number): MadeIdentity {
  const refused = (reason: string): MadeIdentity => ({ ok: false, reason });
  const { svids, crl, federated_bundles } = response;
  const svid = hint === undefined ? svids[0] : svids.find((one) => one.hint === hint);
  if (svid === undefined) {
    const found = svids.map((one) => one.hint || one.spiffe_id).join(', ');
    return refused(
      svids.length === 0 ? 'it names no identity for this workload' : `none of its identities has the hint "${hint}": ${found}`,
    );
  }
  try {
    const bundles = new Map(
      Object.entries(federated_bundles).map(([domain, der]) => [
        domain.replace(/^spiffe:\/\//, '').replace(/\/$/, ''),
        certificatesOf(der),
      ]),
    );
    const made = toIdentity(
      {
        certificate: certificatesOf(svid.x509_svid),
        privateKey: toPem([svid.x509_svid_key], 'PRIVATE KEY'),
        roots: certificatesOf(svid.bundle),
        aliases,
        bundles,
        crl: toPem(crl, 'X509 CRL'),
      },
      now,
    );
    if (made.ok && made.identity.principal.uri !== svid.spiffe_id) {
      return refused(`it says ${JSON.stringify(svid.spiffe_id)} and hands out a certificate of ${made.identity.principal.uri}`);
    }
    return made;
  } catch (error) {
    if (error instanceof DerError) return refused(`a certificate is malformed: ${error.message}`);
    throw error;
  }
}

/** PEM of certificates that stand one after the other. */
function certificatesOf(der: Uint8Array): string {
  return toPem(
    sequence(der).map(({ whole }) => whole),
    'CERTIFICATE',
  );
}

/** Elements that stand one after the other are what a SEQUENCE would hold. */
const sequence = (bytes: Uint8Array): ReturnType<typeof children> =>
  bytes.length === 0 ? [] : children({ tag: 0x30, whole: bytes, body: bytes });
