import * as v from 'valibot';
import { defaulted, flag, list, text } from '../../schema/fields.ts';
import { oneOf } from '../../schema/scalars.ts';
import type { Partly, Path, Report } from '../kind.ts';

/** Istio's ClientTLSSettings: how a client secures connections to a destination. */
export const clientTls = v.object({
  mode: defaulted(
    oneOf('DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'),
    'DISABLE',
    'DISABLE: plaintext. SIMPLE: TLS. MUTUAL: TLS with a client certificate from files. ISTIO_MUTUAL: mutual TLS with the identity of the workload.',
    { honoured: 'HGWT' },
  ),
  clientCertificate: text('File with the client certificate (PEM). For MUTUAL.', { honoured: 'HGWT' }),
  privateKey: text('File with the private key (PEM). For MUTUAL.', { honoured: 'HGWT' }),
  caCertificates: text('File with the certificates (PEM) that the server is verified against.', {
    default: 'the roots of the system',
    honoured: 'HGWT',
  }),
  credentialName: text('Name of a secret with certificates, instead of files.', {
    notHonoured: 'a process has no secrets by name; name the files',
  }),
  subjectAltNames: list(
    v.string(),
    'Names one of which the certificate of the server must carry; they override those of the ServiceEntry.',
    {
      honoured: 'HGWT',
    },
  ),
  sni: text('Server name sent in the TLS handshake.', { default: 'the authority of the call', honoured: 'HGWT' }),
  insecureSkipVerify: flag('Do not verify the certificate of the server.', { honoured: 'HGWT' }),
  caCrl: text('File with a certificate revocation list (PEM).', { honoured: 'HGWT' }),
});

type ClientTls = v.InferOutput<typeof clientTls>;

/** Istio's validateTLS: which files go with which mode. */
export function checkClientTls(tls: Partly<ClientTls> | undefined, path: Path, report: Report): void {
  if (tls === undefined) return;
  if (tls.insecureSkipVerify === true) {
    if (tls.caCertificates !== undefined || (tls.subjectAltNames ?? []).length > 0)
      report.conflict(
        [...path, 'insecureSkipVerify'],
        'insecureSkipVerify excludes caCertificates and subjectAltNames',
        'remove one or the other',
      );
  }
  const files = ['clientCertificate', 'privateKey', 'caCertificates', 'caCrl'] as const;
  if (tls.credentialName !== undefined && files.some((file) => tls[file] !== undefined))
    report.conflict(
      [...path, 'credentialName'],
      'credentialName excludes clientCertificate, privateKey, caCertificates and caCrl',
      'name a secret or files, not both',
    );
  if (tls.mode === 'MUTUAL' && tls.credentialName === undefined) {
    for (const file of ['clientCertificate', 'privateKey'] as const)
      if (tls[file] === undefined) report.error([...path, file], `mode MUTUAL needs ${file}`, 'name the file, or use mode SIMPLE');
  }
  if (tls.mode === 'ISTIO_MUTUAL')
    for (const file of [...files, 'credentialName'] as const)
      if (tls[file] !== undefined)
        report.conflict([...path, file], `mode ISTIO_MUTUAL uses the identity of the workload and excludes ${file}`, `remove ${file}`);
}
