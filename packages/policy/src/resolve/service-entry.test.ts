import { describe, expect, it } from 'vitest';
import type { Service } from '../model.ts';
import { REGISTERED_LABEL } from '../kinds/service-entry.ts';
import { aged, clusterAt, hostAt, modelOf, service, serviceEntry, workloadEntry } from './trying.ts';

const HTTP = { number: 80, name: 'http', protocol: 'HTTP' };
const only = (documents: readonly string[]): Service => modelOf(documents).services[0]!;
const entry = (spec: object, metadata: object = {}): string =>
  serviceEntry('api', { hosts: ['api.test'], ports: [HTTP], resolution: 'STATIC', ...spec }, metadata);

describe('a ServiceEntry', () => {
  it('is a service for each of its hosts', () => {
    const model = modelOf([entry({ hosts: ['API.test', '*.more.test'], resolution: 'NONE', addresses: ['240.0.0.1', '10.0.0.0/8'] })]);
    expect(model.services.map(({ host, resource, location, resolution }) => [host, resource, location, resolution])).toEqual([
      ['*.more.test', 'ServiceEntry default/api', 'external', 'none'],
      ['api.test', 'ServiceEntry default/api', 'external', 'none'],
    ]);
    expect(hostAt(model, 'api.test', 80)?.domains).toEqual(['api.test', 'api.test.']);
    expect(hostAt(model, '*.more.test', 80)?.domains).toEqual(['*.more.test', '*.more.test.', '240.0.0.1']);
    expect(clusterAt(model, 'outbound|80||*.more.test').loadBalancer).toEqual({ kind: 'passthrough' });
  });

  it('keeps the annotations of ours, for the registries it is known to', () => {
    const annotations = { 'inmesh.dev/consul-service': 'api', 'kubectl.kubernetes.io/last-applied-configuration': '{}' };
    expect(only([entry({}, { annotations })]).annotations).toEqual({ 'inmesh.dev/consul-service': 'api' });
    const second = serviceEntry('b', { hosts: ['api.test'], ports: [HTTP], resolution: 'STATIC' }, { annotations });
    expect(only([entry({}), second]).annotations).toEqual({ 'inmesh.dev/consul-service': 'api' });
  });

  it('has endpoints with the port of the entry, else targetPort, else the number', () => {
    const ports = [HTTP, { number: 81, name: 'admin', protocol: 'HTTP', targetPort: 8081 }];
    const service = only([
      entry({
        ports,
        endpoints: [
          {
            address: '1.1.1.1',
            ports: { http: 7000, admin: 7001 },
            labels: { version: 'v1' },
            locality: 'eu/a/1',
            weight: 5,
            network: 'n',
            serviceAccount: 'sa',
          },
          { address: '1.1.1.2' },
        ],
      }),
    ]);
    expect(service.endpoints).toEqual([
      { host: '1.1.1.1', ports: { 80: 7000, 81: 7001 }, labels: { version: 'v1' }, locality: { region: 'eu', zone: 'a', subzone: '1' }, network: 'n', weight: 5, serviceAccount: 'sa', mtls: false, workload: '', namespace: 'default', node: '', health: 'healthy' },
      { host: '1.1.1.2', ports: { 80: 80, 81: 8081 }, labels: {}, locality: { region: '', zone: '', subzone: '' }, network: '', weight: 1, serviceAccount: '', mtls: false, workload: '', namespace: 'default', node: '', health: 'healthy' },
    ]); // prettier-ignore
  });

  it.each([
    ['STATIC', 'static'],
    ['DNS', 'dns'],
    ['DNS_ROUND_ROBIN', 'dnsRoundRobin'],
    ['NONE', 'none'],
  ])('resolution %s', (resolution, expected) => {
    expect(only([entry({ resolution })]).resolution).toBe(expected);
  });

  it('with DNS and no endpoints looks its host up, and says so only to translate a port', () => {
    expect(only([entry({ resolution: 'DNS' })]).endpoints).toEqual([]);
    expect(only([entry({ resolution: 'DNS', ports: [{ ...HTTP, targetPort: 443 }] })]).endpoints).toMatchObject([
      { host: 'api.test', ports: { 80: 443 } },
    ]);
  });

  it('a wildcard with DYNAMIC_DNS calls whatever name was asked for', () => {
    const model = modelOf([entry({ hosts: ['*.api.test'], resolution: 'DYNAMIC_DNS' })]);
    expect(clusterAt(model, 'outbound|80||*.api.test')).toMatchObject({ resolution: 'dynamicDns', loadBalancer: { kind: 'passthrough' } });
  });

  it('selects WorkloadEntries of its namespace by labels, also those of their metadata', () => {
    const service = only([
      entry({ workloadSelector: { labels: { app: 'vm' } } }),
      workloadEntry('vm-1', { address: '2.2.2.1', labels: { app: 'vm', version: 'v1' }, ports: { http: 9000 } }),
      workloadEntry('vm-2', { address: '2.2.2.2' }, { labels: { app: 'vm' } }),
      workloadEntry('vm-3', { address: '2.2.2.3', labels: { app: 'other' } }),
      workloadEntry('vm-4', { address: '2.2.2.4', labels: { app: 'vm' } }, { namespace: 'zoo' }),
    ]);
    expect(service.endpoints.map(({ host, ports, workload }) => [host, ports, workload])).toEqual([
      ['2.2.2.1', { 80: 9000 }, 'vm-1'],
      ['2.2.2.2', { 80: 80 }, 'vm-2'],
    ]);
  });

  it('selects pods, whose addresses EndpointSlices tell', () => {
    const json = (resource: object): string => JSON.stringify(resource);
    const service = only([
      entry({ workloadSelector: { labels: { app: 'vm' } }, ports: [{ ...HTTP, targetPort: 8080 }] }),
      json({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'default', labels: { app: 'vm' } }, spec: {} }),
      json({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 's', namespace: 'default', labels: { 'kubernetes.io/service-name': 'vm' } },
        addressType: 'IPv4',
        endpoints: [{ addresses: ['3.3.3.3'], targetRef: { kind: 'Pod', name: 'p' } }],
        ports: [{ name: 'other', port: 1 }],
      }),
    ]);
    expect(service.endpoints).toMatchObject([{ host: '3.3.3.3', ports: { 80: 8080 }, labels: { app: 'vm' } }]);
  });

  it('entries of one namespace for one host are one service, of several the own one', () => {
    const second = (name: string, namespace: string, days: number): string =>
      serviceEntry(
        name,
        {
          hosts: ['api.test'],
          resolution: 'STATIC',
          ports: [
            { ...HTTP, protocol: 'HTTP2' },
            { number: 90, name: 'grpc', protocol: 'GRPC' },
          ],
          endpoints: [{ address: `9.9.9.${days}` }],
        },
        { namespace, ...aged(days) },
      );
    const service = only([second('b', 'default', 2), entry({ endpoints: [{ address: '1.1.1.1' }] }, aged(1)), second('c', 'zoo', 0)]);
    expect(service.resource).toBe('ServiceEntry default/api');
    expect(service.ports.map(({ number, protocol }) => `${number} ${protocol}`)).toEqual(['80 HTTP', '90 GRPC']);
    expect(service.endpoints.map(({ host }) => host)).toEqual(['1.1.1.1', '9.9.9.2']);
  });

  it('of a registry gives way to whatever else declares its host, in any namespace, however young', () => {
    const registered = (host: string) =>
      serviceEntry(
        `registered.${host}`,
        { hosts: [host], ports: [HTTP], resolution: 'STATIC' },
        { labels: { [REGISTERED_LABEL]: 'true' } },
      );
    const declared = entry({ ports: [{ ...HTTP, number: 8080 }], endpoints: [{ address: '1.1.1.1' }] }, { ...aged(9), namespace: 'other' });
    const model = modelOf([
      registered('api.test'),
      registered('free.test'),
      registered('reviews.default.svc.cluster.local'),
      declared,
      service('reviews'),
    ]);
    expect(model.services.map(({ host, resource }) => [host, resource])).toEqual([
      ['api.test', 'ServiceEntry other/api'],
      ['free.test', 'ServiceEntry default/registered.free.test'],
      ['reviews.default.svc.cluster.local', 'Service default/reviews'],
    ]);
    expect(model.services[0]!.ports).toEqual([{ number: 8080, name: 'http', protocol: 'HTTP' }]);
  });
});
