import { children, context, DerError, type Element, expect, latin1, read, readTime, Tag } from './der.ts';
import { type Extensions, NO_EXTENSIONS, readExtensions } from './extensions.ts';
import { readSignature, type Signature } from './signature.ts';

/** What verification needs of a certificate, read from its DER. */
export interface Certificate extends Extensions {
  readonly der: Uint8Array;
  /** The part that is signed. */
  readonly signed: Uint8Array;
  readonly signature: Signature;
  /** Bytes of the number, as `latin1` shows them. */
  readonly serial: string;
  /** DER of the names, as `latin1` shows it: equal names are equal bytes (as Go has it). */
  readonly issuer: string;
  readonly subject: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
}

export type ParsedCertificate = { readonly ok: true; readonly certificate: Certificate } | { readonly ok: false; readonly reason: string };

/** More than any certificate of a workload has. */
const BIGGEST = 32 * 1024;

/** Reads a certificate (RFC 5280, 4.1). Never throws. */
export function parseCertificate(der: Uint8Array): ParsedCertificate {
  if (der.length > BIGGEST) return { ok: false, reason: `it has ${der.length} bytes, more than ${BIGGEST}` };
  try {
    return { ok: true, certificate: readCertificate(der) };
  } catch (error) {
    if (error instanceof DerError) return { ok: false, reason: `it is malformed: ${error.message}` };
    throw error;
  }
}

const V3 = 2;

function readCertificate(der: Uint8Array): Certificate {
  const [signed, algorithm, value, ...more] = children(read(der, Tag.SEQUENCE));
  if (more.length > 0) throw new DerError('it has more than three parts');
  const parts = children(expect(signed, Tag.SEQUENCE));
  const version = parts[0]?.tag === context(0) ? versionOf(parts[0]) : 0;
  const [serial, inner, issuer, validity, subject, publicKey, ...rest] = version === 0 ? parts : parts.slice(1);
  const [notBefore, notAfter, ...times] = children(expect(validity, Tag.SEQUENCE));
  if (times.length > 0) throw new DerError('its validity has more than two times');
  const extensions = rest.find(({ tag }) => tag === context(3));
  if (extensions !== undefined && version !== V3) throw new DerError('only version 3 has extensions');
  // [1] and [2]: unique identifiers that nobody uses.
  if (rest.length > (extensions === undefined ? 2 : 3) || (extensions !== undefined && rest.at(-1) !== extensions)) {
    throw new DerError('it has unknown parts');
  }
  return {
    der,
    signed: signed!.whole,
    signature: readSignature(algorithm, value, inner),
    serial: latin1(expect(serial, Tag.INTEGER).body),
    issuer: latin1(expect(issuer, Tag.SEQUENCE).whole),
    subject: latin1(expect(subject, Tag.SEQUENCE).whole),
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
    publicKey: expect(publicKey, Tag.SEQUENCE).whole,
    ...(extensions === undefined ? NO_EXTENSIONS : readExtensions(extensions)),
  };
}

function versionOf(element: Element): number {
  const [number, ...more] = children(element);
  const version = expect(number, Tag.INTEGER).body;
  if (more.length > 0 || version.length !== 1 || (version[0] !== 1 && version[0] !== V3)) throw new DerError('its version is unknown');
  return version[0];
}
