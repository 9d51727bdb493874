import { constants as rsa, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  CertificateList,
  Extension,
  Extensions,
  GeneralName,
  GeneralSubtree,
  GeneralSubtrees,
  NameConstraints,
  RevokedCertificate,
  TBSCertList,
  Time,
} from '@peculiar/asn1-x509';
import {
  basicConstraints,
  CLIENT_AUTH,
  ecSigner,
  extendedKeyUsage,
  extension,
  keyUsage,
  nameOf,
  newKeys,
  SERVER_AUTH,
  type Signer,
  subjectAlternativeNames,
  uriName,
  writeCertificate,
} from '../dev/write.ts';
import { toPem } from '../verify/pem.ts';

/** The moment the tests play at. */
export const NOW = Date.UTC(2025, 0, 1);
export const DAY = 24 * 3600 * 1000;

export interface Keys {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** What a test may make wrong. */
export interface Spec {
  readonly name?: string;
  readonly keys?: Keys;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly extensions?: readonly Extension[];
  /** How its issuer signs. */
  readonly signer?: (issuer: TestAuthority) => Signer;
}

export interface TestAuthority {
  readonly name: string;
  readonly keys: Keys;
  readonly der: Uint8Array;
  readonly pem: string;
}

const caExtensions = (pathLength?: number): readonly Extension[] => [
  basicConstraints(true, pathLength),
  keyUsage(['keyCertSign', 'cRLSign']),
];

/** A self-signed root. */
export function testRoot(spec: Spec = {}): TestAuthority {
  const { name = 'root', keys = newKeys() } = spec;
  return certify({ name, keys, der: new Uint8Array(), pem: '' }, { extensions: caExtensions(), ...spec, name, keys });
}

/** A CA below another. */
export const testIntermediate = (issuer: TestAuthority, spec: Spec = {}): TestAuthority =>
  certify(issuer, { name: 'intermediate', extensions: caExtensions(), ...spec });

/** A leaf that is right in every respect but those the test changes. */
export const testLeaf = (issuer: TestAuthority, uri: string | readonly string[], spec: Spec = {}): TestAuthority =>
  certify(issuer, { name: '', extensions: leafExtensions(uri), ...spec });

export function leafExtensions(uri: string | readonly string[], { names = [], usage, purposes }: LeafParts = {}): readonly Extension[] {
  const uris = typeof uri === 'string' ? [uri] : uri;
  return [
    basicConstraints(false),
    usage ?? keyUsage(['digitalSignature']),
    purposes ?? extendedKeyUsage(SERVER_AUTH, CLIENT_AUTH),
    subjectAlternativeNames([...uris.map(uriName), ...names], true),
  ];
}

interface LeafParts {
  readonly names?: readonly GeneralName[];
  readonly usage?: Extension;
  readonly purposes?: Extension;
}

function certify(issuer: TestAuthority, spec: Spec): TestAuthority {
  const { name = '', keys = newKeys(), notBefore = NOW - DAY, notAfter = NOW + DAY, extensions = [] } = spec;
  const signer = spec.signer?.(issuer) ?? ecSigner(issuer.name, issuer.keys.privateKey);
  const der = writeCertificate({ subject: name, publicKey: keys.publicKey, signer, notBefore, notAfter, extensions });
  return { name, keys, der, pem: toPem([der], 'CERTIFICATE') };
}

/** An extension of raw bytes, for what no library would write. */
export const rawExtension = (oid: string, critical: boolean, value: Uint8Array): Extension =>
  new Extension({ extnID: oid, critical, extnValue: new OctetString(Buffer.from(value)) });

export type RawName = readonly [tag: number, value: string | Uint8Array];

/** Subject alternative names of raw elements: tag and bytes. */
export function rawNames(...names: readonly RawName[]): Extension {
  const elements = names.map(([tag, value]) => der(tag, typeof value === 'string' ? Buffer.from(value, 'latin1') : value));
  return rawExtension('2.5.29.17', true, der(0x30, Buffer.concat(elements)));
}

/** One element of DER. */
export function der(tag: number, body: Uint8Array): Buffer {
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

export const constraints = (permitted: readonly GeneralName[], excluded: readonly GeneralName[] = []): Extension =>
  extension(
    '2.5.29.30',
    true,
    new NameConstraints({
      permittedSubtrees: permitted.length === 0 ? undefined : subtrees(permitted),
      excludedSubtrees: excluded.length === 0 ? undefined : subtrees(excluded),
    }),
  );

const subtrees = (names: readonly GeneralName[]): GeneralSubtrees => new GeneralSubtrees(names.map((base) => new GeneralSubtree({ base })));

/** RSA keys, by their bits and exponent. */
export const rsaKeys = (modulusLength: number, publicExponent = 0x10001): Keys =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent });

