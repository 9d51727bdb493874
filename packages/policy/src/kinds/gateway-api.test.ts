import { describe, expect, it } from 'vitest';
import { documentOf, judge, named, resource, type Row } from '../testing/problems.ts';
import { isKind } from './index.ts';

const parentRefs = [{ group: '', kind: 'Service', name: 'reviews' }];
const backend = { name: 'reviews', port: 80 };
const rule = (one: object): object => ({ parentRefs, rules: [{ backendRefs: [backend], ...one }] });
const match = (one: object): object => rule({ matches: [one] });
const filter = (...filters: object[]): object => rule({ filters });
const cors = (given: object): object => ({ type: 'CORS', cors: given });
const alone = (...filters: object[]): object => ({ parentRefs, rules: [{ filters }] });
const prefix = { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' } };

const httpRoutes: readonly Row[] = [
  ['a rule', rule({}), null],
  ['no rules', { parentRefs }, null],
  ['empty rules', { parentRefs, rules: [] }, 'spec.rules', /empty/],
  ['17 rules', { parentRefs, rules: Array.from({ length: 17 }, () => ({})) }, 'spec.rules', /16/],
  ['129 matches', { parentRefs, rules: Array.from({ length: 3 }, () => ({ matches: Array.from({ length: 43 }, () => ({})) })) }, 'spec.rules', /129 matches/],
  ['65 matches', rule({ matches: Array.from({ length: 65 }, () => ({})) }), 'spec.rules[0].matches', /64/],
  ['a rule name twice', { parentRefs, rules: [{ name: 'a' }, { name: 'a' }] }, 'spec.rules[1].name', /twice/],
  ['a parent twice', { parentRefs: [...parentRefs, ...parentRefs] }, 'spec.parentRefs[1]', /twice/],
  ['a Gateway as parent', { parentRefs: [{ name: 'door' }] }, 'spec.parentRefs[0]', /no parent/, 'info'],
  ['hostnames', { parentRefs, hostnames: ['a.b'] }, 'spec.hostnames', /not honoured/, 'info'],
  ['a path without slash', match({ path: { value: 'a' } }), 'spec.rules[0].matches[0].path.value', /not a path/],
  ['a path with //', match({ path: { type: 'Exact', value: '/a//b' } }), 'spec.rules[0].matches[0].path.value', /not a path/],
  ['a path with /..', match({ path: { type: 'Exact', value: '/a/..' } }), 'spec.rules[0].matches[0].path.value', /not a path/],
  ['a path with a query', match({ path: { type: 'Exact', value: '/a?b' } }), 'spec.rules[0].matches[0].path.value', /not a path/],
  ['a path regex', match({ path: { type: 'RegularExpression', value: '(a' } }), 'spec.rules[0].matches[0].path.value', /RE2/],
  ['a header regex', match({ headers: [{ type: 'RegularExpression', name: 'x', value: '(?=a)' }] }), 'spec.rules[0].matches[0].headers[0].value', /RE2/],
  ['a query regex', match({ queryParams: [{ type: 'RegularExpression', name: 'x', value: '[' }] }), 'spec.rules[0].matches[0].queryParams[0].value', /RE2/],
  ['a header without name', match({ headers: [{ value: 'a' }] }), 'spec.rules[0].matches[0].headers[0].name', /required/],
  ['17 headers', match({ headers: Array.from({ length: 17 }, (_, index) => ({ name: `x${index}`, value: 'a' })) }), 'spec.rules[0].matches[0].headers', /16/],
  ['a header with an empty name', match({ headers: [{ name: '', value: 'a' }] }), 'spec.rules[0].matches[0].headers[0].name', /empty/],
  ['a method in small letters', match({ method: 'get' }), 'spec.rules[0].matches[0].method', /not one of/],

  ['a backend without port', rule({ backendRefs: [{ name: 'a' }] }), 'spec.rules[0].backendRefs[0].port', /needs a port/],
  ['a weight of a million and one', rule({ backendRefs: [{ ...backend, weight: 1_000_001 }] }), 'spec.rules[0].backendRefs[0].weight', /1000000/],
  ['17 backends', rule({ backendRefs: Array.from({ length: 17 }, () => backend) }), 'spec.rules[0].backendRefs', /16/],
  ['a backend of another kind', rule({ backendRefs: [{ ...backend, kind: 'Bucket' }] }), 'spec.rules[0].backendRefs[0].kind', /cannot be called/, 'warning'],

  ['a filter without its field', filter({ type: 'RequestHeaderModifier' }), 'spec.rules[0].filters[0].requestHeaderModifier', /needs/],
  ['a filter with another field', filter({ type: 'RequestHeaderModifier', requestHeaderModifier: {}, responseHeaderModifier: {} }), 'spec.rules[0].filters[0].responseHeaderModifier', /excludes/],
  ['a filter type that is none', filter({ type: 'Rewrite' }), 'spec.rules[0].filters[0].type', /not one of/],
  ['a filter type twice', filter({ type: 'URLRewrite', urlRewrite: {} }, { type: 'URLRewrite', urlRewrite: {} }), 'spec.rules[0].filters[1].type', /two filters/],
  ['cross-origin rules', filter(cors({ allowOrigins: ['https://*.a.test:8443', 'http://b.test'], allowMethods: ['GET', 'PUT'], allowHeaders: ['x-a'], allowCredentials: true })), null],
  ['cross-origin rules for any', filter(cors({ allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], exposeHeaders: ['*'] })), null],
  ['an origin without scheme', filter(cors({ allowOrigins: ['a.test'] })), 'spec.rules[0].filters[0].cors.allowOrigins[0]', /not an origin/],
  ['an origin with a path', filter(cors({ allowOrigins: ['https://a.test/'] })), 'spec.rules[0].filters[0].cors.allowOrigins[0]', /not an origin/],
  ['an origin with a star inside', filter(cors({ allowOrigins: ['https://a.*.test'] })), 'spec.rules[0].filters[0].cors.allowOrigins[0]', /not an origin/],
  ['an origin without host', filter(cors({ allowOrigins: ['https://'] })), 'spec.rules[0].filters[0].cors.allowOrigins[0]', /not an origin/],
  ['any origin beside one', filter(cors({ allowOrigins: ['*', 'https://a.test'] })), 'spec.rules[0].filters[0].cors.allowOrigins', /beside others/],
  ['a method in small letters', filter(cors({ allowMethods: ['get'] })), 'spec.rules[0].filters[0].cors.allowMethods[0]', /not an HTTP method/],
  ['a header of CORS that is none', filter(cors({ exposeHeaders: ['a b'] })), 'spec.rules[0].filters[0].cors.exposeHeaders[0]', /not a header name/],
  ['cross-origin rules on a backend', rule({ backendRefs: [{ ...backend, filters: [cors({})] }] }), 'spec.rules[0].backendRefs[0].filters[0]', /no effect/, 'warning'],
  ['17 filters', filter(...Array.from({ length: 17 }, () => ({ type: 'RequestMirror', requestMirror: { backendRef: backend } }))), 'spec.rules[0].filters', /16/],
  ['redirect beside backends', filter({ type: 'RequestRedirect', requestRedirect: {} }), 'spec.rules[0].backendRefs', /excludes/],
  ['redirect beside rewrite', alone({ type: 'RequestRedirect', requestRedirect: {} }, { type: 'URLRewrite', urlRewrite: {} }), 'spec.rules[0].filters', /excludes/],
  ['a redirect of 304', alone({ type: 'RequestRedirect', requestRedirect: { statusCode: 304 } }), 'spec.rules[0].filters[0].requestRedirect.statusCode', /301, 302/],
  ['a redirect on a backend', rule({ backendRefs: [{ ...backend, filters: [{ type: 'RequestRedirect', requestRedirect: {} }] }] }), 'spec.rules[0].backendRefs[0].filters', /not on a backendRef/],
  ['a path without its text', filter({ type: 'URLRewrite', urlRewrite: { path: { type: 'ReplaceFullPath' } } }), 'spec.rules[0].filters[0].urlRewrite.path.replaceFullPath', /needs/],
  ['a path with the other text', filter({ type: 'URLRewrite', urlRewrite: { path: { type: 'ReplaceFullPath', replaceFullPath: '/', replacePrefixMatch: '/' } } }), 'spec.rules[0].filters[0].urlRewrite.path.replacePrefixMatch', /excludes/],
  ['a prefix of an exact match', rule({ matches: [{ path: { type: 'Exact', value: '/a' } }], filters: [{ type: 'URLRewrite', urlRewrite: prefix }] }), 'spec.rules[0].filters[0].urlRewrite.path.type', /PathPrefix/],
  ['a prefix of a prefix', filter({ type: 'URLRewrite', urlRewrite: prefix }), null],
  ['percent beside fraction', filter({ type: 'RequestMirror', requestMirror: { backendRef: backend, percent: 1, fraction: { numerator: 1 } } }), 'spec.rules[0].filters[0].requestMirror.fraction', /excludes/],
  ['more than all', filter({ type: 'RequestMirror', requestMirror: { backendRef: backend, fraction: { numerator: 101 } } }), 'spec.rules[0].filters[0].requestMirror.fraction.numerator', /more than all/],
  ['a header set twice', filter({ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'A', value: 'b' }, { name: 'a', value: 'b' }] } }), 'spec.rules[0].filters[0].requestHeaderModifier.set[1].name', /twice/],
  ['an extension', filter({ type: 'ExtensionRef', extensionRef: { group: 'a', kind: 'b', name: 'c' } }), 'spec.rules[0].filters[0].extensionRef', /not honoured/, 'info'],

  ['timeouts', rule({ timeouts: { request: '10s', backendRequest: '2s' } }), null],
  ['no timeout for the call, one for the try', rule({ timeouts: { request: '0s', backendRequest: '2s' } }), null],
  ['a try longer than the call', rule({ timeouts: { request: '1s', backendRequest: '2s' } }), 'spec.rules[0].timeouts.backendRequest', /longer/],
  ['half a second, which GEP-2257 has not', rule({ timeouts: { request: '0.5s' } }), 'spec.rules[0].timeouts.request', /not a duration/],
  ['a retry of 399', rule({ retry: { codes: [399] } }), 'spec.rules[0].retry.codes[0]', /400 to 599/],
  ['retry attempts 0', rule({ retry: { attempts: 0 } }), 'spec.rules[0].retry.attempts', /0 is not/],
  ['a session', rule({ sessionPersistence: { sessionName: 'a' } }), 'spec.rules[0].sessionPersistence', /not honoured/, 'info'],
  ['a header session with a cookie', rule({ sessionPersistence: { type: 'Header', header: { name: 'a' }, cookie: {} } }), 'spec.rules[0].sessionPersistence.cookie', /excludes/],
  ['a header session without a header', rule({ sessionPersistence: { type: 'Header' } }), 'spec.rules[0].sessionPersistence.header', /needs header/],
  ['a cookie session without a cookie', rule({ sessionPersistence: { absoluteTimeout: '1h' } }), 'spec.rules[0].sessionPersistence.cookie', /needs cookie/],
  ['a cookie session of an older release', rule({ sessionPersistence: { cookieConfig: {} } }), 'spec.rules[0].sessionPersistence', /not honoured/, 'info'],
  ['a permanent cookie', rule({ sessionPersistence: { cookie: { lifetimeType: 'Permanent' } } }), 'spec.rules[0].sessionPersistence.absoluteTimeout', /needs/],
]; // prettier-ignore

