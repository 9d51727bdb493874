/**
 * A reader of DER (X.690), and of nothing else: no indefinite or padded lengths, no trailing bytes. General ASN.1 libraries read BER too, which
 * would let a certificate mean one thing to OpenSSL and another to us; and this one costs a process nothing to load.
 */
export interface Element {
  readonly tag: number;
  /** With tag and length. */
  readonly whole: Uint8Array;
  readonly body: Uint8Array;
}

export class DerError extends Error {}

export const Tag = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OID: 0x06,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
} as const;

/** Tag of a constructed context-specific element, `[n] EXPLICIT …`. */
export const context = (number: number): number => 0xa0 | number;

/** The one element `bytes` consist of. */
export function read(bytes: Uint8Array, tag?: number): Element {
  const element = elementAt(bytes, 0);
  if (element.whole.length !== bytes.length) throw new DerError('bytes follow its end');
  return tag === undefined ? element : expect(element, tag);
}

/** What stands in a constructed element. */
export function children(element: Element): readonly Element[] {
  if ((element.tag & 0x20) === 0) throw new DerError(`element ${hex(element.tag)} holds no others`);
  const found: Element[] = [];
  for (let at = 0; at < element.body.length;) {
    const child = elementAt(element.body, at);
    found.push(child);
    at += child.whole.length;
  }
  return found;
}

/** The element itself if it has this tag; what is missing has none. */
export function expect(element: Element | undefined, tag: number): Element {
  if (element?.tag !== tag) throw new DerError(`element ${element === undefined ? 'nothing' : hex(element.tag)} where ${hex(tag)} belongs`);
  return element;
}

function elementAt(bytes: Uint8Array, at: number): Element {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) throw new DerError('it ends too early');
  if ((tag & 0x1f) === 0x1f) throw new DerError('tags of several bytes are not used in certificates');
  let length = first;
  let start = at + 2;
  if (first >= 0x80) {
    const size = first & 0x7f;
    if (size === 0 || size > 3) throw new DerError('a length is indefinite or far too long');
    length = 0;
    for (let index = 0; index < size; index += 1) length = length * 256 + (bytes[start + index] ?? 0);
    if (length < (size === 1 ? 0x80 : 256 ** (size - 1))) throw new DerError('a length is padded');
    start += size;
  }
  const end = start + length;
  if (end > bytes.length) throw new DerError('it ends too early');
  return { tag, whole: bytes.subarray(at, end), body: bytes.subarray(start, end) };
}

export function readBoolean(element: Element | undefined): boolean {
  const { body } = expect(element, Tag.BOOLEAN);
  if (body.length !== 1 || (body[0] !== 0xff && body[0] !== 0)) throw new DerError('a boolean is neither true nor false');
  return body[0] === 0xff;
}

/** A small number that is not negative. */
export function readSmall(element: Element | undefined): number {
  const { body } = expect(element, Tag.INTEGER);
  if (body.length === 0 || body.length > 3 || body[0]! >= 0x80) throw new DerError('a number is negative or too big');
  return body.reduce((number, byte) => number * 256 + byte, 0);
}

/** In hexadecimal, which names an OID as well as dots do. */
export const readOid = (element: Element | undefined): string => hexOf(expect(element, Tag.OID).body);

/** Bytes of a bit string of whole bytes. */
export function readBytes(element: Element | undefined): Uint8Array {
  if (expect(element, Tag.BIT_STRING).body[0] !== 0) throw new DerError('a bit string does not fill its bytes');
  return readBits(element);
}

/** Flags: the bytes of a bit string. */
export function readBits(element: Element | undefined): Uint8Array {
  const { body } = expect(element, Tag.BIT_STRING);
  if (body.length === 0 || body[0]! > 7 || (body.length === 1 && body[0] !== 0)) throw new DerError('a bit string is malformed');
  return body.subarray(1);
}

/** Milliseconds since 1970 of a UTCTime or GeneralizedTime as RFC 5280, 4.1.2.5 wants them: to the second, in UTC. */
export function readTime(element: Element | undefined): number {
  const text = latin1(element?.body ?? new Uint8Array());
  const [, century = '', rest = ''] = /^(\d\d)?(\d{12})Z$/.exec(text) ?? [];
  const expected = century === '' ? Tag.UTC_TIME : Tag.GENERALIZED_TIME;
  if (rest === '' || element?.tag !== expected) throw new DerError('a time is malformed');
  const parts = rest.match(/\d\d/g)!.map(Number);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  const full = year + (century === '' ? (year < 50 ? 2000 : 1900) : Number(century) * 100);
  const date = new Date(0);
  date.setUTCFullYear(full, month - 1, day);
  date.setUTCHours(hour, minute, second);
  // The 31st of February would have become another day.
  const same = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && date.getUTCHours() === hour;
  if (!same || date.getUTCMinutes() !== minute || date.getUTCSeconds() !== second) throw new DerError('a time names no moment');
  return date.getTime();
}

export const hexOf = (bytes: Uint8Array): string => view(bytes).toString('hex');

/** Each byte as the character of its number: for comparing and for keys of maps. */
export const latin1 = (bytes: Uint8Array): string => view(bytes).toString('latin1');

const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const hex = (tag: number): string => `0x${tag.toString(16).padStart(2, '0')}`;
