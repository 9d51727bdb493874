import * as v from 'valibot';
import { flag, list, optional, text } from '../../schema/fields.ts';
import { oneOf } from '../../schema/scalars.ts';

const version = oneOf('TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3');

/** Istio's ServerTLSSettings, of Gateway servers and Sidecar ingress. */
export const serverTls = v.object({
  httpsRedirect: flag('Answer plain HTTP with a redirect to https.'),
  mode: optional(oneOf('PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'AUTO_PASSTHROUGH', 'ISTIO_MUTUAL', 'OPTIONAL_MUTUAL'), 'How TLS is spoken.'),
  serverCertificate: text('File with the certificate (PEM).'),
  privateKey: text('File with the private key (PEM).'),
  caCertificates: text('File with the certificates (PEM) that clients are verified against.'),
  caCrl: text('File with a certificate revocation list (PEM).'),
  credentialName: text('Name of a secret with certificates, instead of files.'),
  credentialNames: list(v.string(), 'Names of secrets with certificates of different kinds.'),
  caCertCredentialName: text('Name of a secret with the certificates that clients are verified against.'),
  tlsCertificates: list(
    v.object({
      serverCertificate: text('File with the certificate (PEM).'),
      privateKey: text('File with the private key (PEM).'),
      caCertificates: text('File with CA certificates (PEM).'),
    }),
    'Certificates of different kinds.',
  ),
  subjectAltNames: list(v.string(), 'Names one of which the certificate of a client must carry.'),
  verifyCertificateSpki: list(v.string(), 'Accepted hashes of public keys of clients.'),
  verifyCertificateHash: list(v.string(), 'Accepted hashes of certificates of clients.'),
  minProtocolVersion: optional(version, 'Lowest TLS version.', { default: 'TLSV1_2' }),
  maxProtocolVersion: optional(version, 'Highest TLS version.'),
  cipherSuites: list(v.string(), 'Cipher suites of TLS 1.2 and below.'),
  insecureSkipVerify: optional(v.boolean(), 'Do not verify the certificates of clients.'),
});
