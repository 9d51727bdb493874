import { describe, expect, it } from 'vitest';
import { problemsOf, resource } from '../testing/problems.ts';

const policy = (spec: object, metadata: object = {}): string => resource('AuthorizationPolicy', spec, { name: 'p', ...metadata });
const peer = (mode: string, more: object = {}, metadata: object = {}): string =>
  resource('PeerAuthentication', { mtls: { mode }, ...more }, metadata);
const token = (spec: object = {}, metadata: object = {}): string =>
  resource('RequestAuthentication', { jwtRules: [{ issuer: 'a', jwks: '{"keys":[]}' }], ...spec }, metadata);
const from = (...sources: object[]): object => ({ from: sources.map((source) => ({ source })) });
const to = (operation: object): object => ({ to: [{ operation }] });
const allow = (...rules: object[]): object => ({ rules });
const deny = (...rules: object[]): object => ({ action: 'DENY', rules });
const forApp = (app: string): object => ({ selector: { matchLabels: { app } } });
const service = (name: string, spec: object = {}, metadata: object = {}): string =>
  resource('Service', { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }], ...spec }, { name, ...metadata });
const rule = (mode: string, more: object = {}): string =>
  resource('DestinationRule', { host: 'a', trafficPolicy: { tls: { mode } }, ...more });
const root = { namespace: 'istio-system' };
const dry = { annotations: { 'istio.io/dry-run': 'true' } };
const P = 'AuthorizationPolicy default/p spec.rules[0]';
const port = { ports: ['8080'] };

