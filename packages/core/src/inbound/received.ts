import type { Model } from '@inmesh/policy';
import type { Call } from '../call.ts';
import { MeshError } from '../errors.ts';
import type { Connection, Peer } from '../peer.ts';
import { normalizeTarget, type PathNormalization, type Target } from './normalize.ts';

/** A request as it came: pseudo headers of HTTP/2 in their own fields, header lines as `[name, value, name, value, …]`. */
export interface Received {
  readonly method: string;
  /** Request target: a path, a whole URL, `*`, or for CONNECT an authority. */
  readonly target: string;
  readonly rawHeaders: string[];
  /** `:authority` of HTTP/2. */
  readonly authority: string | undefined;
  readonly scheme: 'http' | 'https';
  readonly upgrade: boolean;
}

/** An inbound request as the mesh sees it, read from the header lines themselves: what Node makes of them hides repetitions. */
export class InboundCall implements Call {
  readonly protocol: Call['protocol'];
  readonly scheme: string;
  readonly authority: string;
  readonly host: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly replayable = false;
  readonly peer: Peer;
  readonly #raw: readonly string[];

  constructor(received: Received, authority: string, { path, query }: Target, peer: Peer) {
    const colon = authority.lastIndexOf(':');
    const port = colon > authority.lastIndexOf(']') ? authority.slice(colon + 1) : '';
    this.scheme = received.scheme;
    this.authority = authority;
    this.host = (port === '' ? authority : authority.slice(0, colon)).replace(/^\[|\]$/g, '').toLowerCase();
    this.port = port === '' ? (received.scheme === 'https' ? 443 : 80) : Number(port);
    this.method = received.method;
    this.path = path;
    this.query = query;
    this.peer = peer;
    this.#raw = received.rawHeaders;
    this.protocol = received.upgrade ? 'websocket' : (this.header('content-type') ?? '').startsWith('application/grpc') ? 'grpc' : 'http';
  }

  get sourceIp(): string {
    return this.peer.clientAddress;
  }

  header(name: string): string | undefined {
    let found: string | undefined;
    const raw = this.#raw;
    for (let at = 0; at < raw.length; at += 2) {
      if (isName(raw[at]!, name)) found = found === undefined ? raw[at + 1]! : `${found},${raw[at + 1]!}`;
    }
    return found;
  }

  headerValues(name: string): readonly string[] {
    return linesOf(this.#raw, name);
  }
}

const isName = (written: string, lower: string): boolean => written.length === lower.length && written.toLowerCase() === lower;

/** A request as rules shall see it. Its header lines are cleaned in place. Throws a refusal where it can be read in two ways. */
export function readCall(received: Received, connection: Connection, { settings, inbound: { trustedHops } }: Model): InboundCall {
  sanitize(received);
  const { authority, target } = addressOf(received, hostOf(received.rawHeaders), settings.pathNormalization);
  const direct = connection.remoteAddress;
  const client = trustedHops === 0 ? direct : clientAddress(linesOf(received.rawHeaders, 'x-forwarded-for'), trustedHops, direct);
  return new InboundCall(received, authority, target, { connection, clientAddress: client, claims: undefined, policy: '' });
}

function hostOf(rawHeaders: readonly string[]): string | undefined {
  for (let at = 0; at < rawHeaders.length; at += 2) if (isName(rawHeaders[at]!, 'host')) return rawHeaders[at + 1];
  return undefined;
}

function linesOf(raw: readonly string[], name: string): readonly string[] {
  const values: string[] = [];
  for (let at = 0; at < raw.length; at += 2) if (isName(raw[at]!, name)) values.push(raw[at + 1]!);
  return values;
}

/** What must stand once: of two, we and those behind us might each read another (request smuggling, Envoy's header checks). */
const SINGLE: ReadonlySet<string> = new Set(['host', 'authorization', 'content-length', 'x-inmesh-identity', 'x-inmesh-deadline']);

/** What only the mesh itself may say. A client's word would be taken for its. */
function isOurs(name: string): boolean {
  if (name.startsWith('x-envoy-') || name === 'x-forwarded-client-cert') return true;
  return name.startsWith('x-inmesh-') && name !== 'x-inmesh-deadline' && name !== 'x-inmesh-identity';
}

/**
 * Refuses what can be read in two ways, and takes away header lines that nobody outside may set, or that a careless program
 * takes for others (`x_user` for `x-user`, as nginx does). In place: the program behind us must see what rules saw.
 */
function sanitize(received: Received): void {
  const { rawHeaders } = received;
  let seen: string[] | undefined;
  let kept = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!.toLowerCase();
    if (isOurs(name) || name.includes('_')) continue;
    if (SINGLE.has(name)) {
      if (seen?.includes(name) === true) throw bad(`header ${name} stands twice`);
      (seen ??= []).push(name);
    }
    if (kept !== at) {
      rawHeaders[kept] = rawHeaders[at]!;
      rawHeaders[kept + 1] = rawHeaders[at + 1]!;
    }
    kept += 2;
  }
  rawHeaders.length = kept;
}

/** A host name or an address, with a port or without; no user, no path. */
const AUTHORITY = /^(?:[A-Za-z0-9\-._~%!$&'()*+,;=]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
const ABSOLUTE = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)(.*)$/;

interface Address {
  readonly authority: string;
  readonly target: Target;
}

/** Whom a request is for, and its path as rules and routers shall see it. Throws a refusal with status 400. */
function addressOf(received: Received, host: string | undefined, mode: PathNormalization): Address {
  const { method, target } = received;
  if (method === 'CONNECT') return { authority: checked(target), target: { path: '', query: '' } };
  const absolute = ABSOLUTE.exec(target);
  const named = received.authority ?? absolute?.[2];
  // RFC 9112 §3.2.2: the target's authority holds. A Host that says otherwise is for somebody else's eyes.
  if (named !== undefined && host !== undefined && named.toLowerCase() !== host.toLowerCase())
    throw bad(`the request is for ${named}, its Host is ${host}`);
  const authority = checked(named ?? host);
  if (target === '*') return { authority, target: { path: '*', query: '' } };
  if (absolute === null && !target.startsWith('/') && target !== '') throw bad('the request target is no path');
  const normalized = normalizeTarget(absolute === null ? target : absolute[3]!, mode);
  if (normalized === undefined) throw bad('the path holds a NUL');
  return { authority, target: normalized };
}

function checked(authority: string | undefined): string {
  if (authority === undefined || authority === '') throw bad('the request has no Host');
  if (!AUTHORITY.test(authority)) throw bad(`"${authority.slice(0, 80)}" is no host`);
  return authority;
}

/** Never retried, never for the program: nobody can say what was meant. */
function bad(why: string): MeshError {
  return new MeshError('BAD_REQUEST', `bad request: ${why}`, {
    answer: { body: 'Bad Request', headers: [['connection', 'close']] },
  });
}

/** The client behind `hops` trusted proxies, each of which added its peer's address; the TCP peer where they did not. */
function clientAddress(forwardedFor: readonly string[], hops: number, peer: string): string {
  const addresses = forwardedFor.join(',').split(',').map((address) => address.trim()).filter((address) => address !== ''); // prettier-ignore
  return addresses.at(-hops) ?? peer;
}
