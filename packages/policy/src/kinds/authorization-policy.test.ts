import { describe, expect, it } from 'vitest';
import { judge, named, problemsOf, resource, type Row } from '../testing/problems.ts';

const R = 'spec.rules[0]';
const rule = (more: object, action = 'ALLOW'): object => ({
  action,
  ...(action === 'CUSTOM' && { provider: { name: 'p' } }),
  rules: [more],
});
const from = (source: object, action?: string): object => rule({ from: [{ source }] }, action);
const to = (operation: object, action?: string): object => rule({ to: [{ operation }] }, action);
const when = (condition: object, action?: string): object => rule({ when: [condition] }, action);
const path = (...paths: string[]): object => to({ paths });
const ref = (target: object): object => ({ targetRefs: [target], rules: [{}] });
const many = (count: number, item: unknown): unknown[] => Array.from({ length: count }, () => item);

const attachment: readonly Row[] = [
  ['an empty one, which allows nothing', {}, null],
  ['a selector', { selector: { matchLabels: { app: 'a' } }, rules: [{}] }, null],
  ['a target', ref({ kind: 'Service', name: 'a' }), 'spec.targetRefs', /not honoured/, 'info'],
  ['a target of old', { targetRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'a' }, rules: [{}] }, 'spec.targetRef', /not honoured/, 'info'],
  ['a target that cannot be one', ref({ kind: 'Pod', name: 'a' }), 'spec.targetRefs[0].kind', /cannot be attached/],
  ['a target named constructor', ref({ kind: 'constructor', name: 'a' }), 'spec.targetRefs[0].kind', /cannot be attached/],
  ['a target of the wrong group', ref({ group: 'apps', kind: 'Service', name: 'a' }), 'spec.targetRefs[0].group', /not the group/],
  ['a Gateway of Istio', ref({ group: 'networking.istio.io', kind: 'Gateway', name: 'a' }), 'spec.targetRefs[0].group', /not the group/],
  ['a target without name', ref({ kind: 'Service' }), 'spec.targetRefs[0].name', /required/],
  ['a target in another namespace', ref({ kind: 'Service', name: 'a', namespace: 'b' }), 'spec.targetRefs[0].namespace', /namespace of the policy/],
  ['17 targets', { targetRefs: many(17, { kind: 'Service', name: 'a' }), rules: [{}] }, 'spec.targetRefs', /16/],
  ['a selector beside a target', { selector: { matchLabels: { a: 'b' } }, ...ref({ kind: 'Service', name: 'a' }) }, 'spec.targetRefs', /excludes/],
  ['both kinds of targets', { targetRef: { kind: 'Service', name: 'a' }, ...ref({ kind: 'Service', name: 'a' }) }, 'spec.targetRefs', /excludes/],
]; // prettier-ignore

const actions: readonly Row[] = [
  ['an action that is none', { action: 'BLOCK', rules: [{}] }, 'spec.action', /not one of/],
  ['DENY without rules', { action: 'DENY' }, 'spec.rules', /never matches/],
  ['DENY with no rules', { action: 'DENY', rules: [] }, 'spec.rules', /never matches/],
  ['DENY of everything', { action: 'DENY', rules: [{}] }, null],
  ['AUDIT without rules', { action: 'AUDIT' }, null],
  ['CUSTOM without rules', { action: 'CUSTOM', provider: { name: 'p' } }, 'spec.rules', /never matches/],
  ['CUSTOM without provider', { action: 'CUSTOM', rules: [{}] }, 'spec.provider', /needs a provider/],
  ['CUSTOM with a nameless provider', { action: 'CUSTOM', provider: {}, rules: [{}] }, 'spec.provider.name', /required/],
  ['CUSTOM with a provider that is none', { action: 'CUSTOM', provider: { name: 'My Provider' }, rules: [{}] }, 'spec.provider.name', /DNS-1123/],
  ['a provider of 64 characters', { action: 'CUSTOM', provider: { name: 'p'.repeat(64) }, rules: [{}] }, 'spec.provider.name', /DNS-1123/],
  ['ALLOW with a provider', { provider: { name: 'p' }, rules: [{}] }, 'spec.provider', /excludes provider/],
  ['CUSTOM by path', to({ paths: ['/a'] }, 'CUSTOM'), 'spec.provider', /cannot be asked yet/, 'warning'],
  ...(['principals', 'notPrincipals', 'requestPrincipals', 'notRequestPrincipals', 'namespaces', 'notNamespaces', 'serviceAccounts', 'notServiceAccounts', 'trustDomains', 'notTrustDomains'] as const)
    .map((field): Row => [`CUSTOM by ${field}`, from({ [field]: ['a'] }, 'CUSTOM'), `${R}.from[0].source.${field}`, /not supported with action CUSTOM/]),
  ...['source.principal', 'source.namespace', 'source.serviceAccount', 'source.trustDomain', 'request.auth.principal', 'request.auth.claims[a]', 'request.auth.audiences']
    .map((key): Row => [`CUSTOM by ${key}`, when({ key, values: ['a'] }, 'CUSTOM'), `${R}.when[0].key`, /not supported with action CUSTOM/]),
]; // prettier-ignore

