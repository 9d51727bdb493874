import type { HeaderOp, Model } from '@inmesh/policy';
import type { Call } from '../call.ts';
import { MeshError } from '../errors.ts';
import { addressBytes } from '../match/cidr.ts';
import type { Connection, Peer, Principal } from '../peer.ts';
import type { MetadataExchange } from '../ports/metadata.ts';
import type { VerifiedPeer } from '../ports/certificates.ts';
import { normalizeTarget, type PathNormalization, type Target } from './normalize.ts';

/** Carries the hop token: who calls, where TLS ends in between. */
export const HOP_HEADER = 'x-inmesh-identity';

/** Whom a hop token proves. Never throws. */
export type HopProof = (token: string) => VerifiedPeer;

/** A request as it came: pseudo headers of HTTP/2 in their own fields, header lines as `[name, value, name, value, …]`. */
export interface Received {
  readonly method: string;
  /** Request target: a path, a whole URL, `*`, or for CONNECT an authority (of HTTP/2 ''). */
  readonly target: string;
  /** May hold pseudo headers, too: nobody asks for those by name. */
  readonly rawHeaders: string[];
  /** `:authority` of HTTP/2. */
  readonly authority: string | undefined;
  readonly scheme: 'http' | 'https';
  /** Takes the connection, or the stream, over. */
  readonly upgrade: boolean;
}

/** An inbound request as the mesh sees it, read from the header lines themselves: what Node makes of them hides repetitions. */
export class InboundCall implements Call {
  readonly protocol: Call['protocol'];
  readonly scheme: string;
  readonly authority: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly replayable = false;
  readonly peer: Peer;
  readonly #raw: readonly string[];

  constructor({ scheme, method, rawHeaders, upgrade }: Received, { authority, target }: Address, peer: Peer) {
    this.scheme = scheme;
    this.authority = authority;
    this.method = method;
    this.path = target.path;
    this.query = target.query;
    this.peer = peer;
    this.#raw = rawHeaders;
    this.protocol = upgrade ? 'websocket' : isGrpc(method, rawHeaders) ? 'grpc' : 'http';
  }

  // Few rules ask for these two.
  get host(): string {
    return /^(?:\[[^\]]*\]|[^:]*)/
      .exec(this.authority)![0]
      .replace(/^\[|\]$/g, '')
      .toLowerCase();
  }

  get port(): number {
    const port = /:(\d+)$/.exec(this.authority)?.[1];
    return port === undefined ? (this.scheme === 'https' ? 443 : 80) : Number(port);
  }

  get sourceIp(): string {
    return this.peer.clientAddress;
  }

  header(name: string): string | undefined {
    return headerOf(this.#raw, name);
  }

  headerValues(name: string): readonly string[] {
    const values: string[] = [];
    const raw = this.#raw;
    for (let at = 0; at < raw.length; at += 2) if (isName(raw[at]!, name)) values.push(raw[at + 1]!);
    return values;
  }
}

const isName = (written: string, lower: string): boolean => written.length === lower.length && written.toLowerCase() === lower;

/** All lines of a name, joined. */
function headerOf(raw: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let at = 0; at < raw.length; at += 2) {
    if (isName(raw[at]!, name)) found = found === undefined ? raw[at + 1]! : `${found},${raw[at + 1]!}`;
  }
  return found;
}

/** Not gRPC-Web: to that a refusal is plain HTTP, as in Envoy. */
const GRPC = /^application\/grpc(?:[+;]|$)/i;

/** Every call of gRPC is a POST. */
export function isGrpc(method: string, rawHeaders: readonly string[]): boolean {
  return method === 'POST' && GRPC.test(headerOf(rawHeaders, 'content-type') ?? '');
}

/** Changes header lines in place. */
export function editLines(rawHeaders: string[], ops: readonly HeaderOp[]): void {
  for (const op of ops) {
    if (op.op !== 'add') removeLines(rawHeaders, op.name);
    if (op.op !== 'remove') rawHeaders.push(op.name, op.value);
  }
}

function removeLines(rawHeaders: string[], name: string): void {
  let kept = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (isName(rawHeaders[at]!, name)) continue;
    rawHeaders[kept] = rawHeaders[at]!;
    rawHeaders[kept + 1] = rawHeaders[at + 1]!;
    kept += 2;
  }
  rawHeaders.length = kept;
}

/** Changes the header lines of the request it belongs to. */
export interface RequestEditor {
  edit(ops: readonly HeaderOp[]): void;
}

/**
 * A request as rules shall see it, less the headers that nobody outside may set. `editor` takes those from wherever the program
 * behind us may read them, the lines among them: it must see what rules saw. Throws a refusal where it can be read in two ways.
 */
export function readCall(
  received: Received,
  connection: Connection,
  { settings, inbound: { trustedHops } }: Model,
  editor: RequestEditor = { edit: (ops) => editLines(received.rawHeaders, ops) },
  hops?: HopProof,
  exchange?: MetadataExchange,
): InboundCall {
  const { rawHeaders } = received;
  const unwanted = unwelcome(rawHeaders);
  // Read before it is taken away: it is for us alone. A connection that proves its caller needs no token.
  const principal = connection.principal ?? (hops === undefined ? undefined : sentBy(rawHeaders, hops));
  const said = exchange !== undefined && unwanted.includes(exchange.header[0]) ? headerOf(rawHeaders, exchange.header[0]) : undefined;
  const metadata = said === undefined ? undefined : exchange!.read(said);
  const address = addressOf(received, settings.pathNormalization);
  if (unwanted.length > 0) editor.edit(unwanted.map((name) => ({ op: 'remove', name })));
  // As a proxy does (RFC 9112 §3.2.2): clients write the proxy's own name there, and a program must not read another than rules did.
  if (isTunnel(received)) editor.edit([{ op: 'set', name: 'host', value: address.authority }]);
  const client = clientAddress(rawHeaders, trustedHops, connection.remoteAddress);
  return new InboundCall(received, address, { connection, principal, metadata, clientAddress: client, claims: undefined, policy: '' });
}

