import { children, context, DerError, type Element, expect, read, readBits, readBoolean, readOid, readSmall, Tag } from './der.ts';
import { type GeneralName, type NameConstraints, readNameConstraints, readNames } from './names.ts';

/** The extensions that decide what a certificate may be used for (RFC 5280, 4.2.1). */
export interface Extensions {
  readonly basicConstraints: { readonly ca: boolean; readonly pathLength: number | undefined } | undefined;
  readonly keyUsage: KeyUsage | undefined;
  /** OIDs in hexadecimal. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** Subject alternative names. */
  readonly names: readonly GeneralName[];
  readonly nameConstraints: NameConstraints | undefined;
  /** Has an extension that must not be passed over, and that we do not know. */
  readonly unknownCritical: boolean;
}

export interface KeyUsage {
  readonly critical: boolean;
  readonly digitalSignature: boolean;
  readonly keyCertSign: boolean;
  readonly crlSign: boolean;
}

export const SERVER_AUTH = '2b06010505070301';
export const CLIENT_AUTH = '2b06010505070302';
export const ANY_USAGE = '551d2500';

export const NO_EXTENSIONS: Extensions = {
  basicConstraints: undefined,
  keyUsage: undefined,
  extendedKeyUsage: undefined,
  names: [],
  nameConstraints: undefined,
  unknownCritical: false,
};

type Reader = (value: Element, critical: boolean) => Partial<Extensions>;

/** By OID in hexadecimal: 2.5.29.n is 551d followed by n. */
const READERS: Readonly<Record<string, Reader>> = {
  '551d13': (value) => ({ basicConstraints: readBasicConstraints(value) }),
  '551d0f': (value, critical) => ({ keyUsage: readKeyUsage(value, critical) }),
  '551d25': (value) => ({ extendedKeyUsage: children(expect(value, Tag.SEQUENCE)).map(readOid) }),
  '551d11': (value) => ({ names: readNames(expect(value, Tag.SEQUENCE)) }),
  '551d1e': (value) => ({ nameConstraints: readNameConstraints(value) }),
  // Certificate policies: who issued under which rules decides nothing here, critical or not (as Go).
  '551d20': () => ({}),
};

const MOST = 64;

/** `element`: the whole `[3] EXPLICIT` of a certificate. */
export function readExtensions(element: Element): Extensions {
  const [list, ...more] = children(element);
  const entries = children(expect(list, Tag.SEQUENCE));
  if (more.length > 0 || entries.length > MOST) throw new DerError('it has too many extensions');
  const seen = new Set<string>();
  let extensions = NO_EXTENSIONS;
  for (const entry of entries) {
    const parts = children(expect(entry, Tag.SEQUENCE));
    const oid = readOid(parts[0]);
    // RFC 5280, 4.2: one of a kind. Of two names each reader could take another.
    if (seen.has(oid)) throw new DerError('it has an extension twice');
    seen.add(oid);
    const critical = parts.length > 2 && readBoolean(parts[1]);
    if (parts.length > 3) throw new DerError('an extension has unknown parts');
    const value = expect(parts.at(-1), Tag.OCTET_STRING).body;
    const reader = READERS[oid];
    if (reader !== undefined) extensions = { ...extensions, ...reader(read(value), critical) };
    else if (critical) extensions = { ...extensions, unknownCritical: true };
  }
  return extensions;
}

function readBasicConstraints(value: Element): Extensions['basicConstraints'] {
  const parts = children(expect(value, Tag.SEQUENCE));
  const named = parts[0]?.tag === Tag.BOOLEAN;
  const ca = named && readBoolean(parts[0]);
  const [length, ...more] = named ? parts.slice(1) : parts;
  if (more.length > 0) throw new DerError('its basic constraints have unknown parts');
  return { ca, pathLength: length === undefined ? undefined : readSmall(length) };
}

function readKeyUsage(value: Element, critical: boolean): KeyUsage {
  const bits = readBits(value)[0] ?? 0;
  return { critical, digitalSignature: (bits & 0x80) !== 0, keyCertSign: (bits & 0x04) !== 0, crlSign: (bits & 0x02) !== 0 };
}

/** Extensions of a revocation list: only whether one of them must not be passed over. */
export function hasCritical(element: Element | undefined): boolean {
  if (element === undefined) return false;
  const list = element.tag === context(0) ? children(element)[0] : element;
  return children(expect(list, Tag.SEQUENCE)).some((entry) => {
    const parts = children(expect(entry, Tag.SEQUENCE));
    return parts.length > 2 && readBoolean(parts[1]);
  });
}