const structure: readonly Row[] = [
  ['null as a rule', { rules: [null] }, R, /map/],
  ['513 rules', { rules: many(513, {}) }, 'spec.rules', /512/],
  ['an empty from', rule({ from: [] }), `${R}.from`, /empty/],
  ['an empty to', rule({ to: [] }), `${R}.to`, /empty/],
  ['513 sources', rule({ from: many(513, { source: { principals: ['a'] } }) }), `${R}.from`, /512/],
  ['a from without source', rule({ from: [{}] }), `${R}.from[0].source`, /required/],
  ['a to without operation', rule({ to: [{}] }), `${R}.to[0].operation`, /required/],
  ['an empty source', from({}), `${R}.from[0].source`, /source is empty/],
  ['a source of empty lists', from({ principals: [], ipBlocks: [] }), `${R}.from[0].source`, /source is empty/],
  ['an empty operation', to({}), `${R}.to[0].operation`, /operation is empty/],
  ['an empty list beside a full one', from({ principals: [], namespaces: ['a'] }), null],
  ['an empty when', rule({ when: [] }), null],
  ['a condition without lists', when({ key: 'source.ip' }), `${R}.when[0]`, /neither values nor notValues/],
  ['a condition with empty lists', when({ key: 'source.ip', values: [], notValues: [] }), `${R}.when[0]`, /neither/],
  ['a condition without key', when({ values: ['a'] }), `${R}.when[0].key`, /required/],
  ['a field that is none', from({ principal: ['a'] }), `${R}.from[0].source.principal`, /unknown field/],
]; // prettier-ignore