/** What must stand once: of two, we and those behind us might each read another (request smuggling, Envoy's header checks). */
const SINGLE: ReadonlySet<string> = new Set(['host', 'authorization', 'content-length', 'x-inmesh-deadline']);

/** What only the mesh itself may say. A client's word would be taken for its. */
function isOurs(name: string): boolean {
  if (!name.startsWith('x-')) return false;
  if (name.startsWith('x-envoy-') || name === 'x-forwarded-client-cert') return true;
  return name.startsWith('x-inmesh-') && name !== 'x-inmesh-deadline';
}

type NameKind = 'single' | 'unwelcome' | 'any';

function kindOf(written: string): NameKind {
  const name = written.toLowerCase();
  if (isOurs(name) || name.includes('_')) return 'unwelcome';
  return SINGLE.has(name) ? 'single' : 'any';
}

/** Of names as they were written: the same few come with every request. */
const KINDS = new Map<string, NameKind>();
/** Strangers may make up names without end. */
const MOST_KINDS = 256;

function knownKindOf(written: string): NameKind {
  let kind = KINDS.get(written);
  if (kind === undefined) {
    kind = kindOf(written);
    if (KINDS.size < MOST_KINDS) KINDS.set(written, kind);
  }
  return kind;
}

/**
 * Refuses what can be read in two ways. Returns the names (lower-case) that nobody outside may set, or that a careless
 * program takes for others (`x_user` for `x-user`, as nginx does).
 */
function unwelcome(rawHeaders: readonly string[]): readonly string[] {
  let seen: string[] | undefined;
  let found: string[] | undefined;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const kind = knownKindOf(rawHeaders[at]!);
    if (kind === 'any') continue;
    const name = rawHeaders[at]!.toLowerCase();
    if (kind === 'unwelcome') (found ??= []).push(name);
    else {
      if (seen?.includes(name) === true) throw bad(`header ${name} stands twice`);
      (seen ??= []).push(name);
    }
  }
  return found ?? NONE;
}

const NONE: readonly string[] = [];

/** A host name or an address, with a port or without; no user, no path. */
const AUTHORITY = /^(?:[A-Za-z0-9\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
const ABSOLUTE = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)(.*)$/;

interface Address {
  readonly authority: string;
  readonly target: Target;
}

/** Extended CONNECT (RFC 8441: a WebSocket in a stream of HTTP/2) has a path, as any request. */
const isTunnel = ({ method, target }: Received): boolean => method === 'CONNECT' && !target.startsWith('/');

/** Whom a request is for, and its path as rules and routers shall see it. Throws a refusal with status 400. */
function addressOf(received: Received, mode: PathNormalization): Address {
  const { method, target, rawHeaders } = received;
  if (isTunnel(received)) return { authority: checked(received.authority ?? target), target: { path: '', query: '' } };
  const host = headerOf(rawHeaders, 'host');
  const absolute = target.startsWith('/') ? null : ABSOLUTE.exec(target);
  const named = received.authority ?? absolute?.[2];
  // RFC 9112 §3.2.2: the target's authority holds. A Host that says otherwise is for somebody else's eyes.
  if (named !== undefined && host !== undefined && named.toLowerCase() !== host.toLowerCase())
    throw bad(`the request is for ${named}, its Host is ${host}`);
  const authority = checked(named ?? host);
  if (target === '*' && method === 'OPTIONS') return { authority, target: { path: '*', query: '' } };
  if (absolute === null && !target.startsWith('/')) throw bad('the request target is no path');
  const normalized = normalizeTarget(absolute === null ? target : rooted(absolute[3]!), mode);
  if (normalized === undefined) throw bad('the path holds a NUL');
  return { authority, target: normalized };
}

/** `http://shop?x` asks for the root (RFC 9112 §3.2.1), in every mode. */
const rooted = (rest: string): string => (rest.startsWith('/') ? rest : `/${rest}`);

function checked(authority: string | undefined): string {
  if (authority === undefined || authority === '') throw bad('the request has no Host');
  if (!AUTHORITY.test(authority)) throw bad(`"${authority.slice(0, 80)}" is no host`);
  return authority;
}

/** Whom the hop token of a request names; undefined: it has none. One that does not hold is refused: nobody sends one for nothing. */
function sentBy(rawHeaders: readonly string[], hops: HopProof): Principal | undefined {
  const token = headerOf(rawHeaders, HOP_HEADER);
  if (token === undefined) return undefined;
  const peer = hops(token);
  if (peer.ok) return peer.principal;
  throw new MeshError('UNAUTHENTICATED', peer.reason, { answer: { body: 'the hop token does not hold', headers: [] } });
}

/** Never retried, never for the program: nobody can say what was meant. */
function bad(why: string): MeshError {
  return new MeshError('BAD_REQUEST', `bad request: ${why}`, {
    answer: { body: 'Bad Request', headers: [['connection', 'close']] },
  });
}

/** The client behind `hops` trusted proxies, each of which added its peer's address; the TCP peer where they did not, or wrote something else. */
function clientAddress(rawHeaders: readonly string[], hops: number, peer: string): string {
  if (hops === 0) return peer;
  const address = headerOf(rawHeaders, 'x-forwarded-for')?.split(',').at(-hops)?.trim() ?? '';
  return addressBytes(address) === undefined ? peer : address;
}
