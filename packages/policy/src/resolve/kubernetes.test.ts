import { describe, expect, it } from 'vitest';
import type { EndpointSpec, Service } from '../model.ts';
import { protocolOf, workloadOf } from './kubernetes.ts';
import { clusterAt, hostAt, modelOf, routesAt, service, targetsOf, to, virtualService } from './trying.ts';

const slice = (
  name: string,
  endpoints: readonly object[],
  {
    ports = [{ name: 'http', port: 8080 }],
    addressType = 'IPv4',
    of = 'a',
  }: { readonly ports?: readonly object[]; readonly addressType?: string; readonly of?: string } = {},
): string =>
  JSON.stringify({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': of } },
    addressType,
    endpoints,
    ports,
  });
const pod = (name: string, labels: object, spec: object = {}): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default', labels }, spec });
const node = (name: string, labels: object): string => JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels } });
const ref = (name: string): object => ({ targetRef: { kind: 'Pod', name, namespace: 'default' } });

const resolved = (documents: readonly string[], host = 'a.default.svc.cluster.local'): Service => {
  const found = modelOf(documents).services.find((one) => one.host === host);
  if (found === undefined) throw new Error(`no service ${host}`);
  return found;
};
const members = (documents: readonly string[]): readonly EndpointSpec[] => resolved(documents).endpoints;
const summary = (documents: readonly string[]): string[] =>
  members(documents).map(({ host, ports, health }) => `${host} ${JSON.stringify(ports)} ${health}`);

