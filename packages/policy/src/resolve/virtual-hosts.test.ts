import { describe, expect, it } from 'vitest';
import type { VirtualHost, Workload } from '../model.ts';
import { aged, hostAt, meshConfig, modelOf, routesAt, service, serviceEntry, targetsOf, to, virtualService } from './trying.ts';

const SERVICES = [service('a'), service('b'), service('c')];
const vs = (name: string, hosts: readonly string[], target: string, metadata: object = {}, spec: object = {}): string =>
  virtualService(name, { hosts, http: [to(`${target}.default.svc.cluster.local`)], ...spec }, metadata);
const at = (documents: readonly string[], domain: string, port: number | null = 80, who: Partial<Workload> = {}): VirtualHost => {
  const found = hostAt(modelOf([...SERVICES, ...documents], who), domain, port);
  if (found === undefined) throw new Error(`no host ${domain}:${port}`);
  return found;
};
const target = (host: VirtualHost): string => targetsOf(host.routes[0]!).replace(/outbound\|\d+\|\|(\w+)\..*/, '$1');

describe('a service', () => {
  it('without rules has the implicit route, with the default retries', () => {
    const host = at([], 'a');
    expect(host).toMatchObject({
      name: 'a.default.svc.cluster.local:80',
      port: 80,
      service: 'a.default.svc.cluster.local',
      why: ['calls to a.default.svc.cluster.local:80 go to the service itself'],
    });
    expect(host.routes).toMatchObject([
      { name: 'default', resource: null, timeoutMs: null, retries: { attempts: 2, ignorePreviousHosts: true } },
    ]);
    expect(at([meshConfig({ defaultHttpRetryPolicy: { attempts: 0 } })], 'a').routes[0]?.retries).toBeNull();
    expect(at([meshConfig({ defaultHttpRetryPolicy: { attempts: 5, retryOn: '5xx' } })], 'a').routes[0]?.retries).toMatchObject({
      attempts: 5,
      retryOn: ['5xx'],
    });
  });

  it('has a host for each port, and none for UDP', () => {
    const model = modelOf([
      service('m', {
        ports: ['http:80', 'grpc:90'],
        spec: {
          ports: [
            { name: 'http', port: 80 },
            { name: 'dns', port: 53, protocol: 'UDP' },
            { name: 'grpc', port: 90 },
          ],
        },
      }),
    ]);
    expect(model.hosts.map(({ name }) => name)).toEqual(['m.default.svc.cluster.local:80', 'm.default.svc.cluster.local:90']);
  });

  it('on a TCP port no rule for HTTP holds, and nothing is retried', () => {
    const db = service('db', { ports: ['tcp-db:5432'] });
    const host = at([db, vs('db', ['db'], 'b')], 'db', 5432);
    expect(host.routes).toMatchObject([{ resource: null, retries: null }]);
    expect(host.why).toEqual([
      'port 5432 of db.default.svc.cluster.local is declared TCP: rules for HTTP do not hold there, and calls are not retried',
    ]);
  });

  it('on a port that declares nothing rules for HTTP hold', () => {
    expect(target(at([service('m', { ports: ['8080'] }), vs('m', ['m'], 'b')], 'm', 8080))).toBe('b');
  });

  it('on an HTTPS port rules for HTTP hold too, and it says so', () => {
    const host = at([service('m', { ports: ['https:443'] }), vs('m', ['m'], 'b')], 'm', 443);
    expect(target(host)).toBe('b');
    expect(host.why.join()).toContain('a sidecar could not apply them');
  });

  it('answers to its short names as the client may write them, and nobody else does', () => {
    expect(at([], 'a.default').domains).toEqual([
      'a.default.svc.cluster.local',
      'a.default.svc.cluster.local.',
      'a',
      'a.default',
      'a.default.svc',
    ]);
    expect(at([], 'a.default', 80, { namespace: 'zoo' }).domains).not.toContain('a');
  });

  it('a full name belongs to its service, whatever short forms another has', () => {
    const squatter = serviceEntry('x', {
      hosts: ['a.default'],
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      resolution: 'DNS',
    });
    expect(at([squatter], 'a.default').service).toBe('a.default');
    expect(at([squatter], 'a').domains).toEqual(['a.default.svc.cluster.local', 'a.default.svc.cluster.local.', 'a', 'a.default.svc']);
  });
});

