import { describe, expect, it } from 'vitest';
import { mesh } from '../testing/mesh.ts';
import { problemsOf, resource } from '../testing/problems.ts';

const service = (name: string, extra: object = {}): string =>
  resource('Service', { ports: [{ name: 'http', port: 80 }], ...extra }, { name });
const virtual = (name: string, spec: object, metadata: object = {}): string => resource('VirtualService', spec, { name, ...metadata });
const rule = (name: string, spec: object, metadata: object = {}): string => resource('DestinationRule', spec, { name, ...metadata });
const entry = (name: string, spec: object): string =>
  resource('ServiceEntry', { resolution: 'DNS', ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], ...spec }, { name });
const to = (host: string, subset?: string): object => ({ route: [{ destination: { host, subset } }] });
const when = (match: object, host = 'a'): object => ({ match: [match], ...to(host) });
const older = { creationTimestamp: '2025-01-01T00:00:00Z' };
const younger = { creationTimestamp: '2026-01-01T00:00:00Z' };
const v1 = { name: 'v1', labels: { version: 'v1' } };

type Row = readonly [name: string, texts: readonly string[], expected: readonly string[]];

const rows: readonly Row[] = [
  ['a destination nobody declares', [service('a'), virtual('x', { hosts: ['a'], http: [to('b')] })], ['IST0101 warning VirtualService default/x spec.http[0].route[0].destination.host']],
  ['a mirror nobody declares', [service('a'), virtual('x', { hosts: ['a'], http: [{ ...to('a'), mirror: { host: 'b' } }] })], ['IST0101 warning VirtualService default/x spec.http[0].mirror.host']],
  ['a destination of another namespace by short name', [service('a'), virtual('x', { hosts: ['a'], http: [to('a')] }, { namespace: 'other' })], ['IST0101 warning VirtualService other/x spec.http[0].route[0].destination.host']],
  ['an outside host nobody declares', [entry('e', { hosts: ['a.com'] }), virtual('x', { hosts: ['a.com'], http: [to('b.com')] })], ['IST0101 warning VirtualService default/x spec.http[0].route[0].destination.host']],
  ['a host a wildcard declares', [entry('e', { hosts: ['*.a.com'], resolution: 'NONE' }), virtual('x', { hosts: ['b.a.com'], http: [to('b.a.com')] })], []],
  ['hosts of services that are left to discovery', [virtual('x', { hosts: ['a'], http: [to('b')] }), rule('y', { host: 'b' })], []],
  ['a DestinationRule for nobody', [service('a'), rule('x', { host: 'b' })], ['IST0174 warning DestinationRule default/x spec.host']],
  ['a HedgePolicy for nobody', [service('a'), resource('HedgePolicy', { host: 'b', idempotent: ['/x'], delay: '1s' })], ['IST0174 warning HedgePolicy default/it spec.host']],
  ['a DestinationRule for a wildcard that covers somebody', [service('a'), rule('x', { host: '*.default.svc.cluster.local' })], []],

  ['a subset nobody defines', [virtual('x', { hosts: ['a'], http: [to('a', 'v2')] }), rule('y', { host: 'a', subsets: [v1] })], ['IST0101 warning VirtualService default/x spec.http[0].route[0].destination.subset']],
  ['a subset without any DestinationRule', [virtual('x', { hosts: ['a'], tcp: [to('a', 'v2')] })], ['IST0101 warning VirtualService default/x spec.tcp[0].route[0].destination.subset']],
  ['a subset of a wildcard rule', [virtual('x', { hosts: ['a.b.com'], http: [to('a.b.com', 'v1')] }), rule('y', { host: '*.b.com', subsets: [v1] })], []],

  ['a subset that selects nobody', [service('a', { selector: { app: 'a' } }), resource('Pod', {}, { name: 'p', labels: { app: 'a', version: 'v2' } }), rule('x', { host: 'a', subsets: [v1] })], ['IST0173 warning DestinationRule default/x spec.subsets[0].labels']],
  ['a subset that selects somebody', [service('a', { selector: { app: 'a' } }), resource('Pod', {}, { name: 'p', labels: { app: 'a', version: 'v1' } }), rule('x', { host: 'a', subsets: [v1] })], []],
  ['a subset of pods nobody declares', [service('a', { selector: { app: 'a' } }), rule('x', { host: 'a', subsets: [v1] })], []],
  ['a subset of a ServiceEntry that selects nobody', [entry('e', { hosts: ['a.com'], endpoints: [{ address: 'b.com', labels: { version: 'v2' } }] }), rule('x', { host: 'a.com', subsets: [v1] })], ['IST0173 warning DestinationRule default/x spec.subsets[0].labels']],
  ['a subset of a WorkloadEntry', [entry('e', { hosts: ['a.com'], workloadSelector: { labels: { app: 'a' } } }), resource('WorkloadEntry', { address: 'b.com', labels: { app: 'a', version: 'v1' } }), rule('x', { host: 'a.com', subsets: [v1] })], []],

  ['two VirtualServices for one host', [virtual('x', { hosts: ['a'], http: [to('a')] }, younger), virtual('y', { hosts: ['a.default.svc.cluster.local'], http: [to('a')] }, older)], ['IST0109 warning VirtualService default/x spec.hosts[0]']],
  ['two that nobody sees together', [virtual('x', { hosts: ['a.com'], exportTo: ['.'], http: [to('a.com')] }), virtual('y', { hosts: ['a.com'], exportTo: ['.'], http: [to('a.com')] }, { namespace: 'other' })], []],
  ['two of which one is for gateways', [virtual('x', { hosts: ['a.com'], http: [to('a.com')] }), virtual('y', { hosts: ['a.com'], gateways: ['door'], http: [to('a.com')] })], ['INM0303 info VirtualService default/y spec.gateways']],

  ['a rule behind one without a match', [virtual('x', { hosts: ['a'], http: [to('a'), when({ uri: { exact: '/' } }), to('a')] })], ['IST0130 warning VirtualService default/x spec.http[1]', 'IST0130 warning VirtualService default/x spec.http[2]']],
  ['a rule behind prefix /', [virtual('x', { hosts: ['a'], http: [when({ uri: { prefix: '/' } }), to('a')] })], ['IST0130 warning VirtualService default/x spec.http[1]']],
  ['a rule behind regex .*', [virtual('x', { hosts: ['a'], http: [when({ uri: { regex: '.*' } }), to('a')] })], ['IST0130 warning VirtualService default/x spec.http[1]']],
  ['a rule behind prefix / with a header', [virtual('x', { hosts: ['a'], http: [when({ uri: { prefix: '/' }, headers: { x: {} } }), to('a')] })], []],
  ['a rule behind one for a port', [virtual('x', { hosts: ['a'], http: [when({ port: 80 }), to('a')] })], []],
  ['a rule behind one for some callers', [virtual('x', { hosts: ['a'], http: [when({ sourceLabels: { a: 'b' } }), to('a')] })], []],
  ['a rule behind a delegate', [virtual('x', { hosts: ['a'], http: [{ delegate: { name: 'y' } }, to('a')] }), virtual('y', { http: [when({ uri: { exact: '/a' } })] })], []],
  ['a rule that repeats another', [virtual('x', { hosts: ['a'], http: [when({ uri: { exact: '/a' } }), when({ name: 'again', uri: { exact: '/a' } })] })], ['IST0130 warning VirtualService default/x spec.http[1]']],
  ['a match that repeats another', [virtual('x', { hosts: ['a'], http: [when({ uri: { exact: '/a' } }), { match: [{ uri: { exact: '/b' } }, { uri: { exact: '/a' } }], ...to('a') }] })], ['IST0131 info VirtualService default/x spec.http[1].match[1]']],
  ['a TCP rule behind one without a match', [virtual('x', { hosts: ['a'], tcp: [to('a'), to('a')] })], ['IST0130 warning VirtualService default/x spec.tcp[1]']],

  ['two Sidecars for a namespace', [resource('Sidecar', {}, { name: 'x', ...younger }), resource('Sidecar', {}, { name: 'y', ...older })], ['IST0111 warning Sidecar default/x ']],
  ['two Sidecars for a pod', [resource('Pod', {}, { name: 'p', labels: { app: 'a', version: 'v1' } }), resource('Sidecar', { workloadSelector: { labels: { app: 'a' } } }, { name: 'x' }), resource('Sidecar', { workloadSelector: { labels: { version: 'v1' } } }, { name: 'y' })], ['IST0110 warning Sidecar default/y spec.workloadSelector']],
  ['a Sidecar for all and one for some', [resource('Sidecar', {}, { name: 'x' }), resource('Sidecar', { workloadSelector: { labels: { a: 'b' } } }, { name: 'y' })], []],

  ['no verification on a port', [rule('x', { host: 'a', trafficPolicy: { portLevelSettings: [{ port: { number: 1 }, tls: { mode: 'SIMPLE', insecureSkipVerify: true } }] } })], ['IST0129 warning DestinationRule default/x spec.trafficPolicy.portLevelSettings[0].tls.insecureSkipVerify']],
  ['failover of a subset under a rule that detects', [rule('x', { host: 'a', trafficPolicy: { outlierDetection: {} }, subsets: [{ ...v1, trafficPolicy: { loadBalancer: { localityLbSetting: { enabled: true } } } }] })], []],
  ['failover in a mesh that detects', [rule('x', { host: 'a', trafficPolicy: { loadBalancer: { localityLbSetting: { enabled: true } } } }), resource('MeshConfig', { defaultTrafficPolicy: { outlierDetection: {} } })], []],
  ['failover that is off', [rule('x', { host: 'a', trafficPolicy: { loadBalancer: { localityLbSetting: { enabled: false } } } })], []],

  ['two DestinationRules with policies', [rule('x', { host: 'a', trafficPolicy: { tls: {} } }, younger), rule('y', { host: 'a.default.svc.cluster.local', trafficPolicy: { tls: {} } }, older)], ['INM0305 warning DestinationRule default/x spec.trafficPolicy']],
  ['two DestinationRules with a subset', [rule('x', { host: 'a', subsets: [v1] }), rule('y', { host: 'a', subsets: [v1] })], ['INM0305 warning DestinationRule default/y spec.subsets[0].name']],
  ['two DestinationRules that complete each other', [rule('x', { host: 'a', trafficPolicy: { tls: {} } }), rule('y', { host: 'a', subsets: [v1] })], []],

  ['a delegate that is missing', [virtual('x', { hosts: ['a'], http: [{ delegate: { name: 'gone', namespace: 'b' } }] })], ['IST0101 warning VirtualService default/x spec.http[0].delegate.name']],
  ['a backend nobody declares', [service('a'), resource('HTTPRoute', { parentRefs: [{ group: '', kind: 'Service', name: 'a' }], rules: [{ backendRefs: [{ name: 'b', port: 1 }] }] })], ['IST0101 warning HTTPRoute default/it spec.rules[0].backendRefs[0].name']],
  ['a parent nobody declares', [service('a'), resource('GRPCRoute', { parentRefs: [{ group: '', kind: 'Service', name: 'b' }] })], ['IST0101 warning GRPCRoute default/it spec.parentRefs[0].name']],
  ['a certificate from a Secret', [resource('BackendTLSPolicy', { targetRefs: [{ kind: 'Service', name: 'a' }], validation: { hostname: 'a.b', caCertificateRefs: [{ kind: 'Secret', name: 's' }] } })], ['IST0101 warning BackendTLSPolicy default/it spec.validation.caCertificateRefs[0].kind']],

  ['two protocols on one port', [entry('x', { hosts: ['a.com'] }), entry('y', { hosts: ['A.com'], ports: [{ number: 80, name: 'tcp', protocol: 'TCP' }] })], ['IST0177 warning ServiceEntry default/y spec.ports[0].protocol']],
  ['a port name without protocol', [resource('Service', { ports: [{ name: 'web', port: 80 }] })], ['IST0118 info Service default/it spec.ports[0].name']],
  ['ports that say their protocol', [resource('Service', { ports: [{ name: 'web', port: 80, appProtocol: 'http' }, { name: 'grpc-web', port: 81 }, { name: 'http2-a', port: 82 }, { name: 'dns', port: 53, protocol: 'UDP' }] })], []],
  ['two MeshConfigs', [resource('MeshConfig', {}, { name: 'x', ...younger }), resource('MeshConfig', {}, { name: 'y', ...older })], ['INM0302 warning MeshConfig default/x ']],
  ['hosts under the domain of the mesh', [service('a'), resource('MeshConfig', { domain: 'corp.example' }), virtual('x', { hosts: ['a'], http: [to('a.default.svc.corp.example')] })], []],
]; // prettier-ignore

describe('lints', () => {
  it.each(rows.map(([name, texts, expected]) => ({ name, texts, expected })))('$name', ({ texts, expected }) => {
    const told = problemsOf(...texts).filter(({ code }) => code !== 'INM0301');
    expect(told.map(({ code, severity, resource: owner, path }) => `${code} ${severity} ${owner} ${path}`)).toEqual(expected);
  });

  it('say nothing of a sound mesh but what is not honoured', () => {
    const problems = problemsOf(JSON.stringify(mesh()));
    expect([...new Set(problems.map(({ code }) => code))].toSorted()).toEqual(['INM0005', 'INM0301']);
  });

  it('are silent while the document has errors, of which they would only draw wrong conclusions', () => {
    const codes = problemsOf(virtual('x', { hosts: ['a'], http: [to('a', 'v1')] }), rule('y', { host: 'a', subsets: [v1], extra: 1 })).map(
      ({ code }) => code,
    );
    expect(codes).toEqual(['INM0008']);
  });
});
