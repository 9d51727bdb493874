import { describe, expect, it } from 'vitest';
import type { ClusterPolicy } from '../model.ts';
import { aged, backendTlsPolicy, clusterAt, destinationRule, modelOf, service, serviceEntry } from './trying.ts';

const target = (more: object = {}): object => ({ group: '', kind: 'Service', name: 'a', ...more });
const policy = (
  name: string,
  hostname: string,
  { targetRefs = [target()], validation = {} as object, metadata = {} as object } = {},
): string => backendTlsPolicy(name, { targetRefs, validation: { hostname, wellKnownCACertificates: 'System', ...validation } }, metadata);
const configMap = (name: string, pem: string): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data: { 'ca.crt': pem } });
const cluster = (documents: readonly string[], port = 80): ClusterPolicy =>
  clusterAt(modelOf([service('a', { ports: ['http:80', 'http-x:81'] }), ...documents]), `outbound|${port}||a.default.svc.cluster.local`);
const refs = (...names: string[]): object => ({
  wellKnownCACertificates: undefined,
  caCertificateRefs: names.map((name) => ({ group: '', kind: 'ConfigMap', name })),
});

describe('BackendTLSPolicy', () => {
  it('is TLS with the system’s roots, its hostname as server name and identity', () => {
    const { tls, resources } = cluster([policy('p', 'a.test')]);
    expect(tls).toMatchObject({ mode: 'SIMPLE', sni: 'a.test', subjectAltNames: ['a.test'], caPem: null, insecureSkipVerify: false });
    expect(resources).toEqual(['BackendTLSPolicy default/p']);
  });

  it('trusts the certificates of its ConfigMaps, and nobody if they are missing', () => {
    expect(
      cluster([policy('p', 'a.test', { validation: refs('ca', 'more') }), configMap('ca', 'PEM 1'), configMap('more', 'PEM 2')]).tls.caPem,
    ).toBe('PEM 1\nPEM 2');
    expect(cluster([policy('p', 'a.test', { validation: refs('gone') })]).tls.caPem).toBe('');
  });

  it('takes other names for the identity', () => {
    const subjectAltNames = [{ type: 'Hostname', hostname: 'b.test' }, { type: 'URI', uri: 'spiffe://x/y' }]; // prettier-ignore
    expect(cluster([policy('p', 'a.test', { validation: { subjectAltNames } })]).tls).toMatchObject({
      sni: 'a.test',
      subjectAltNames: ['b.test', 'spiffe://x/y'],
    });
  });

  it('one that names the port beats one for all, of two the older', () => {
    const documents = [
      policy('all', 'all.test', { metadata: aged(1) }),
      policy('young', 'young.test', { metadata: aged(3) }),
      policy('port', 'port.test', { targetRefs: [target({ sectionName: 'http-x' })], metadata: aged(2) }),
    ];
    expect([cluster(documents, 80).tls.sni, cluster(documents, 81).tls.sni]).toEqual(['all.test', 'port.test']);
  });

  it('stands below DestinationRules: their tls holds, else its', () => {
    const rule = (trafficPolicy: object): string => destinationRule('a', { host: 'a', trafficPolicy });
    expect(cluster([policy('p', 'a.test'), rule({ tls: { mode: 'DISABLE' } })])).toMatchObject({
      tls: { mode: 'DISABLE' },
      resources: ['DestinationRule default/a'],
    });
    expect(cluster([policy('p', 'a.test'), rule({ outlierDetection: {} })])).toMatchObject({
      tls: { sni: 'a.test' },
      resources: ['DestinationRule default/a', 'BackendTLSPolicy default/p'],
    });
  });

  it('is for ServiceEntries and hosts as well', () => {
    const entry = serviceEntry('e', { hosts: ['e.test'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'DNS' });
    const sni = (ref: object): string | null =>
      clusterAt(modelOf([entry, policy('p', 'x.test', { targetRefs: [ref] })]), 'outbound|80||e.test').tls.sni;
    expect(sni({ group: 'networking.istio.io', kind: 'ServiceEntry', name: 'e' })).toBe('x.test');
    expect(sni({ group: 'networking.istio.io', kind: 'Hostname', name: 'e.test' })).toBe('x.test');
    expect(sni({ group: '', kind: 'Service', name: 'e' })).toBeNull();
  });
});