type Row = readonly [name: string, texts: readonly string[], expected: readonly string[]];
const rows: readonly Row[] = [
  ['ALLOW for all but a namespace', [policy(allow(from({ notNamespaces: ['bad'] })))], [`INM0401 warning ${P}.from[0].source.notNamespaces`]],
  ['ALLOW for all but a principal', [policy(allow(from({ principals: ['a'] }, { notPrincipals: ['b'] })))], [`INM0401 warning ${P}.from[1].source.notPrincipals`]],
  ['ALLOW for all but some, by a condition', [policy(allow({ when: [{ key: 'source.namespace', notValues: ['bad'] }] }))], [`INM0401 warning ${P}.when[0].notValues`]],
  ['ALLOW for all but some, of those with an identity', [policy(allow(from({ principals: ['*'], notNamespaces: ['bad'] })))], []],
  ['ALLOW for all but some, who have an identity by a condition', [policy(allow({ ...from({ notNamespaces: ['bad'] }), when: [{ key: 'source.principal', values: ['*'] }] }))], []],
  ['ALLOW for all but some, under STRICT', [peer('STRICT'), policy(allow(from({ notNamespaces: ['bad'] })))], []],
  ['ALLOW for all but some, under STRICT of the mesh', [peer('STRICT', {}, root), policy(allow(from({ notNamespaces: ['bad'] })))], []],
  ['ALLOW for all but some, under STRICT save for a port', [peer('STRICT', { ...forApp('a'), portLevelMtls: { 80: { mode: 'PERMISSIVE' } } }), policy({ ...forApp('a'), ...allow(from({ notNamespaces: ['bad'] })) })], [`INM0401 warning ${P}.from[0].source.notNamespaces`]],
  ['DENY for all but a namespace', [policy(deny(from({ notNamespaces: ['good'] })))], []],

  ['DENY of a host without its port', [policy(deny(to({ hosts: ['a.b'], ...port })))], [`INM0402 warning ${P}.to[0].operation.hosts[0]`]],
  ['DENY of a host with its port', [policy(deny(to({ hosts: ['a.b', 'A.b:*'], ...port })))], []],
  ['DENY of the hosts of a domain', [policy(deny(to({ hosts: ['*.b'], ...port })))], [`INM0402 warning ${P}.to[0].operation.hosts[0]`]],
  ['DENY of hosts by their beginning', [policy(deny(to({ hosts: ['a*'], ...port })))], []],
  ['ALLOW of a host', [policy(allow(to({ hosts: ['a.b'] })))], [`INM0402 info ${P}.to[0].operation.hosts[0]`]],
  ['ALLOW of all but a host', [policy(allow(to({ notHosts: ['a.b'] })))], [`INM0402 warning ${P}.to[0].operation.notHosts[0]`]],

  ['paths as written', [resource('MeshConfig', { pathNormalization: { normalization: 'NONE' } }), policy(allow(to({ methods: ['GET'] }), to({ notPaths: ['/a'] })))], ['INM0403 warning AuthorizationPolicy default/p spec.rules[1].to[0].operation.notPaths']],
  ['paths as normalised', [resource('MeshConfig', {}), policy(allow(to({ paths: ['/a'] })))], []],

  ['DENY of GET', [policy(deny(to({ methods: ['POST', 'GET'], ...port })))], [`INM0404 warning ${P}.to[0].operation.methods[1]`]],
  ['DENY of GET and HEAD', [policy(deny(to({ methods: ['GET', 'HEAD'], ...port })))], []],
  ['ALLOW of all but GET', [policy(allow(to({ notMethods: ['GET'] })))], [`INM0404 warning ${P}.to[0].operation.notMethods[0]`]],
  ['ALLOW of GET', [policy(allow(to({ methods: ['GET'] })))], []],

  ['DENY of a path on any port', [policy(deny(to({ paths: ['/a'] })))], [`IST0133 warning ${P}`]],
  ['DENY of tokens on any port', [token(), policy(deny(from({ requestPrincipals: ['*'] })))], [`IST0133 warning ${P}`]],
  ['DENY of a path on one port', [policy(deny(to({ paths: ['/a'], ...port })))], []],
  ['DENY of a principal', [policy(deny(from({ principals: ['a'] })))], []],
  ['DENY of a path for a principal, which on TCP is every call of it', [policy(deny({ ...from({ principals: ['a'] }), ...to({ paths: ['/a'] }) }))], [`IST0133 warning ${P}`]],
  ['DENY of everything', [policy(deny({}))], []],

  ['ALLOW that runs dry alone', [policy(allow({}), dry)], ['INM0405 info AuthorizationPolicy default/p metadata.annotations["istio.io/dry-run"]']],
  ['ALLOW that runs dry beside another', [policy(allow({}), dry), policy(allow({}), { name: 'q' })], []],
  ['ALLOW that runs dry beside one of the mesh', [policy(allow({}), dry), policy(allow({}), { name: 'q', ...root })], []],
  ['ALLOW that runs dry beside one for others', [policy({ ...forApp('a'), ...allow({}) }, dry), policy({ ...forApp('b'), ...allow({}) }, { name: 'q' })], ['INM0405 info AuthorizationPolicy default/p metadata.annotations["istio.io/dry-run"]']],
  ['ALLOW that runs dry beside one elsewhere', [policy(allow({}), dry), policy(allow({}), { name: 'q', namespace: 'far' })], ['INM0405 info AuthorizationPolicy default/p metadata.annotations["istio.io/dry-run"]']],
  ['ALLOW that does not run dry', [policy(allow({}), { annotations: { 'istio.io/dry-run': 'F' } })], []],

  ['tokens nobody checks', [policy(allow(from({ requestPrincipals: ['*'] })))], [`INM0406 warning ${P}.from[0].source.requestPrincipals`]],
  ['claims nobody checks', [policy(allow({ when: [{ key: 'request.auth.claims[a]', values: ['b'] }] }))], [`INM0406 warning ${P}.when[0].key`]],
  ['tokens that are checked', [token(), policy(allow(from({ requestPrincipals: ['*'] })))], []],
  ['tokens that are checked in the mesh', [token({}, root), policy(allow(from({ requestPrincipals: ['*'] })))], []],
  ['tokens of the mesh that some check', [token(), policy(allow(from({ requestPrincipals: ['*'] })), root)], []],
  ['tokens that are checked elsewhere', [token({}, { namespace: 'far' }), policy(allow(from({ requestPrincipals: ['*'] })))], [`INM0406 warning ${P}.from[0].source.requestPrincipals`]],
  ['tokens that are checked for other workloads', [token(forApp('b')), policy({ ...forApp('a'), ...allow(from({ requestPrincipals: ['*'] })) })], [`INM0406 warning ${P}.from[0].source.requestPrincipals`]],
  ['tokens no rule is about', [token({ jwtRules: [] }), policy(allow(from({ requestPrincipals: ['*'] })))], [`INM0406 warning ${P}.from[0].source.requestPrincipals`]],

  ['CUSTOM', [policy({ action: 'CUSTOM', provider: { name: 'p' }, rules: [{}] })], ['INM0407 warning AuthorizationPolicy default/p spec.provider']],

  ['plaintext to STRICT', [service('a'), peer('STRICT'), rule('DISABLE')], ['INM0408 warning DestinationRule default/it spec.trafficPolicy.tls.mode']],
  ['TLS of another kind to STRICT', [service('a'), peer('STRICT', forApp('a')), rule('SIMPLE')], ['INM0408 warning DestinationRule default/it spec.trafficPolicy.tls.mode']],
  ['plaintext on a port to STRICT', [service('a'), peer('STRICT', {}, root), resource('DestinationRule', { host: 'a', trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, tls: { mode: 'DISABLE' } }] } })], ['INM0408 warning DestinationRule default/it spec.trafficPolicy.portLevelSettings[0].tls.mode']],
  ['mutual TLS to STRICT', [service('a'), peer('STRICT'), rule('ISTIO_MUTUAL')], []],
  ['mutual TLS to plaintext', [service('a'), peer('DISABLE'), rule('ISTIO_MUTUAL')], ['INM0408 warning DestinationRule default/it spec.trafficPolicy.tls.mode']],
  ['plaintext to PERMISSIVE', [service('a'), peer('PERMISSIVE'), rule('DISABLE')], []],
  ['plaintext to STRICT of others', [service('a'), peer('STRICT', forApp('b')), rule('DISABLE')], []],
  ['plaintext to a STRICT ServiceEntry of the mesh', [resource('ServiceEntry', { hosts: ['a.com'], location: 'MESH_INTERNAL', resolution: 'DNS', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }] }), peer('STRICT'), resource('DestinationRule', { host: 'a.com', trafficPolicy: { tls: { mode: 'DISABLE' } } })], ['INM0408 warning DestinationRule default/it spec.trafficPolicy.tls.mode']],
  ['plaintext to what is outside the mesh', [resource('ServiceEntry', { hosts: ['a.com'], resolution: 'DNS', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }] }), peer('STRICT'), resource('DestinationRule', { host: 'a.com', trafficPolicy: { tls: { mode: 'SIMPLE' } } })], []],

  ['a port of the service', [service('a'), policy(deny(to({ ports: ['80'] })))], [`INM0409 warning ${P}.to[0].operation.ports[0]`]],
  ['a port of the workload', [service('a'), policy(deny(to({ ports: ['8080'] })))], []],
  ['a port of one service and of the workload of another', [service('a'), service('b', { ports: [{ name: 'http', port: 9, targetPort: 80 }] }), policy(deny(to({ ports: ['80'] })))], []],
  ['a port of the service of others', [service('a'), policy({ ...forApp('b'), ...deny(to({ ports: ['80'] })) })], []],
  ['a port of the service, by a condition', [service('a'), policy(deny({ when: [{ key: 'destination.port', notValues: ['80'] }] }))], [`INM0409 warning ${P}.when[0].notValues[0]`]],
  ['a port of the service with its own mode', [service('a'), peer('STRICT', { ...forApp('a'), portLevelMtls: { 80: { mode: 'DISABLE' } } })], ['INM0409 warning PeerAuthentication default/it spec.portLevelMtls["80"]']],

  ['a selector for nobody', [resource('Pod', {}, { name: 'x', labels: { app: 'a' } }), policy({ ...forApp('b'), ...deny({}) })], ['IST0127 warning AuthorizationPolicy default/p spec.selector.matchLabels']],
  ['a selector for a pod', [resource('Pod', {}, { name: 'x', labels: { app: 'a', v: '1' } }), policy({ ...forApp('a'), ...deny({}) })], []],
  ['a selector for a machine', [resource('WorkloadEntry', { address: '1.2.3.4', labels: { app: 'b' } }), peer('STRICT', forApp('b'))], []],
  ['a selector for workloads nobody declares', [policy({ ...forApp('b'), ...deny({}) })], []],
]; // prettier-ignore

describe('lints over security policies', () => {
  it.each(rows.map(([name, texts, expected]) => ({ name, texts, expected })))('$name', ({ texts, expected }) => {
    const told = problemsOf(...texts).filter(({ code }) => code !== 'INM0301');
    expect(told.map(({ code, severity, resource: owner, path }) => `${code} ${severity} ${owner} ${path}`)).toEqual(expected);
  });
});
