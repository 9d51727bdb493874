import type { Attribute } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { type TestCall, testCall } from '../testing/exchange.ts';
import { type TestPeer, testPeer } from '../testing/peer.ts';
import { compileCondition } from './conditions.ts';

const named = (name: string): Attribute => ({ name }) as Attribute;
interface Asked {
  readonly attribute: Attribute;
  readonly values?: readonly string[];
  readonly notValues?: readonly string[];
}
const holds = (condition: Asked, call: TestCall = {}, peer: TestPeer = {}, denies = false) =>
  compileCondition({ values: [], notValues: [], ...condition }, denies)(testCall(call), testPeer(peer));
const is = (name: string, value: string, call: TestCall = {}, peer: TestPeer = {}) =>
  holds({ attribute: named(name), values: [value] }, call, peer);

const A = 'cluster.local/ns/foo/sa/bar';

describe('a value matches', () => {
  it.each<[string, string, TestCall, TestPeer, boolean]>([
    ['host', 'secret.com', { authority: 'Secret.com' }, {}, true],
    ['host', 'secret.com', { authority: 'secret.com:8080' }, {}, false],
    ['host', 'secret.com:*', { authority: 'secret.com:8080' }, {}, true],
    ['host', 'secret.com', { authority: 'secret.com.' }, {}, true],
    ['host', 'secret.com:80', { authority: 'secret.com.:80' }, {}, true],
    ['host', 'secret.com.', { authority: 'secret.com.' }, {}, true],
    ['host', 'secret.com.', { authority: 'secret.com' }, {}, true],
    ['host', '*.com', { authority: 'a.com' }, {}, true],
    ['host', '*.com.', { authority: 'a.com.' }, {}, true],
    ['host', 'SECRET.com', { authority: 'secret.com' }, {}, true],
    ['host', '*', { authority: '' }, {}, false],
    ['method', 'GET', { method: 'GET' }, {}, true],
    ['method', 'GET', { method: 'HEAD' }, {}, false],
    ['method', 'get', { method: 'GET' }, {}, false],
    ['method', '*', { method: 'M-SEARCH' }, {}, true],
    ['path', '/a', { path: '/a' }, {}, true],
    ['path', '/a', { path: '/A' }, {}, false],
    ['path', '/a/*', { path: '/a/b' }, {}, true],
    ['path', '*.txt', { path: '/a/b.txt' }, {}, true],
    ['path', '/a*b', { path: '/axb' }, {}, false],
    ['path', '*', { path: '' }, {}, false],
    ['path', '/x/{*}', { path: '/x/y' }, {}, true],
    ['destination.port', '8080', {}, { localPort: 8080 }, true],
    ['destination.port', '80', {}, { localPort: 8080 }, false],
    ['destination.ip', '10.0.0.0/24', {}, {}, true],
    ['source.ip', '10.0.0.9', {}, {}, true],
    ['source.ip', '10.0.0.9', {}, { remoteAddress: '::ffff:10.0.0.9' }, true],
    ['source.ip', '10.4.5.6', {}, { clientAddress: '10.4.5.6' }, false],
    ['remote.ip', '10.4.5.6', {}, { clientAddress: '10.4.5.6' }, true],
    ['source.principal', A, {}, { principal: A }, true],
    ['source.principal', '*/sa/bar', {}, { principal: A }, true],
    ['source.principal', 'cluster.local/ns/foo/*', {}, { principal: A }, true],
    ['source.principal', '*', {}, { principal: A }, true],
    ['source.principal', '*', {}, {}, false],
    ['source.principal', `spiffe://${A}`, {}, { principal: A }, false],
    ['source.namespace', 'foo', {}, { principal: A }, true],
    ['source.namespace', 'f*', {}, { principal: A }, true],
    ['source.namespace', '*o', {}, { principal: A }, true],
    ['source.namespace', 'f*o', {}, { principal: A }, true],
    ['source.namespace', 'fo*oo', {}, { principal: A }, false],
    ['source.namespace', 'f.o', {}, { principal: A }, false],
    ['source.serviceAccount', 'foo/bar', {}, { principal: A }, true],
    ['source.serviceAccount', 'foo/b.r', {}, { principal: A }, false],
    ['source.trustDomain', 'cluster.local', {}, { principal: A }, true],
    ['source.trustDomain', '*.local', {}, { principal: A }, true],
    ['source.trustDomain', '*', {}, {}, false],
    ['request.auth.principal', 'https://iss/sub', {}, { claims: { iss: 'https://iss', sub: 'sub' } }, true],
    ['request.auth.principal', '*', {}, { claims: { iss: 'i', sub: 's' } }, true],
    ['request.auth.principal', '*', {}, { claims: { iss: 'i' } }, false],
    ['request.auth.principal', '*', {}, { claims: { iss: 'i', sub: '' } }, false],
    ['request.auth.principal', 'iss/*', {}, { claims: { iss: 'iss', sub: 'any' } }, true],
    ['request.auth.principal', 'iss/adm*', {}, { claims: { iss: 'iss', sub: 'admin' } }, true],
    ['request.auth.principal', 'iss*', {}, { claims: { iss: 'issuer', sub: 'x' } }, true],
    ['request.auth.principal', '*uer/sub', {}, { claims: { iss: 'issuer', sub: 'sub' } }, true],
    ['request.auth.principal', '*/sub', {}, { claims: { iss: 'issuer', sub: 'sub' } }, true],
    ['request.auth.principal', '*min', {}, { claims: { iss: 'i', sub: 'admin' } }, true],
    ['request.auth.principal', 'iss', {}, { claims: { iss: 'iss', sub: 'x' } }, false],
    ['request.auth.principal', 'iss/1', {}, { claims: { iss: 'iss', sub: 1 } }, false],
    ['request.auth.audiences', 'a', {}, { claims: { aud: ['b', 'a'] } }, true],
    ['request.auth.audiences', 'a', {}, { claims: { aud: 'a' } }, true],
    ['request.auth.audiences', '1', {}, { claims: { aud: [1] } }, false],
    ['request.auth.presenter', 'p', {}, { claims: { azp: 'p' } }, true],
    ['connection.sni', '*.example.com', {}, { sni: 'a.example.com' }, true],
    ['connection.sni', '*', {}, {}, false],
  ])('%s %s', (name, value, call, peer, expected) => {
    expect(is(name, value, call, peer)).toBe(expected);
    // A rule that denies and one that allows agree wherever there is only one way to look.
    expect(holds({ attribute: named(name), values: [value] }, call, peer, true)).toBe(expected);
    expect(holds({ attribute: named(name), notValues: [value] }, call, peer)).toBe(!expected);
  });

  it('walks into claims by their own members only', () => {
    const claims = { 'a/b': { c: ['x', 2] }, flag: true };
    const at = (claim: string[], value: string) =>
      holds({ attribute: { name: 'request.auth.claims', claim }, values: [value] }, {}, { claims });
    expect(at(['a/b', 'c'], 'x')).toBe(true);
    expect(at(['a/b', 'c'], '2')).toBe(false);
    expect(at(['flag'], 'true')).toBe(false);
    expect(at(['__proto__', 'x'], '*')).toBe(false);
    expect(at(['constructor', 'name'], '*')).toBe(false);
  });

  it('knows no metadata of Envoy', () => {
    expect(holds({ attribute: { name: 'experimental.envoy.filters', key: 'a[b]' }, values: ['*'] })).toBe(false);
    expect(holds({ attribute: { name: 'experimental.envoy.filters', key: 'a[b]' }, notValues: ['*'] })).toBe(true);
  });
});

