import type { Attribute, Condition } from '@inmesh/policy';
import type { Call } from '../call.ts';
import { addressBytes, compileCidr } from '../match/cidr.ts';
import type { Claims, Peer, Principal } from '../peer.ts';
import { compilePathTemplate, isPathTemplate } from './path-template.ts';

/** Is it so of this call? Never throws, whatever was sent. */
export type Predicate = (call: Call, peer: Peer) => boolean;

/**
 * How to look where one look is not like another (several header lines, odd characters in a path): a rule that denies must
 * see too much rather than too little, a rule that allows the other way round, and `notValues` the opposite of `values`.
 */
type Look = 'wide' | 'narrow';

/**
 * A condition of an AuthorizationPolicy (Istio security v1 semantics): one of `values`, none of `notValues`. An attribute
 * that is missing fails the first and passes the second.
 */
export function compileCondition({ attribute, values, notValues }: Condition, denies: boolean): Predicate {
  const has = values.length === 0 ? undefined : compileAttribute(attribute, values, denies ? 'wide' : 'narrow');
  const hasNot = notValues.length === 0 ? undefined : compileAttribute(attribute, notValues, denies ? 'narrow' : 'wide');
  if (hasNot === undefined) return has ?? (() => true);
  if (has === undefined) return (call, peer) => !hasNot(call, peer);
  return (call, peer) => has(call, peer) && !hasNot(call, peer);
}

/** Attributes that only requests have: rules over them mean something else to a TCP connection. */
export function isHttpOnly({ name }: Attribute): boolean {
  return name === 'host' || name === 'method' || name === 'path' || name.startsWith('request.');
}

type Text = (value: string) => boolean;

function compileAttribute(attribute: Attribute, values: readonly string[], look: Look): Predicate {
  switch (attribute.name) {
    case 'host':
      return hostIs(values, look);
    case 'method': {
      const matches = oneOf(values);
      return ({ method }) => matches(method);
    }
    case 'path': {
      const matches = oneOf(values, (value) => compilePath(value, look));
      return ({ path }) => matches(path);
    }
    case 'destination.port': {
      const ports = new Set(values.map(Number));
      return (_, { connection }) => ports.has(connection.localPort);
    }
    case 'destination.ip':
      return addressIs(values, look, ({ connection }) => connection.localAddress);
    case 'source.ip':
      return addressIs(values, look, ({ connection }) => connection.remoteAddress);
    case 'remote.ip':
      return addressIs(values, look, ({ clientAddress }) => clientAddress);
    case 'source.principal':
      // Written without a scheme; a suffix may begin anywhere behind it (CVE-2020-16844).
      return principalIs(oneOf(values), ({ uri }) => uri.slice(SCHEME.length));
    case 'source.namespace':
      return principalIs(oneOf(values, compileGlob), ({ namespace }) => namespace);
    case 'source.serviceAccount': {
      const accounts = new Set(values);
      return principalIs(
        (account) => accounts.has(account),
        ({ namespace, serviceAccount }) => `${namespace}/${serviceAccount}`,
      );
    }
    case 'source.trustDomain':
      return principalIs(oneOf(values, compileGlob), ({ trustDomain }) => trustDomain);
    case 'request.auth.principal': {
      const matches = values.map(compileRequestPrincipal);
      return (_, { claims }) => claims !== undefined && matches.some((one) => one(claims['iss'], claims['sub']));
    }
    case 'request.auth.audiences':
      return claimIs(['aud'], values);
    case 'request.auth.presenter':
      return claimIs(['azp'], values);
    case 'request.auth.claims':
      return claimIs(attribute.claim, values);
    case 'request.headers':
      return headerIs(attribute.header, values, look);
    case 'connection.sni': {
      const matches = oneOf(values);
      return (_, { connection }) => connection.sni !== undefined && matches(connection.sni);
    }
    case 'experimental.envoy.filters':
      return () => false;
  }
}

const SCHEME = 'spiffe://';

/** `*` present, `*suffix`, `prefix*`, or the whole value; a `*` elsewhere is a star (Istio matcher.StringMatcher). */
function compileText(value: string): Text {
  if (value === '*') return () => true;
  if (value.startsWith('*')) {
    const tail = value.slice(1);
    return (text) => text.endsWith(tail);
  }
  if (value.endsWith('*')) {
    const head = value.slice(0, -1);
    return (text) => text.startsWith(head);
  }
  return exactly(value);
}

const exactly =
  (wanted: string): Text =>
  (value) =>
    value === wanted;

/** Values without a star stand for themselves whatever they are written for: those are looked up, the others tried. */
function oneOf(values: readonly string[], compile: (value: string) => Text = compileText): Text {
  const [plain, patterns] = [values.filter((value) => !value.includes('*')), values.filter((value) => value.includes('*')).map(compile)];
  // Most have one value, and all of this is asked of every call.
  const [only] = patterns;
  if (only === undefined) return plain.length === 1 ? exactly(plain[0]!) : among(plain);
  if (patterns.length === 1 && plain.length === 0) return only;
  const known = among(plain);
  return (value) => {
    if (plain.length > 0 && known(value)) return true;
    for (const matches of patterns) if (matches(value)) return true;
    return false;
  };
}

function among(values: readonly string[]): Text {
  const known = new Set(values);
  return (value) => known.has(value);
}

function compilePath(value: string, look: Look): Text {
  if (value === '*') return (path) => path !== '';
  return isPathTemplate(value) ? compilePathTemplate(value, look === 'wide') : compileText(value);
}

/**
 * With its port, as Istio compares it, case-insensitively. `secret.com.` is `secret.com` spelled out: the dot is not
 * part of the name, neither in the call nor in the rule. A rule that denies also looks at what was written.
 */
