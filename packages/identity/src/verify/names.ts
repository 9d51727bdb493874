import { children, context, DerError, type Element, expect, latin1, Tag } from './der.ts';

export type NameKind = 'uri' | 'dns' | 'ip' | 'email' | 'directory' | 'other';

/** A name beside the subject (RFC 5280, 4.2.1.6). Bytes as they stand, for text may hide a NUL or a comma. */
export interface GeneralName {
  readonly kind: NameKind;
  readonly value: Uint8Array;
}

const KINDS: ReadonlyMap<number, NameKind> = new Map([
  [0xa0, 'other'],
  [0x81, 'email'],
  [0x82, 'dns'],
  [0xa3, 'other'],
  [0xa4, 'directory'],
  [0xa5, 'other'],
  [0x86, 'uri'],
  [0x87, 'ip'],
  [0x88, 'other'],
]);

const MOST = 256;

export function readNames(sequence: Element): readonly GeneralName[] {
  const names = children(sequence);
  if (names.length > MOST) throw new DerError('it has too many names');
  return names.map(readName);
}

function readName({ tag, body }: Element): GeneralName {
  const kind = KINDS.get(tag);
  if (kind === undefined) throw new DerError('a name is of no known kind');
  return { kind, value: body };
}

/** Names a CA may and must not issue (RFC 5280, 4.2.1.10). */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

export function readNameConstraints(value: Element): NameConstraints {
  const found = { permitted: [] as readonly GeneralName[], excluded: [] as readonly GeneralName[] };
  for (const part of children(expect(value, Tag.SEQUENCE))) {
    if (part.tag === context(0)) found.permitted = readSubtrees(part);
    else if (part.tag === context(1)) found.excluded = readSubtrees(part);
    else throw new DerError('its name constraints have unknown parts');
  }
  return found;
}

function readSubtrees(element: Element): readonly GeneralName[] {
  return children(element).map((subtree) => {
    const [base, ...more] = children(expect(subtree, Tag.SEQUENCE));
    if (base === undefined || more.length > 0) throw new DerError('a name constraint has a minimum or maximum, which RFC 5280 rules out');
    return readName(base);
  });
}

/** An empty Name. */
const NOBODY = '\x30\x00';

/** Why a CA that may issue these names only could not issue this certificate; undefined if it could. What cannot be compared is refused. */
export function constraintProblem(
  { permitted, excluded }: NameConstraints,
  { names, subject }: { readonly names: readonly GeneralName[]; readonly subject: string },
): string | undefined {
  const all: readonly GeneralName[] = subject === NOBODY ? names : [...names, { kind: 'directory', value: Buffer.from(subject, 'latin1') }];
  for (const name of all) {
    const allowed = permitted.filter(({ kind }) => kind === name.kind);
    const forbidden = excluded.filter(({ kind }) => kind === name.kind);
    if (allowed.length + forbidden.length === 0) continue;
    const within = COMPARE[name.kind];
    if (within === undefined) return `has constraints on names of the kind "${name.kind}", which cannot be compared here`;
    if (forbidden.some((base) => within(name.value, base.value) !== false)) return `must not issue the ${name.kind} name ${show(name)}`;
    if (allowed.length > 0 && !allowed.some((base) => within(name.value, base.value) === true)) {
      return `may not issue the ${name.kind} name ${show(name)}`;
    }
  }
  return undefined;
}

/** Is the name within the constraint? undefined: nobody can tell, which helps in neither list. */
type Within = (name: Uint8Array, base: Uint8Array) => boolean | undefined;

const COMPARE: Readonly<Partial<Record<NameKind, Within>>> = {
  uri: (name, base) => {
    const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:@[\]]+)(?::\d*)?(?:[/?#]|$)/i.exec(latin1(name))?.[1]?.toLowerCase();
    // No host, or an address: RFC 5280 leaves nothing to compare.
    if (host === undefined || /^[\d.]+$/.test(host)) return undefined;
    const domain = latin1(base).toLowerCase();
    // ".example.org" is what stands below it, "example.org" that one host; '' is everything (as NSS and Go).
    return domain === '' || (domain.startsWith('.') ? host.endsWith(domain) && host.length > domain.length : host === domain);
  },
  dns: (name, base) => {
    const host = latin1(name).toLowerCase().replace(/\.$/, '');
    const text = latin1(base).toLowerCase();
    const domain = text.replace(/^\./, '');
    if (domain === '' || host.endsWith(`.${domain}`)) return true;
    // Whether ".example.org" means example.org too is disputed.
    if (host === domain) return text === domain ? true : undefined;
    // *.example.org may be a name below a.example.org, and may be another.
    return host.startsWith('*.') && `.${domain}`.endsWith(host.slice(1)) ? undefined : false;
  },
  ip: (name, base) => {
    const size = name.length;
    if ((size !== 4 && size !== 16) || (base.length !== 8 && base.length !== 32)) return undefined;
    if (base.length !== size * 2) return false;
    return name.every((byte, index) => (byte & base[size + index]!) === (base[index]! & base[size + index]!));
  },
};

const show = ({ kind, value }: GeneralName): string => (kind === 'uri' || kind === 'dns' ? JSON.stringify(latin1(value)) : 'of its own');

/** The one URI a leaf must have, as text; or a sentence. Read byte by byte: no SAN is ever split out of a joined string. */
export function uriOf(names: readonly GeneralName[]): { readonly uri: string } | string {
  const [uri, ...more] = names.filter(({ kind }) => kind === 'uri');
  if (uri === undefined) return 'it has no URI name, so it proves no SPIFFE identity';
  if (more.length > 0) return `it has ${more.length + 1} URI names, where a SPIFFE identity is exactly one`;
  // What is no visible ASCII (a NUL, UTF-8) is kept, and refused by whoever reads the identity.
  return { uri: latin1(uri.value) };
}