const grpcRoutes: readonly Row[] = [
  ['a rule', match({ method: { service: 'a.B', method: 'Get' } }), null],
  ['a method of nothing', match({ method: {} }), 'spec.rules[0].matches[0].method.service', /neither/],
  ['a service that is none', match({ method: { service: 'a-b' } }), 'spec.rules[0].matches[0].method.service', /not the name of a service/],
  ['a method regex', match({ method: { type: 'RegularExpression', method: '(' } }), 'spec.rules[0].matches[0].method.method', /RE2/],
  ['17 rules', { parentRefs, rules: Array.from({ length: 17 }, () => ({})) }, 'spec.rules', /16/],
  ['65 matches', rule({ matches: Array.from({ length: 65 }, () => ({})) }), 'spec.rules[0].matches', /64/],
  ['17 backends', rule({ backendRefs: Array.from({ length: 17 }, () => backend) }), 'spec.rules[0].backendRefs', /16/],
  ['a rule name twice', { parentRefs, rules: [{ name: 'a' }, { name: 'a' }] }, 'spec.rules[1].name', /twice/],
  ['a header regex', match({ headers: [{ type: 'RegularExpression', name: 'x', value: '(' }] }), 'spec.rules[0].matches[0].headers[0].value', /RE2/],
  ['a redirect', filter({ type: 'RequestRedirect' }), 'spec.rules[0].filters[0].type', /not one of/],
  ['a backend without port', rule({ backendRefs: [{ name: 'a' }] }), 'spec.rules[0].backendRefs[0].port', /needs a port/],
]; // prettier-ignore