/** An RSA signature (PKCS #1) with this hash. */
export const rsaSigner =
  (hash: 'sha1' | 'md5' | 'sha256') =>
  (issuer: TestAuthority): Signer => ({
    name: issuer.name,
    algorithm: new AlgorithmIdentifier({
      algorithm: { md5: '1.2.840.113549.1.1.4', sha1: '1.2.840.113549.1.1.5', sha256: '1.2.840.113549.1.1.11' }[hash],
      parameters: null,
    }),
    sign: (bytes) => sign(hash, bytes, issuer.keys.privateKey),
  });

/** An RSA-PSS signature; `parameters`: DER of how it was made, as the certificate tells it. */
export const pssSigner =
  (hash: 'sha1' | 'sha256' | 'sha512', parameters: Uint8Array) =>
  (issuer: TestAuthority): Signer => ({
    name: issuer.name,
    algorithm: new AlgorithmIdentifier({ algorithm: '1.2.840.113549.1.1.10', parameters: new Uint8Array(parameters).buffer }),
    sign: (bytes) => sign(hash, bytes, { key: issuer.keys.privateKey, padding: rsa.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
  });

export const edSigner = (issuer: TestAuthority): Signer => ({
  name: issuer.name,
  algorithm: new AlgorithmIdentifier({ algorithm: '1.3.101.112' }),
  sign: (bytes) => sign(null, bytes, issuer.keys.privateKey),
});

/** A revocation list, as PEM. */
export function testCrl(
  issuer: TestAuthority,
  revoked: readonly TestAuthority[],
  {
    thisUpdate = NOW - DAY,
    nextUpdate = NOW + DAY,
    extensions,
    keys = issuer.keys,
  }: { thisUpdate?: number; nextUpdate?: number; extensions?: readonly Extension[]; keys?: Keys } = {},
): string {
  const signer = ecSigner(issuer.name, keys.privateKey);
  const tbsCertList = new TBSCertList({
    version: 1,
    signature: signer.algorithm,
    issuer: nameOf(issuer.name),
    thisUpdate: new Time(new Date(thisUpdate)),
    nextUpdate: new Time(new Date(nextUpdate)),
    revokedCertificates: revoked.map(
      ({ der: bytes }) => new RevokedCertificate({ userCertificate: serialOf(bytes), revocationDate: new Time(new Date(thisUpdate)) }),
    ),
    crlExtensions: extensions === undefined ? undefined : new Extensions([...extensions]),
  });
  const signature = signer.sign(Buffer.from(AsnConvert.serialize(tbsCertList)));
  const list = new CertificateList({
    tbsCertList,
    signatureAlgorithm: signer.algorithm,
    signature: new Uint8Array(signature).buffer,
  });
  return toPem([Buffer.from(AsnConvert.serialize(list))], 'X509 CRL');
}

/** Ours are 16 bytes, right behind version 3: `30 82 … 30 82 … a0 03 02 01 02 02 10 …`. */
function serialOf(bytes: Uint8Array): ArrayBuffer {
  const at = Buffer.from(bytes).indexOf(Buffer.from('a0030201020210', 'hex')) + 7;
  return new Uint8Array(bytes.subarray(at, at + 16)).buffer;
}

/** Extensions of a leaf without its names. */
export const bare = (extensions: readonly Extension[]): readonly Extension[] => extensions.slice(0, -1);