describe('which VirtualService governs', () => {
  it.each([
    ['the oldest', [vs('x', ['a'], 'b', aged(2)), vs('y', ['a'], 'c', aged(1))], 'c'],
    ['of the same age, by name', [vs('y', ['a'], 'c', aged(1)), vs('x', ['a'], 'b', aged(1))], 'b'],
    ['of the same name, by namespace', [vs('x', ['a'], 'b'), vs('x', ['a.default.svc.cluster.local'], 'c', { namespace: 'aaa' })], 'c'],
    [
      'its own namespace is no privilege',
      [vs('x', ['a'], 'b', aged(2)), vs('y', ['a.default.svc.cluster.local'], 'c', { namespace: 'zoo', ...aged(1) })],
      'c',
    ],
    ['without a timestamp it counts as oldest', [vs('x', ['a'], 'b', aged(1)), vs('y', ['a'], 'c')], 'c'],
    [
      'the name before a wildcard, however old',
      [vs('x', ['*.default.svc.cluster.local'], 'b', aged(1)), vs('y', ['a'], 'c', aged(2))],
      'c',
    ],
    ['the longest wildcard', [vs('x', ['*.cluster.local'], 'b', aged(1)), vs('y', ['*.default.svc.cluster.local'], 'c', aged(2))], 'c'],
    ['the oldest of one wildcard', [vs('x', ['*.cluster.local'], 'b', aged(2)), vs('y', ['*.cluster.local'], 'c', aged(1))], 'c'],
    ['none that is bound to gateways only', [vs('x', ['a'], 'b', {}, { gateways: ['edge'] })], 'a'],
    ['one bound to the mesh as well', [vs('x', ['a'], 'b', {}, { gateways: ['edge', 'mesh'] })], 'b'],
    [
      'a second one for the host if the oldest says nothing on the port',
      [vs('x', ['a'], 'b', aged(1), { http: [{ match: [{ port: 81 }], ...to('b') }] }), vs('y', ['a'], 'c', aged(2))],
      'c',
    ],
    [
      'no wildcard if the one for the name says nothing on the port',
      [vs('x', ['*.cluster.local'], 'b'), vs('y', ['a'], 'c', {}, { http: [{ match: [{ port: 81 }], ...to('c') }] })],
      'a',
    ],
    [
      'none whose blocks all fail: then the service itself',
      [vs('x', ['a'], 'b', {}, { http: [{ match: [{ sourceNamespace: 'zoo' }], ...to('b') }] })],
      'a',
    ],
  ])('%s', (_, documents, expected) => {
    expect(target(at(documents, 'a'))).toBe(expected);
  });

  it('says who won, who lost, and why', () => {
    expect(at([vs('x', ['a'], 'b', aged(2)), vs('y', ['a'], 'c', aged(1)), vs('z', ['a'], 'c', aged(1))], 'a').why).toEqual([
      'VirtualService default/y governs port 80',
      'VirtualService default/z is not used: VirtualService default/y is as old and comes first by name, and rules for one host are not merged',
      'VirtualService default/x is not used: VirtualService default/y is older, and rules for one host are not merged',
    ]);
    expect(at([vs('x', ['a'], 'b', {}, { http: [{ match: [{ sourceNamespace: 'zoo' }], ...to('b') }] })], 'a').why).toEqual([
      'VirtualService default/x says nothing for calls of this workload on port 80',
      'calls to a.default.svc.cluster.local:80 go to the service itself',
    ]);
  });

  it('one that names a host twice does not lose against itself', () => {
    const twice = at([virtualService('x', { hosts: ['a', 'a.default.svc.cluster.local'], http: [to('b')] })], 'a');
    expect(twice.why).toEqual(['VirtualService default/x governs port 80']);
  });

  it('a rule for a port is none for the other ports of the service', () => {
    const documents = [
      service('m', { ports: ['http:80', 'http-x:81'] }),
      vs('m', ['m'], 'b', {}, { http: [{ match: [{ port: 81 }], ...to('b.default.svc.cluster.local') }] }),
    ];
    expect([target(at(documents, 'm', 80)), target(at(documents, 'm', 81))]).toEqual(['m', 'b']);
  });

  it('a rule whose conditions no call meets leaves no implicit route behind it', () => {
    expect(at([vs('x', ['a'], 'b', {}, { http: [{ match: [{ uri: { exact: '/only' } }], ...to('b') }] })], 'a').routes).toHaveLength(1);
  });
});

describe('a host no registry knows', () => {
  it('is governed on any port', () => {
    const host = at([vs('x', ['api.example.com'], 'b')], 'api.example.com', null);
    expect(host).toMatchObject({ name: 'api.example.com:*', port: null, service: null });
    expect(target(host)).toBe('b');
    expect(host.why.at(-1)).toContain('behind a sidecar on port 80 only');
  });

  it('says something of its own on the ports its rules name', () => {
    const model = modelOf([...SERVICES, vs('x', ['x.test'], 'b', {}, { http: [{ match: [{ port: 8443 }], ...to('c') }, to('b')] })]);
    expect([8443, null].map((port) => target(hostAt(model, 'x.test', port)!))).toEqual(['c', 'b']);
  });

  it('goes to the port addressed where the destination has several', () => {
    const model = modelOf([service('m', { ports: ['http:80', 'http-x:81'] }), vs('x', ['x.test'], 'm')]);
    expect([80, 81, null].map((port) => targetsOf(routesAt(model, 'x.test', port)[0]!))).toEqual([
      'outbound|80||m.default.svc.cluster.local×1',
      'outbound|81||m.default.svc.cluster.local×1',
      'outbound|0||m.default.svc.cluster.local!503',
    ]);
  });

  it('a wildcard governs unknown hosts, unless services are covered by it: then only these', () => {
    expect(at([vs('x', ['*.example.com'], 'b')], '*.example.com', null).domains).toEqual(['*.example.com']);
    const model = modelOf([...SERVICES, vs('x', ['*.svc.cluster.local'], 'b')]);
    expect(hostAt(model, '*.svc.cluster.local', null)).toBeUndefined();
    expect(target(hostAt(model, 'a', 80)!)).toBe('b');
  });

  it('a ServiceEntry for a wildcard is governed by rules for the same wildcard, on its ports', () => {
    const entry = serviceEntry('w', {
      hosts: ['*.example.com'],
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      resolution: 'NONE',
    });
    const model = modelOf([...SERVICES, entry, vs('x', ['*.example.com'], 'b')]);
    expect(target(hostAt(model, '*.example.com', 80)!)).toBe('b');
    expect(hostAt(model, '*.example.com', null)).toBeUndefined();
  });

  it('a short name means the namespace of the rule, and has the client’s forms', () => {
    expect(at([vs('x', ['later'], 'b')], 'later', null).domains).toEqual([
      'later.default.svc.cluster.local',
      'later.default.svc.cluster.local.',
      'later',
      'later.default',
      'later.default.svc',
    ]);
  });
});