describe('a Service of Kubernetes', () => {
  it('has its slices’ members with labels of the pod and place of the node', () => {
    const documents = [
      service('a', { spec: { clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.1', 'fd00::1'] } }),
      slice('a-1', [{ addresses: ['10.0.0.1', '10.0.0.9'], nodeName: 'n1', zone: 'elsewhere', ...ref('a-v1-abc-xyz') }]),
      pod('a-v1-abc-xyz', { app: 'a', version: 'v1', 'pod-template-hash': 'abc' }, { serviceAccountName: 'sa-a' }),
      node('n1', { 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': 'eu-a', 'topology.istio.io/subzone': 'r1' }),
    ];
    expect(resolved(documents)).toEqual({
      host: 'a.default.svc.cluster.local',
      name: 'a',
      namespace: 'default',
      resource: 'Service default/a',
      location: 'internal',
      resolution: 'static',
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      addresses: ['10.96.0.1', 'fd00::1'],
      headless: false,
      subjectAltNames: [],
      annotations: {},
      endpoints: [
        {
          host: '10.0.0.1',
          ports: { 80: 8080 },
          labels: { app: 'a', version: 'v1', 'pod-template-hash': 'abc' },
          locality: { region: 'eu', zone: 'eu-a', subzone: 'r1' },
          network: '',
          weight: 1,
          serviceAccount: 'sa-a',
          mtls: false,
          workload: 'a-v1',
          namespace: 'default',
          node: 'n1',
          health: 'healthy',
        },
      ],
    });
    expect(hostAt(modelOf(documents), '10.96.0.1', 80)?.domains).toEqual(expect.arrayContaining(['10.96.0.1', 'fd00::1', '[fd00::1]']));
  });

  it('without a node the zone of the slice holds, and a label of the pod beats both', () => {
    const documents = [
      service('a'),
      slice('a-1', [
        { addresses: ['1.1.1.1'], zone: 'z' },
        { addresses: ['1.1.1.2'], zone: 'z', ...ref('p') },
      ]),
      pod('p', { 'istio-locality': 'r.z2.s' }),
    ];
    expect(members(documents).map(({ locality }) => locality)).toEqual([
      { region: '', zone: 'z', subzone: '' },
      { region: 'r', zone: 'z2', subzone: 's' },
    ]);
  });

  it.each([
    ['no conditions', {}, false, 'healthy'],
    ['ready', { ready: true }, false, 'healthy'],
    ['unknown', { ready: null }, false, 'healthy'],
    ['not ready', { ready: false }, false, undefined],
    ['not ready, published', { ready: false }, true, 'unhealthy'],
    ['leaving, still serving', { ready: false, serving: true, terminating: true }, false, 'draining'],
    ['leaving, no longer serving', { ready: false, serving: false, terminating: true }, false, undefined],
  ])('%s', (_, conditions, publishNotReadyAddresses, health) => {
    const given = Object.fromEntries(Object.entries(conditions).filter(([, value]) => value !== null));
    expect(
      members([service('a', { spec: { publishNotReadyAddresses } }), slice('a-1', [{ addresses: ['1.1.1.1'], conditions: given }])])[0]
        ?.health,
    ).toBe(health);
  });

  it('counts a member once, however many slices name it', () => {
    const one = { addresses: ['1.1.1.1'], ...ref('p') };
    expect(summary([service('a'), slice('a-1', [one]), slice('a-2', [one])])).toEqual(['1.1.1.1 {"80":8080} healthy']);
  });

  it('puts the ports of one address together', () => {
    const one = { addresses: ['1.1.1.1'], ...ref('p') };
    const two = service('a', { ports: ['http:80', 'grpc:90'] });
    expect(summary([two, slice('a-1', [one]), slice('a-2', [one], { ports: [{ name: 'grpc', port: 9090 }] })])).toEqual([
      '1.1.1.1 {"80":8080,"90":9090} healthy',
    ]);
  });

  it('tells processes of one address apart by their port', () => {
    const local = [{ addresses: ['127.0.0.1'] }];
    expect(
      summary([
        service('a'),
        slice('a-1', local, { ports: [{ name: 'http', port: 1 }] }),
        slice('a-2', local, { ports: [{ name: 'http', port: 2 }] }),
      ]),
    ).toEqual(['127.0.0.1 {"80":1} healthy', '127.0.0.1 {"80":2} healthy']);
  });

  it('takes one address family of a pod: that of its first cluster IP', () => {
    const slices = [
      slice('v6', [{ addresses: ['fd00::7'], ...ref('p') }], { addressType: 'IPv6' }),
      slice('v4', [
        { addresses: ['1.1.1.1'], ...ref('p') },
        { addresses: ['1.1.1.2'], ...ref('q') },
      ]),
    ];
    const hosts = (clusterIP: string): string[] => members([service('a', { spec: { clusterIP } }), ...slices]).map(({ host }) => host);
    expect(hosts('10.0.0.1')).toEqual(['1.1.1.1', '1.1.1.2']);
    expect(hosts('fd00::1')).toEqual(['fd00::7', '1.1.1.2']);
  });

  it('matches ports by name, and single unnamed ones whatever they are called', () => {
    expect(
      summary([service('a', { ports: ['80'] }), slice('a-1', [{ addresses: ['1.1.1.1'] }], { ports: [{ name: 'web', port: 3000 }] })]),
    ).toEqual(['1.1.1.1 {"80":3000} healthy']);
    expect(
      summary([
        service('a', { ports: ['http:80', 'admin:81'] }),
        slice('a-1', [{ addresses: ['1.1.1.1'] }], { ports: [{ name: 'admin', port: 3000 }] }),
      ]),
    ).toEqual(['1.1.1.1 {"81":3000} healthy']);
  });

  it('without a slice its name is looked up; with an empty one nobody is there', () => {
    expect(resolved([service('a')])).toMatchObject({ resolution: 'dns', endpoints: [] });
    expect(resolved([service('a'), slice('a-1', [])])).toMatchObject({ resolution: 'static', endpoints: [] });
  });

  it('headless: pods are addressed by their names, and DNS does not translate ports', () => {
    const headless = { spec: { clusterIP: 'None', ports: [{ name: 'http', port: 80, targetPort: 8080 }] } };
    const model = modelOf([service('a', headless), slice('a-1', [{ addresses: ['1.1.1.1'], hostname: 'a-0' }])]);
    expect(model.services[0]).toMatchObject({ headless: true, addresses: [], endpoints: [{ host: '1.1.1.1', hostname: 'a-0' }] });
    expect(hostAt(model, '*.a.default.svc.cluster.local', 80)?.domains).toContain('*.a.default');
    expect(resolved([service('a', headless)]).endpoints).toMatchObject([{ host: 'a.default.svc.cluster.local', ports: { 80: 8080 } }]);
  });

  it('ExternalName: a name to look up', () => {
    const given = service('a', { spec: { type: 'ExternalName', externalName: 'api.example.com.' } });
    const model = modelOf([given]);
    expect(model.services[0]).toMatchObject({
      resolution: 'dns',
      location: 'external',
      endpoints: [{ host: 'api.example.com', ports: { 80: 80 } }],
    });
    expect(clusterAt(model, 'outbound|80||a.default.svc.cluster.local').tls.mode).toBe('DISABLE');
  });

  it('ExternalName of a service of the mesh is one more name of that service', () => {
    const documents = [
      service('old', { spec: { type: 'ExternalName', externalName: 'a.default.svc.cluster.local', ports: [] } }),
      service('a'),
      service('b'),
      virtualService('a', { hosts: ['a'], http: [to('b')] }),
    ];
    expect(targetsOf(routesAt(modelOf(documents), 'old')[0]!)).toBe('outbound|80||b.default.svc.cluster.local×1');
    expect(hostAt(modelOf(documents), 'old', 80)?.name).toBe('a.default.svc.cluster.local:80');
  });
});

describe('protocol of a port', () => {
  it.each([
    ['http', undefined, 80, 'HTTP'],
    ['http-web', undefined, 80, 'HTTP'],
    ['HTTP2-x', undefined, 80, 'HTTP2'],
    ['grpc', undefined, 80, 'GRPC'],
    ['grpc-web', undefined, 80, 'GRPC_WEB'],
    ['grpc-web-x', undefined, 80, 'GRPC_WEB'],
    ['https', undefined, 443, 'HTTPS'],
    ['tls-x', undefined, 443, 'TLS'],
    ['tcp-x', undefined, 80, 'TCP'],
    ['mongo', undefined, 80, 'MONGO'],
    ['web-http', undefined, 80, 'UNSUPPORTED'],
    ['httpx', undefined, 80, 'UNSUPPORTED'],
    [undefined, undefined, 80, 'UNSUPPORTED'],
    [undefined, undefined, 3306, 'TCP'],
    ['tcp', 'http', 80, 'HTTP'],
    ['http', 'kubernetes.io/h2c', 80, 'HTTP2'],
    ['http', 'kubernetes.io/ws', 80, 'HTTP'],
    ['http', 'kubernetes.io/wss', 80, 'HTTPS'],
    ['http', 'example.com/own', 80, 'UNSUPPORTED'],
  ] as const)('name %s, appProtocol %s, port %i: %s', (name, appProtocol, port, expected) => {
    expect(protocolOf({ name, appProtocol, port, protocol: 'TCP' })).toBe(expected);
  });

  it('what is not TCP is no HTTP', () => {
    expect(protocolOf({ name: 'http', port: 80, protocol: 'UDP' })).toBe('UDP');
  });
});

describe('workload of a pod', () => {
  it.each([
    ['reviews-v1-5d8f9c-abcde', { 'pod-template-hash': '5d8f9c' }, 'reviews-v1'],
    ['db-0', { 'statefulset.kubernetes.io/pod-name': 'db-0' }, 'db'],
    ['lonely-1', {}, 'lonely-1'],
  ])('%s', (name, labels, expected) => {
    expect(workloadOf(name, labels)).toBe(expected);
  });
});