const validation = { hostname: 'a.b', wellKnownCACertificates: 'System' };
const targetRefs = [{ kind: 'Service', name: 'reviews' }];

const tlsPolicies: readonly Row[] = [
  ['a policy', { targetRefs, validation }, null],
  ['no authority', { targetRefs, validation: { hostname: 'a.b' } }, 'spec.validation.caCertificateRefs', /neither/],
  ['two authorities', { targetRefs, validation: { ...validation, caCertificateRefs: [{ kind: 'Secret', name: 'ca' }] } }, 'spec.validation.wellKnownCACertificates', /excludes/],
  ['a missing ConfigMap', { targetRefs, validation: { hostname: 'a.b', caCertificateRefs: [{ kind: 'ConfigMap', name: 'ca' }] } }, 'spec.validation.caCertificateRefs[0].name', /no ConfigMap/, 'warning'],
  ['a wildcard', { targetRefs, validation: { ...validation, hostname: '*.b' } }, 'spec.validation.hostname', /not a host name/],
  ['no hostname', { targetRefs, validation: { wellKnownCACertificates: 'System' } }, 'spec.validation.hostname', /required/],
  ['a SAN without its name', { targetRefs, validation: { ...validation, subjectAltNames: [{ type: 'URI' }] } }, 'spec.validation.subjectAltNames[0].uri', /needs uri/],
  ['a host SAN without its name', { targetRefs, validation: { ...validation, subjectAltNames: [{ type: 'Hostname' }] } }, 'spec.validation.subjectAltNames[0].hostname', /needs hostname/],
  ['a host SAN with a URI', { targetRefs, validation: { ...validation, subjectAltNames: [{ type: 'Hostname', hostname: 'a', uri: 'b' }] } }, 'spec.validation.subjectAltNames[0].uri', /excludes/],
  ['a URI SAN with a host', { targetRefs, validation: { ...validation, subjectAltNames: [{ type: 'URI', hostname: 'a', uri: 'b' }] } }, 'spec.validation.subjectAltNames[0].hostname', /excludes/],
  ['six SANs', { targetRefs, validation: { ...validation, subjectAltNames: Array.from({ length: 6 }, () => ({ type: 'Hostname', hostname: 'a' })) } }, 'spec.validation.subjectAltNames', /more than 5/],
]; // prettier-ignore

