import type { Attribute, AuthorizationPolicy, AuthorizationRule, Condition } from '@inmesh/policy';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Call } from '../call.ts';
import type { Peer } from '../peer.ts';
import { testCall } from '../testing/exchange.ts';
import { testPeer } from '../testing/peer.ts';
import { compileAuthorization, decide, decideConnection, firstMatch } from './authorization.ts';

/**
 * A second evaluator, written from the sentences of Istio's documentation and with its regular expressions, slow and
 * with nothing in common with the one that serves. Both must say the same of every call.
 */

type Values = readonly string[];

const escape = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
const regex = (text: string): RegExp => new RegExp(`^(?:${text})$`, 's');
/** Exact, `prefix*`, `*suffix`, `*`. */
function text(pattern: string): RegExp {
  if (pattern === '*') return regex('.*');
  if (pattern.startsWith('*')) return regex(`.*${escape(pattern.slice(1))}`);
  return pattern.endsWith('*') ? regex(`${escape(pattern.slice(0, -1))}.*`) : regex(escape(pattern));
}
const glob = (pattern: string): string => pattern.split('*').map(escape).join('.*');

function template(pattern: string, wide: boolean): RegExp {
  const narrow = String.raw`A-Za-z0-9\-._~%!$&'()+,;:@=*`;
  const [one, many] = wide ? ['[^/]+', '.*'] : [`[${narrow}]+`, `[${narrow}/]*`];
  return regex(pattern.split(/(\{\*\*?\})/).map((part) => (part === '{*}' ? one : part === '{**}' ? many : escape(part))).join('')); // prettier-ignore
}

const ip = (address: string): number => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
function inRange(range: string, address: string): boolean {
  const [base = '', bits = '32'] = range.split('/');
  const size = 2 ** (32 - Number(bits));
  return Math.floor(ip(base) / size) === Math.floor(ip(address) / size);
}

/** Does `value` (a pattern of the policy) hit, looking as wide as a rule that must not be slipped past does? */
function hits({ name, ...of }: Attribute, value: string, wide: boolean, call: Call, peer: Peer): boolean {
  const { connection, claims, clientAddress } = peer;
  const uri = connection.principal?.uri;
  switch (name) {
    case 'host': {
      const written = call.authority.toLowerCase();
      const plain = (host: string): string => host.toLowerCase().replace(/\.(:\d+)?$/, '$1');
      return text(plain(value)).test(plain(written)) || (wide && text(value.toLowerCase()).test(written));
    }
    case 'method':
      return text(value).test(call.method);
    case 'path':
      if (value === '*') return call.path.length > 0;
      return (value.includes('{') ? template(value, wide) : text(value)).test(call.path);
    case 'destination.port':
      return Number(value) === connection.localPort;
    case 'source.ip':
      return inRange(value, connection.remoteAddress);
    case 'remote.ip':
      return inRange(value, clientAddress);
    case 'source.principal':
      if (uri === undefined) return false;
      return value === '*' || (value.startsWith('*') ? regex(`spiffe://.*${escape(value.slice(1))}`) : text(`spiffe://${value}`)).test(uri);
    case 'source.namespace':
      return uri !== undefined && regex(`.*/ns/${glob(value)}/sa/[^/]*`).test(uri);
    case 'source.serviceAccount': {
      const [namespace = '', account = ''] = value.split('/');
      return uri !== undefined && regex(`spiffe://.+/ns/${escape(namespace)}/(.+/)?sa/${escape(account)}(/.+)?`).test(uri);
    }
    case 'source.trustDomain':
      return uri !== undefined && regex(`spiffe://${value.split('*').map(escape).join('[^/]*')}/.*`).test(uri);
    case 'request.auth.principal': {
      const { iss, sub } = claims ?? {};
      if (typeof iss !== 'string' || typeof sub !== 'string') return false;
      const slash = value.lastIndexOf('/');
      const [issuer, subject] = slash < 0 ? [value, undefined] : [value.slice(0, slash), value.slice(slash + 1)];
      if (value === '*') return iss !== '' && sub !== '';
      if (value.startsWith('*') && subject === undefined) return iss !== '' && sub.endsWith(value.slice(1));
      if (value.startsWith('*')) return iss.endsWith(issuer.slice(1)) && iss !== '' && sub === subject;
      if (value.endsWith('*') && subject !== undefined)
        return iss === issuer && sub.startsWith(subject.slice(0, -1)) && (subject !== '*' || sub !== '');
      if (value.endsWith('*')) return iss.startsWith(value.slice(0, -1)) && sub !== '';
      return iss === issuer && sub === (subject ?? '');
    }
    case 'request.auth.audiences': {
      const { aud } = claims ?? {};
      return (Array.isArray(aud) ? aud : [aud]).some((one) => typeof one === 'string' && text(value).test(one));
    }
    case 'connection.sni':
      return connection.sni !== undefined && text(value).test(connection.sni);
    default:
      // Only headers are left, and those are compared line by line in `holds`.
      throw new Error(`${name} ${JSON.stringify(of)} is not drawn`);
  }
}