describe('what cannot be compared', () => {
  it('is seen by a rule that denies, and skips one that allows', () => {
    for (const name of ['source.ip', 'remote.ip', 'destination.ip']) {
      expect(holds({ attribute: named(name), values: ['10.0.0.0/99'] })).toBe(false);
      expect(holds({ attribute: named(name), values: ['10.0.0.0/99'] }, {}, {}, true)).toBe(true);
      expect(holds({ attribute: named(name), notValues: ['10.0.0.0/99'] })).toBe(false);
      expect(holds({ attribute: named(name), notValues: ['10.0.0.0/99'] }, {}, {}, true)).toBe(true);
    }
  });

  it('is never taken for a dot at the end of a prefix', () => {
    expect(holds({ attribute: named('host'), values: ['secret.com.*'] }, { authority: 'secret.com.:80' }, {}, true)).toBe(true);
  });
});

describe('a header', () => {
  const header = (name: string, value: string, call: TestCall, denies = false) =>
    holds({ attribute: { name: 'request.headers', header: name }, values: [value] }, call, {}, denies);

  it('that HTTP/2 has a pseudo header for is read where it stands', () => {
    const call = { authority: 'a.example', method: 'PUT', path: '/x', query: 'y=1', scheme: 'https' };
    for (const name of ['host', ':authority']) expect(header(name, 'a.example', call)).toBe(true);
    expect(header('host', '*', { authority: '' })).toBe(false);
    expect(header(':method', 'PUT', call)).toBe(true);
    expect(header(':scheme', 'https', call)).toBe(true);
    expect(header(':path', '/x?y=1', call)).toBe(true);
    expect(header(':path', '/x', { ...call, query: '' })).toBe(true);
  });

  it('does not hold the white space around its value', () => {
    expect(header('x', 'admin', { headers: { x: '\t admin ' } })).toBe(true);
    // A no-break space is no white space of HTTP; a program may trim it nevertheless.
    expect(header('x', 'admin', { headers: { x: 'admin\u00a0' } })).toBe(false);
    expect(header('x', 'admin', { headers: { x: 'admin\u00a0' } }, true)).toBe(true);
  });

  it('of a long run of spaces is no work', () => {
    const began = performance.now();
    header('x', 'admin', { headers: { x: `a${' '.repeat(200_000)}b` } });
    expect(performance.now() - began).toBeLessThan(500);
  });
});