function hostIs(values: readonly string[], look: Look): Predicate {
  const written = values.map((value) => value.toLowerCase());
  const matches = oneOf([...written, ...written.map(withoutDot)]);
  return ({ authority }) => {
    if (authority === '') return false;
    const host = authority.toLowerCase();
    return matches(withoutDot(host)) || (look === 'wide' && matches(host));
  };
}

const withoutDot = (host: string): string => (host.includes('.') ? host.replace(/\.(?=:\d*$|$)/, '') : host);

/** A range that is none: whoever must see too much sees everything in it (Istio: ALLOW skips the rule, DENY the constraint). */
function addressIs(ranges: readonly string[], look: Look, of: (peer: Peer) => string): Predicate {
  const inside = ranges.map((range) => compileCidr(range) ?? (() => look === 'wide'));
  return (_, peer) => {
    const address = addressBytes(of(peer));
    return address !== undefined && inside.some((range) => range(address));
  };
}

function principalIs(matches: Text, of: (principal: Principal) => string): Predicate {
  return (_, { principal }) => principal !== undefined && matches(of(principal));
}

/** `*` for any characters, wherever it stands; everything else stands for itself. */
function compileGlob(value: string): Text {
  const [first = '', ...parts] = value.split('*');
  const last = parts.pop();
  if (last === undefined) return exactly(value);
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    for (const part of parts) {
      const found = text.indexOf(part, at);
      if (found < 0 || found + part.length > text.length - last.length) return false;
      at = found + part.length;
    }
    return true;
  };
}

/** The value is split at its last slash into issuer and subject (Istio's requestPrincipals generator). Claims that are no text never match. */
function compileRequestPrincipal(value: string): (iss: unknown, sub: unknown) => boolean {
  const some: Text = (text) => text !== '';
  const both =
    (issuer: Text, subject: Text) =>
    (iss: unknown, sub: unknown): boolean =>
      typeof iss === 'string' && typeof sub === 'string' && issuer(iss) && subject(sub);
  if (value === '*') return both(some, some);
  const slash = value.lastIndexOf('/');
  const issuer = slash < 0 ? value : value.slice(0, slash);
  const subject = slash < 0 ? '' : value.slice(slash + 1);
  const orSome = (pattern: string): Text => (pattern === '*' ? some : compileText(pattern));
  if (value.startsWith('*')) return slash < 0 ? both(some, compileText(value)) : both(orSome(issuer), exactly(subject));
  if (value.endsWith('*')) return slash < 0 ? both(compileText(value), some) : both(exactly(issuer), orSome(subject));
  return both(exactly(issuer), exactly(subject));
}

/** A text, or a list with a text, that matches; numbers, booleans and objects never do. */
function claimIs(path: readonly string[], values: readonly string[]): Predicate {
  const matches = oneOf(values);
  const hit = (value: unknown): boolean => typeof value === 'string' && matches(value);
  return (_, { claims }) => {
    const value = claimAt(claims, path);
    return Array.isArray(value) ? value.some(hit) : hit(value);
  };
}

/** Walks into objects; own members only, since a token names them. */
export function claimAt(claims: Claims | undefined, path: readonly string[]): unknown {
  let at: unknown = claims;
  for (const name of path) {
    if (typeof at !== 'object' || at === null || Array.isArray(at) || !Object.hasOwn(at, name)) return undefined;
    at = (at as Claims)[name];
  }
  return at;
}

/**
 * Each line of a header is a value of its own (CVE-2020-25017, CVE-2026-26308: `user` and `admin` must not pass for
 * neither). Looking wide, one hit among lines, elements of a list, or all joined will do; looking narrow, every line must match.
 */
function headerIs(name: string, values: readonly string[], look: Look): Predicate {
  const matches = oneOf(values);
  const linesOf = readHeader(name);
  if (look === 'narrow') {
    return (call) => {
      const lines = linesOf(call);
      return lines.length > 0 && lines.every((line) => matches(withoutSpace(line)));
    };
  }
  return (call) => {
    const lines = linesOf(call);
    if (lines.length === 0) return false;
    // `trim` takes more than HTTP's spaces away, as a program behind us may.
    if (lines.some((line) => matches(withoutSpace(line)) || matches(line.trim()))) return true;
    const joined = lines.length === 1 ? lines[0]! : lines.map(withoutSpace).join(',');
    return joined.includes(',') && (matches(joined) || joined.split(',').some((element) => matches(element.trim())));
  };
}

/** Optional white space around a value is not part of it (RFC 9110 §5.5; CVE-2019-18802). No regex: a long run of spaces would cost its square. */
function withoutSpace(line: string): string {
  let [from, to] = [0, line.length];
  while (from < to && isSpace(line.charCodeAt(from))) from += 1;
  while (to > from && isSpace(line.charCodeAt(to - 1))) to -= 1;
  return from === 0 && to === line.length ? line : line.slice(from, to);
}

const isSpace = (code: number): boolean => code === 32 || code === 9;

/** The lines of a header. What HTTP/2 has pseudo headers for is in the call's own fields, and Envoy's rules may name it. */
export function readHeader(name: string): (call: Call) => readonly string[] {
  switch (name) {
    case 'host':
    case ':authority':
      return ({ authority }) => (authority === '' ? [] : [authority]);
    case ':method':
      return ({ method }) => [method];
    case ':scheme':
      return ({ scheme }) => [scheme];
    case ':path':
      return ({ path, query }) => [query === '' ? path : `${path}?${query}`];
    default:
      return (call) => call.headerValues(name);
  }
}