function holds({ attribute, values, notValues }: Condition, denies: boolean, call: Call, peer: Peer): boolean {
  const any = (wanted: Values, wide: boolean): boolean => {
    if (attribute.name !== 'request.headers') return wanted.some((value) => hits(attribute, value, wide, call, peer));
    const lines = call.headerValues(attribute.header).map((line) => line.trim());
    const hit = (line: string): boolean => wanted.some((value) => text(value).test(line));
    if (!wide) return lines.length > 0 && lines.every(hit);
    return (
      lines.length > 0 && [...lines, lines.join(','), ...lines.flatMap((line) => line.split(',').map((part) => part.trim()))].some(hit)
    );
  };
  return (values.length === 0 || any(values, denies)) && (notValues.length === 0 || !any(notValues, !denies));
}

const HTTP_ONLY: Values = ['host', 'method', 'path', 'request.headers', 'request.auth.principal', 'request.auth.audiences'];
const conditionsOf = ({ from, to, when }: AuthorizationRule): readonly Condition[] => [...from.flat(), ...to.flat(), ...when];

function verdict(policies: readonly AuthorizationPolicy[], call: Call, peer: Peer, tcp: boolean): string {
  const matches = ({ action, rules }: AuthorizationPolicy): boolean => {
    const denies = action !== 'ALLOW';
    const aside = ({ attribute }: Condition): boolean => tcp && HTTP_ONLY.includes(attribute.name);
    const all = (conditions: readonly Condition[]): boolean => conditions.every((one) => aside(one) || holds(one, denies, call, peer));
    return rules
      .filter((rule) => denies || !conditionsOf(rule).some(aside))
      .some(({ from, to, when }) => (from.length === 0 || from.some(all)) && (to.length === 0 || to.some(all)) && all(when));
  };
  const enforced = policies.filter(({ dryRun }) => !dryRun);
  const of = (action: AuthorizationPolicy['action']): readonly AuthorizationPolicy[] =>
    enforced.filter((policy) => policy.action === action);
  if (of('CUSTOM').some(matches)) return 'custom';
  if (of('DENY').some(matches)) return 'deny';
  return of('ALLOW').length === 0 || of('ALLOW').some(matches) ? 'allow' : 'none';
}

// ---- what is drawn ---------------------------------------------------------------------------------------------------------

const pick = (...values: string[]) => fc.constantFrom(...values);
const POOLS: readonly (readonly [Attribute['name'], fc.Arbitrary<string>])[] = [
  ['host', pick('a.b', 'A.b', 'a.b.', 'a.b:80', 'a.b:*', '*.b', '*', 'a.*', 'x.y')],
  ['method', pick('GET', 'get', 'P*', '*T', '*', 'HEAD')],
  ['path', pick('/a', '/a*', '*b', '*', '/a*b', '/{*}', '/a/{*}', '/{**}', '/a/{**}/b', '/{*}/b')],
  ['destination.port', pick('80', '8080', '9')],
  ['source.ip', pick('10.0.0.1', '10.0.0.0/8', '0.0.0.0/0', '192.0.2.0/24', '10.0.0.2/31')],
  ['remote.ip', pick('10.0.0.1', '10.0.0.0/8', '192.0.2.7')],
  ['source.principal', pick('td/ns/a/sa/b', 'td/*', '*/sa/b', '*', 'td/ns/a.*', 'td/ns/a/sa/*', '*b')],
  ['source.namespace', pick('a', 'a*', '*b', '*', 'a.b', 'a*b', 'b*b', 'ns')],
  ['source.serviceAccount', pick('a/b', 'a.b/b', 'axb/b', 'b/a', 'a/b.c')],
  ['source.trustDomain', pick('td', 't*', '*d', '*', 'other', 't.d')],
  ['request.auth.principal', pick('*', 'i/s', '*s', 'i/*', 'i*', '*i/s', '*/s', 'i', 'i/s*', 'x/i/s')],
  ['request.auth.audiences', pick('a', 'b*', '*', '*c')],
  ['connection.sni', pick('a.b', '*.b', '*', 'x')],
  ['request.headers', pick('a', 'a*', '*b', '*', 'a,b', 'b')],
];
const condition: fc.Arbitrary<Condition> = fc
  .constantFrom(...POOLS)
  .chain(([name, pool]) => fc.record({
    attribute: fc.constant((name === 'request.headers' ? { name, header: 'x' } : { name }) as Attribute),
    values: fc.array(pool, { maxLength: 3 }),
    notValues: fc.array(pool, { maxLength: 2 }),
  }))
  .filter(({ values, notValues }) => values.length + notValues.length > 0); // prettier-ignore