describe('a header of several lines', () => {
  const role: Attribute = { name: 'request.headers', header: 'x-role' };
  const two = { headers: { 'x-role': ['user', 'admin'] } };
  const list = { headers: { 'x-role': 'user, admin' } };

  it('is seen whole by a rule that denies', () => {
    expect(holds({ attribute: role, values: ['admin'] }, two, {}, true)).toBe(true);
    expect(holds({ attribute: role, values: ['admin'] }, list, {}, true)).toBe(true);
    expect(holds({ attribute: role, values: ['user,admin'] }, two, {}, true)).toBe(true);
    expect(holds({ attribute: role, values: ['user,admin'] }, { headers: { 'x-role': [' user ', '\tadmin'] } }, {}, true)).toBe(true);
    // Denied unless every line is allowed.
    expect(holds({ attribute: role, notValues: ['user'] }, two, {}, true)).toBe(true);
    expect(holds({ attribute: role, notValues: ['user'] }, { headers: { 'x-role': 'user' } }, {}, true)).toBe(false);
  });

  it('must match in every line where a rule allows', () => {
    expect(holds({ attribute: role, values: ['admin'] }, two)).toBe(false);
    expect(holds({ attribute: role, values: ['admin', 'user'] }, two)).toBe(true);
    expect(holds({ attribute: role, notValues: ['admin'] }, two)).toBe(false);
    expect(holds({ attribute: role, notValues: ['admin'] }, list)).toBe(false);
  });

  it('that is not there matches nothing, and one that is empty is there', () => {
    expect(holds({ attribute: role, values: ['*'] })).toBe(false);
    expect(holds({ attribute: role, notValues: ['*'] })).toBe(true);
    expect(holds({ attribute: role, values: ['*'] }, { headers: { 'x-role': '' } })).toBe(true);
  });
});