describe('HTTPRoute', () => {
  it.each(named(httpRoutes))('judges $name', ({ row }) => judge('HTTPRoute', row));

  it('fills what the CRD would default', () => {
    const [route] = documentOf(resource('HTTPRoute', { parentRefs })).resources.filter(isKind('HTTPRoute'));
    expect(route?.spec.rules).toMatchObject([
      { matches: [{ path: { type: 'PathPrefix', value: '/' }, headers: [], queryParams: [] }], backendRefs: [], filters: [] },
    ]);
    const [redirect] = documentOf(resource('HTTPRoute', alone({ type: 'RequestRedirect', requestRedirect: {} }))).resources.filter(
      isKind('HTTPRoute'),
    );
    expect(redirect?.spec.rules[0]?.filters[0]?.requestRedirect?.statusCode).toBe(302);
    const [weighted] = documentOf(resource('HTTPRoute', rule({}))).resources.filter(isKind('HTTPRoute'));
    expect(weighted?.spec.rules[0]?.backendRefs[0]).toMatchObject({ group: '', kind: 'Service', weight: 1 });
  });
});

describe('GRPCRoute', () => {
  it.each(named(grpcRoutes))('judges $name', ({ row }) => judge('GRPCRoute', row));
});

describe('BackendTLSPolicy', () => {
  it.each(named(tlsPolicies))('judges $name', ({ row }) => judge('BackendTLSPolicy', row));
});

describe('TCPRoute and TLSRoute', () => {
  it.each(['TCPRoute', 'TLSRoute'])('%s is checked and said to be not honoured yet', (kind) => {
    judge(kind, ['a route', { parentRefs, rules: [{ backendRefs: [backend] }] }, 'kind', /not honoured yet/, 'info']);
    judge(kind, ['no backends', { parentRefs, rules: [{}] }, 'spec.rules[0].backendRefs', /required/]);
  });
});