const alternatives = fc.array(fc.array(condition, { minLength: 1, maxLength: 2 }), { maxLength: 2 });
const rule: fc.Arbitrary<AuthorizationRule> = fc.record({
  from: alternatives,
  to: alternatives,
  when: fc.array(condition, { maxLength: 1 }),
});
const policies: fc.Arbitrary<AuthorizationPolicy[]> = fc.array(
  fc.record({
    namespace: fc.constant('n'),
    name: fc.constant('p'),
    provider: fc.constant(''),
    action: fc.constantFrom('ALLOW', 'ALLOW', 'DENY', 'AUDIT', 'CUSTOM'),
    dryRun: fc.boolean(),
    rules: fc.array(rule, { maxLength: 2 }),
  }).map((one) => ({ ...one, dryRun: one.dryRun && (one.action === 'ALLOW' || one.action === 'DENY') })),
  { maxLength: 4 },
); // prettier-ignore
const asked = fc
  .record({
    authority: pick('a.b', 'A.B', 'a.b.', 'a.b:80', 'a.b.:80', 'x.y'),
    method: pick('GET', 'POST', 'get', 'HEAD'),
    path: pick('/', '/a', '/a/b', '/a//b', '/ab', '/a*b', '/a/[x]/b', '/a/é', '/a/x/y/b'),
    x: fc.array(pick('a', 'b', 'ab', 'a,b', ' a ', 'b, a', ''), { maxLength: 3 }),
    principal: fc.option(pick('td/ns/a/sa/b', 'td/ns/a.b/sa/b', 'td/ns/axb/sa/b', 'other/ns/b/sa/a', 't.d/ns/ns/sa/b.c')),
    claims: fc.option(fc.record({ iss: fc.constantFrom<unknown>('i', 'xi', 'x/i', '', 1), sub: fc.constantFrom<unknown>('s', '', 'ss', null), aud: fc.constantFrom<unknown>('a', ['x', 'bc'], 7, [1]) })),
    sni: fc.option(pick('a.b', 'x')),
    localPort: fc.constantFrom(80, 8080),
    remoteAddress: pick('10.0.0.1', '10.0.0.3', '192.0.2.7'),
    clientAddress: pick('10.0.0.1', '192.0.2.7'),
  })
  .map(({ authority, method, path, x, principal, claims, sni, ...peer }) => ({
    call: testCall({ authority, method, path, headers: x.length === 0 ? {} : { x } }),
    peer: testPeer({ ...peer, ...(principal === null ? {} : { principal }), ...(claims === null ? {} : { claims }), ...(sni === null ? {} : { sni }) }),
  })); // prettier-ignore

it('of a request both evaluators say the same', () => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(policies, asked, (given, { call, peer }) => {
      const { custom, deny, allow } = compileAuthorization(given);
      const decided = decide(deny, allow, call, peer);
      const said =
        firstMatch(custom, call, peer) !== undefined ? 'custom' : decided.allowed ? 'allow' : decided.rule === '' ? 'none' : 'deny';
      seen.set(said, (seen.get(said) ?? 0) + 1);
      return said === verdict(given, call, peer, false);
    }),
    { numRuns: 10_000 },
  );
  for (const said of ['allow', 'deny', 'none', 'custom']) expect(seen.get(said) ?? 0, said).toBeGreaterThan(200);
});

it('of every single condition both evaluators say the same', () => {
  fc.assert(
    fc.property(condition, fc.boolean(), asked, (one, denies, { call, peer }) => {
      const only: AuthorizationPolicy = { namespace: 'n', name: 'p', provider: '', dryRun: false, action: denies ? 'DENY' : 'ALLOW', rules: [{ from: [], to: [], when: [one] }] };
      const { deny, allow } = compileAuthorization([only]);
      return (firstMatch(denies ? deny : allow!, call, peer) !== undefined) === holds(one, denies, call, peer);
    }),
    { numRuns: 10_000 },
  ); // prettier-ignore
});

it('of a TCP connection both evaluators say the same', () => {
  fc.assert(
    fc.property(policies, asked, (given, { call, peer }) => {
      const { allowed } = decideConnection(compileAuthorization(given, 'tcp'), peer);
      return allowed === (verdict(given, call, peer, true) === 'allow');
    }),
    { numRuns: 10_000 },
  );
});