const values: readonly Row[] = [
  ...(['principals', 'notPrincipals', 'requestPrincipals', 'notRequestPrincipals', 'namespaces', 'notNamespaces', 'serviceAccounts', 'notServiceAccounts', 'ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks', 'trustDomains', 'notTrustDomains'] as const)
    .map((field): Row => [`an empty value in ${field}`, from({ [field]: [''] }), `${R}.from[0].source.${field}[0]`, /empty/]),
  ...(['hosts', 'notHosts', 'ports', 'notPorts', 'methods', 'notMethods', 'paths', 'notPaths'] as const)
    .map((field): Row => [`an empty value in ${field}`, to({ [field]: [''] }), `${R}.to[0].operation.${field}[0]`, /empty/]),
  ['an empty value in when', when({ key: 'request.headers[a]', values: [''] }), `${R}.when[0].values[0]`, /empty/],
  ['an empty value in notValues', when({ key: 'request.headers[a]', notValues: ['a', ''] }), `${R}.when[0].notValues[1]`, /empty/],

  ['addresses and ranges', from({ ipBlocks: ['1.2.3.4', '10.0.0.0/8', 'fd00::1', '2001:db8::/32', '::ffff:1.2.3.4'] }), null],
  ['a name for an address', from({ ipBlocks: ['localhost'] }), `${R}.from[0].source.ipBlocks[0]`, /CIDR/],
  ['a range of 33 bits', from({ notIpBlocks: ['10.0.0.0/33'] }), `${R}.from[0].source.notIpBlocks[0]`, /CIDR/],
  ['a part of a range', from({ remoteIpBlocks: ['10.0.0.0/'] }), `${R}.from[0].source.remoteIpBlocks[0]`, /CIDR/],
  ['a wildcard for addresses', from({ remoteIpBlocks: ['*'] }), `${R}.from[0].source.remoteIpBlocks[0]`, /CIDR/],
  ['an octet with a leading zero', from({ ipBlocks: ['10.0.0.010'] }), `${R}.from[0].source.ipBlocks[0]`, /CIDR/],
  ['bits with a leading zero', from({ ipBlocks: ['10.0.0.0/08'] }), `${R}.from[0].source.ipBlocks[0]`, /CIDR/],
  ['an address with a port', when({ key: 'source.ip', values: ['1.2.3.4:80'] }), `${R}.when[0].values[0]`, /CIDR/],
  ['a bad destination.ip', when({ key: 'destination.ip', notValues: ['a'] }), `${R}.when[0].notValues[0]`, /CIDR/],
  ['a bad remote.ip', when({ key: 'remote.ip', values: ['a'] }), `${R}.when[0].values[0]`, /CIDR/],

  ['ports', to({ ports: ['80', '65535', '0'] }), null],
  ['port 65536', to({ ports: ['65536'] }), `${R}.to[0].operation.ports[0]`, /not a port/],
  ['a port by name', to({ notPorts: ['http'] }), `${R}.to[0].operation.notPorts[0]`, /not a port/],
  ['a wildcard for ports', to({ ports: ['*'] }), `${R}.to[0].operation.ports[0]`, /not a port/],
  ['a port that is a number', to({ ports: [80] }), `${R}.to[0].operation.ports[0]`, /string/],
  ['a bad destination.port', when({ key: 'destination.port', values: ['-1'] }), `${R}.when[0].values[0]`, /not a port/],

  ['service accounts', from({ serviceAccounts: ['a', 'ns/a'] }), null],
  ['a service account with a wildcard', from({ serviceAccounts: ['ns/*'] }), `${R}.from[0].source.serviceAccounts[0]`, /wildcard/],
  ['a service account of three parts', from({ serviceAccounts: ['a/b/c'] }), `${R}.from[0].source.serviceAccounts[0]`, /not a service account/],
  ['a service account without name', from({ notServiceAccounts: ['ns/'] }), `${R}.from[0].source.notServiceAccounts[0]`, /not a service account/],
  ['a service account of 321 characters', from({ serviceAccounts: ['a'.repeat(321)] }), `${R}.from[0].source.serviceAccounts[0]`, /320/],
  ['17 service accounts', from({ serviceAccounts: many(17, 'a') }), `${R}.from[0].source.serviceAccounts`, /16/],
  ['a service account in when with a wildcard', when({ key: 'source.serviceAccount', values: ['*'] }), `${R}.when[0].values[0]`, /wildcard/],
  ...(['principals', 'notPrincipals', 'namespaces', 'notNamespaces'] as const).map((field): Row =>
    [`service accounts beside ${field}`, from({ serviceAccounts: ['a'], [field]: ['b'] }), `${R}.from[0].source.${field}`, /exclude/]),
  ['notServiceAccounts beside principals', from({ notServiceAccounts: ['a'], principals: ['*'] }), `${R}.from[0].source.principals`, /exclude/],

  ['trust domains', from({ trustDomains: ['a.b', '*', '*.b', 'a.*'] }), null],
  ['a trust domain with a path', from({ trustDomains: ['a/ns/b'] }), `${R}.from[0].source.trustDomains[0]`, /holds a \//],
  ['a trust domain with a star inside', from({ trustDomains: ['a*b'] }), `${R}.from[0].source.trustDomains[0]`, /wildcard/],
  ['a trust domain with two stars', from({ notTrustDomains: ['*a*'] }), `${R}.from[0].source.notTrustDomains[0]`, /wildcard/],
  ['a trust domain in when', when({ key: 'source.trustDomain', values: ['a*b'] }), `${R}.when[0].values[0]`, /wildcard/],

  ['a principal with its scheme', from({ principals: ['spiffe://a/ns/b/sa/c'] }), `${R}.from[0].source.principals[0]`, /no scheme/, 'warning'],
  ['a star inside a path', path('/a/*/b'), `${R}.to[0].operation.paths[0]`, /just that character/, 'warning'],
  ['a star on both sides', from({ requestPrincipals: ['*/me*'] }), `${R}.from[0].source.requestPrincipals[0]`, /just that character/, 'warning'],
  ['a star inside a namespace, where it is a wildcard', from({ namespaces: ['a*b'] }), null],
]; // prettier-ignore

const templates: readonly Row[] = [
  ['literal, prefix, suffix, any', path('/a', '/a/*', '*.html', '*', '/'), null],
  ['operators', path('/a/{*}/b/{**}', '/{**}', '/{*}', '/a/{**}/b', '/{*}/{*}'), null],
  ['an operator behind {**}', path('/{**}/a/{*}'), `${R}.to[0].operation.paths[0]`, /behind \{\*\*\}/],
  ['{**} twice', path('/{**}/{**}'), `${R}.to[0].operation.paths[0]`, /behind \{\*\*\}/],
  ['an operator inside a segment', path('/a{*}/b'), `${R}.to[0].operation.paths[0]`, /brace/],
  ['another name in braces', path('/a/{id}'), `${R}.to[0].operation.paths[0]`, /brace/],
  ['a brace alone', path('/a{'), `${R}.to[0].operation.paths[0]`, /brace/],
  ['a star beside operators', path('/a*/{*}'), `${R}.to[0].operation.paths[0]`, /template/],
  ['an empty segment beside operators', path('/a//{*}'), `${R}.to[0].operation.paths[0]`, /template/],
  ['a character that is none of a path', path('/a b/{*}'), `${R}.to[0].operation.paths[0]`, /template/],
  ['a bad template in notPaths', to({ notPaths: ['/{id}'] }), `${R}.to[0].operation.notPaths[0]`, /brace/],
]; // prettier-ignore

const keys: readonly Row[] = [
  ...['source.principal', 'source.namespace', 'connection.sni', 'request.headers[x-a]', 'request.headers[:method]']
    .map((key): Row => [key, when({ key, values: ['a'] }), null]),
  ['an empty key', when({ key: '', values: ['a'] }), `${R}.when[0].key`, /empty/],
  ['a key that is none', when({ key: 'request.path', values: ['a'] }), `${R}.when[0].key`, /no key/],
  ['a key of old', when({ key: 'destination.labels[app]', values: ['a'] }), `${R}.when[0].key`, /old releases/],
  ['another key of old', when({ key: 'destination.user', values: ['a'] }), `${R}.when[0].key`, /old releases/],
  ['a key with a space', when({ key: 'source.ip ', values: ['1.2.3.4'] }), `${R}.when[0].key`, /no key/],
  ['headers without a name', when({ key: 'request.headers', values: ['a'] }), `${R}.when[0].key`, /no key/],
  ['an empty header', when({ key: 'request.headers[]', values: ['a'] }), `${R}.when[0].key`, /no header/],
  ['a header that is not closed', when({ key: 'request.headers[a', values: ['a'] }), `${R}.when[0].key`, /no header/],
  ['a header that is none', when({ key: 'request.headers[a b]', values: ['a'] }), `${R}.when[0].key`, /no header/],
  ['an empty claim', when({ key: 'request.auth.claims[]', values: ['a'] }), `${R}.when[0].key`, /no claim/],
  ['a claim with something behind', when({ key: 'request.auth.claims[a]b', values: ['a'] }), `${R}.when[0].key`, /no claim/],
  ['brackets in brackets', when({ key: 'request.auth.claims[a[b]]', values: ['a'] }), `${R}.when[0].key`, /no claim/],
  ['metadata of Envoy', when({ key: 'experimental.envoy.filters.network.mysql_proxy[db.table]', values: ['a'] }), `${R}.when[0].key`, /not honoured/, 'info'],
  ['metadata of Envoy without key', when({ key: 'experimental.envoy.filters.a', values: ['a'] }), `${R}.when[0].key`, /form/],
]; // prettier-ignore

const dryRun = (value: string): object => ({ annotations: { 'istio.io/dry-run': value } });

describe('AuthorizationPolicy', () => {
  describe('attachment', () => it.each(named(attachment))('judges $name', ({ row }) => judge('AuthorizationPolicy', row)));
  describe('actions', () => it.each(named(actions))('judges $name', ({ row }) => judge('AuthorizationPolicy', row)));
  describe('structure', () => it.each(named(structure))('judges $name', ({ row }) => judge('AuthorizationPolicy', row)));
  describe('values', () => it.each(named(values))('judges $name', ({ row }) => judge('AuthorizationPolicy', row)));
  describe('path templates', () => it.each(named(templates))('judges $name', ({ row }) => judge('AuthorizationPolicy', row)));
  describe('condition keys', () => it.each(named(keys))('judges $name', ({ row }) => judge('AuthorizationPolicy', row)));

  it('reports a condition about tokens nobody checks, and takes it all the same', () => {
    const problems = problemsOf(resource('AuthorizationPolicy', when({ key: 'request.auth.claims[a][b/c.d]', values: ['x'] })));
    expect(problems.map(({ code, severity }) => `${code} ${severity}`)).toEqual(['INM0406 warning']);
  });

  it.each(['1', 't', 'T', 'true', 'TRUE', 'True', '0', 'f', 'F', 'false', 'FALSE', 'False'])('runs dry, or not, by %s', (word) => {
    const problems = problemsOf(resource('AuthorizationPolicy', { action: 'DENY', rules: [{}] }, dryRun(word)));
    expect(problems).toEqual([]);
  });

  it.each(['yes', '', 'tRUE', '2', ' true'])('does not run dry by "%s"', (word) =>
    judge('AuthorizationPolicy', ['', { rules: [{}] }, 'metadata.annotations["istio.io/dry-run"]', /no value/], dryRun(word)),
  );

  it.each(['AUDIT', 'CUSTOM'])('%s cannot run dry', (action) =>
    judge('AuthorizationPolicy', ['', rule({}, action), 'spec.action', /cannot run dry/], dryRun('true')),
  );
});
