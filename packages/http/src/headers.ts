import type { HeaderOp } from '@inmesh/policy';

/**
 * Headers as `[name, value, name, value, …]`, names lower-case, repeated names allowed: the form undici sends fastest.
 * Those of a request begin with `host`, its only one, so that a call that nobody edits is sent without a copy.
 */
export type FlatHeaders = string[];

type HeaderValue = string | readonly string[] | number | undefined | null;

/**
 * From any form undici's dispatch accepts: flat array, record, or iterable of pairs. Bytes are latin1, as on the wire.
 * `authority`: the host where the headers name none.
 */
export function flatten(headers: unknown, authority: string): FlatHeaders {
  const flat: FlatHeaders = ['host', ''];
  collect(flat, headers);
  if (flat[1] === '') flat[1] = authority;
  return flat;
}

function collect(flat: FlatHeaders, headers: unknown): void {
  if (headers === undefined || headers === null) return;
  if (Array.isArray(headers)) {
    if (Array.isArray(headers[0])) for (const [name, value] of headers as [string, HeaderValue][]) push(flat, name, value);
    else for (let i = 0; i < headers.length; i += 2) push(flat, text(headers[i]), headers[i + 1] as HeaderValue);
  } else if (typeof (headers as Iterable<unknown>)[Symbol.iterator] === 'function') {
    for (const [name, value] of headers as Iterable<[string, HeaderValue]>) push(flat, name, value);
  } else {
    const record = headers as Record<string, HeaderValue>;
    for (const name in record) push(flat, name, record[name]);
  }
}

function push(flat: FlatHeaders, name: string, value: unknown): void {
  if (value === undefined) return;
  const lower = name.toLowerCase();
  if (lower === 'host') flat[1] = flat[1] === '' ? text(value) : `${flat[1]!},${text(value)}`;
  // The fetch of Node 22 lists its own length twice ("5, 5"), which undici 8 refuses (nodejs/undici#5500).
  else if (lower === 'content-length') flat.push(lower, single(text(value)));
  else if (typeof value === 'string') flat.push(lower, value);
  else if (Array.isArray(value)) for (const one of value) flat.push(lower, text(one));
  else flat.push(lower, text(value));
}

function single(length: string): string {
  const comma = length.indexOf(',');
  if (comma < 0) return length;
  const all = length.split(',').map((part) => part.trim());
  return all.every((part) => part === all[0]) ? all[0]! : length;
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
  return value === null || value === undefined ? '' : String(value as string | number);
}

/** All values of a lower-case name. */
export function valuesOf(flat: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < flat.length; i += 2) if (flat[i] === name) values.push(flat[i + 1]!);
  return values;
}

/** One value of a lower-case name, several joined with `,`. */
export function valueOf(flat: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] === name) found = found === undefined ? flat[i + 1]! : `${found},${flat[i + 1]!}`;
  }
  return found;
}

/** Those of `lines` whose names the headers do not have. */
export function lacking(flat: FlatHeaders, lines: readonly string[]): string[] {
  return lines.filter((_, at) => valueOf(flat, lines[at - (at % 2)]!) === undefined);
}

/** With the operations applied in order, then `host` and the mesh's `own` set: a copy, or the headers themselves if they are that already. */
export function edited(flat: FlatHeaders, ops: readonly HeaderOp[], host: string, own?: readonly string[]): FlatHeaders {
  if (ops.length === 0 && flat[1] === host && own === undefined) return flat;
  const result = flat.slice();
  result[1] = host;
  for (const op of ops) apply(result, op);
  if (own !== undefined) replace(result, own);
  return result;
}

/** Sets headers as `[name, value, …]` has them. */
function replace(flat: FlatHeaders, by: readonly string[]): void {
  for (let i = 0; i < by.length; i += 2) {
    const name = by[i]!;
    for (let at = flat.length - 2; at >= 0; at -= 2) if (flat[at] === name) flat.splice(at, 2);
  }
  flat.push(...by);
}

function apply(flat: FlatHeaders, op: HeaderOp): void {
  if (op.op === 'add') {
    flat.push(op.name, op.value);
    return;
  }
  for (let i = flat.length - 2; i >= 0; i -= 2) if (flat[i] === op.name) flat.splice(i, 2);
  if (op.op === 'set') flat.push(op.name, op.value);
}

export type HeaderRecord = Record<string, string | string[]>;

/** In place of headers that have not come. */
export const NO_HEADERS: HeaderRecord = Object.freeze({});

/** Response headers after the route's operations; the same object if they change nothing. */
export function editResponse(headers: HeaderRecord, ops: readonly HeaderOp[]): HeaderRecord {
  let result = headers;
  for (const op of ops) {
    const before = result[op.name];
    if (op.op === 'remove' && before === undefined) continue;
    if (result === headers) result = { ...headers };
    if (op.op === 'remove') delete result[op.name];
    else if (op.op === 'set' || before === undefined) result[op.name] = op.value;
    else result[op.name] = Array.isArray(before) ? [...before, op.value] : [before, op.value];
  }
  return result;
}

/** The raw form that handlers of older undici versions read. */
export function rawOf(headers: HeaderRecord): Buffer[] {
  const raw: Buffer[] = [];
  for (const name in headers) {
    const value = headers[name]!;
    for (const one of Array.isArray(value) ? value : [value]) raw.push(Buffer.from(name, 'latin1'), Buffer.from(one, 'latin1'));
  }
  return raw;
}

/** Two spaces, `HTTP/1.1` and the line's end of a start line; then the empty line after the headers. */
export const START_LINE = 14;
/** `: ` and the line's end. */
const SEPARATORS = 4;

/** Bytes of `[name, value, …]` as HTTP/1.1 writes them. */
export function linesSize(lines: readonly string[]): number {
  let size = (lines.length / 2) * SEPARATORS;
  for (const text of lines) size += text.length;
  return size;
}

/** Bytes of the head of an answer, likewise. */
export function answerSize(headers: HeaderRecord, statusText = ''): number {
  let size = START_LINE + 3 + statusText.length;
  for (const name in headers) {
    const value = headers[name]!;
    if (typeof value === 'string') size += name.length + value.length + SEPARATORS;
    else for (const one of value) size += name.length + one.length + SEPARATORS;
  }
  return size;
}
