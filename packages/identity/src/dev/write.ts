import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
} from '@peculiar/asn1-x509';

/** Who signs: its name, and how. */
export interface Signer {
  readonly name: string;
  readonly algorithm: AlgorithmIdentifier;
  sign(bytes: Uint8Array): Uint8Array;
}

export interface CertificateToWrite {
  /** Common name; '' for none. */
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly signer: Signer;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly extensions: readonly Extension[];
}

/** Writes and signs a certificate: DER. */
export function writeCertificate({ subject, publicKey, signer, notBefore, notAfter, extensions }: CertificateToWrite): Uint8Array {
  const tbsCertificate = new TBSCertificate({
    version: 2,
    serialNumber: serial(),
    signature: signer.algorithm,
    issuer: nameOf(signer.name),
    validity: new Validity({ notBefore: new Date(notBefore), notAfter: new Date(notAfter) }),
    subject: nameOf(subject),
    subjectPublicKeyInfo: AsnConvert.parse(publicKey.export({ format: 'der', type: 'spki' }), SubjectPublicKeyInfo),
    extensions: new Extensions([...extensions]),
  });
  const signatureValue = signer.sign(Buffer.from(AsnConvert.serialize(tbsCertificate)));
  const certificate = new Certificate({ tbsCertificate, signatureAlgorithm: signer.algorithm, signatureValue: bufferOf(signatureValue) });
  return Buffer.from(AsnConvert.serialize(certificate));
}

/** Signs with a P-256 key. */
export const ecSigner = (name: string, key: KeyObject): Signer => ({
  name,
  algorithm: new AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' }),
  sign: (bytes) => sign('sha256', bytes, key),
});

export const newKeys = (): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' });

export function nameOf(commonName: string): Name {
  if (commonName === '') return new Name([]);
  const value = new AttributeValue({ utf8String: commonName });
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: '2.5.4.3', value })])]);
}

export const extension = (extnID: string, critical: boolean, value: unknown): Extension =>
  new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });

export const basicConstraints = (cA: boolean, pathLenConstraint?: number): Extension =>
  extension('2.5.29.19', true, new BasicConstraints({ cA, pathLenConstraint }));

export const keyUsage = (flags: readonly (keyof typeof KeyUsageFlags)[], critical = true): Extension =>
  extension('2.5.29.15', critical, new KeyUsage(flags.reduce<number>((all, flag) => all | KeyUsageFlags[flag], 0)));

export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

export const extendedKeyUsage = (...usages: readonly string[]): Extension =>
  extension('2.5.29.37', false, new ExtendedKeyUsage([...usages]));

export const subjectAlternativeNames = (names: readonly GeneralName[], critical = false): Extension =>
  extension('2.5.29.17', critical, new SubjectAlternativeName([...names]));

export const uriName = (uniformResourceIdentifier: string): GeneralName => new GeneralName({ uniformResourceIdentifier });

function serial(): ArrayBuffer {
  const bytes = randomBytes(16);
  // Positive, and without a leading zero.
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bufferOf(bytes);
}

const bufferOf = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;
