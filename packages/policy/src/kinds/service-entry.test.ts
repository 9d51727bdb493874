import { describe, expect, it } from 'vitest';
import { documentOf, judge, named, resource, type Row } from '../testing/problems.ts';
import { isKind } from './index.ts';

const ports = [{ number: 80, name: 'http', protocol: 'HTTP' }];
const entry = (spec: object): object => ({ hosts: ['a.b.com'], ports, resolution: 'DNS', ...spec });
const address = '10.0.0.1';

const serviceEntries: readonly Row[] = [
  ['a host with DNS', entry({}), null],
  ['no hosts', { ports, resolution: 'DNS' }, 'spec.hosts', /required/],
  ['empty hosts', entry({ hosts: [] }), 'spec.hosts', /empty/],
  ['257 hosts', entry({ hosts: Array.from({ length: 257 }, (_, index) => `h${index}.b`) }), 'spec.hosts', /256/],
  ['the host *', entry({ hosts: ['*'], resolution: 'NONE' }), 'spec.hosts[0]', /no host of a service/],
  ['a host twice', entry({ hosts: ['a.b', 'A.b'] }), 'spec.hosts[1]', /twice/],
  ['a host that is none', entry({ hosts: ['a b'] }), 'spec.hosts[0]', /not a host/],
  ['a port number twice', entry({ ports: [...ports, { number: 80, name: 'b', protocol: 'TCP' }] }), 'spec.ports[1].number', /twice/],
  ['a port name twice', entry({ ports: [...ports, { number: 81, name: 'http', protocol: 'TCP' }] }), 'spec.ports[1].name', /twice/],
  ['a port without a name', entry({ ports: [{ number: 80 }] }), 'spec.ports[0].name', /required/],
  ['a protocol that is none', entry({ ports: [{ number: 80, name: 'a', protocol: 'SMTP' }] }), 'spec.ports[0].protocol', /not a protocol/],
  ['targetPort with NONE', entry({ resolution: 'NONE', ports: [{ ...ports[0], targetPort: 81 }] }), 'spec.ports[0].targetPort', /no meaning/, 'warning'],
  ['an address that is none', entry({ addresses: ['10.0.0.1/33'] }), 'spec.addresses[0]', /CIDR/],
  ['TCP without addresses', entry({ resolution: 'NONE', ports: [{ number: 1, name: 'a', protocol: 'TCP' }] }), 'spec.addresses', /add|match every/, 'warning'],

  ['endpoints with NONE', entry({ resolution: 'NONE', endpoints: [{ address }] }), 'spec.endpoints', /excludes/],
  ['STATIC without endpoints', entry({ resolution: 'STATIC' }), 'spec.endpoints', /nobody/, 'warning'],
  ['STATIC with a host name', entry({ resolution: 'STATIC', endpoints: [{ address: 'a.b' }] }), 'spec.endpoints[0].address', /not an IP/],
  ['STATIC with IPv6', entry({ resolution: 'STATIC', endpoints: [{ address: 'fd00::1' }] }), null],
  ['DNS with a host name', entry({ endpoints: [{ address: 'a.b' }] }), null],
  ['DNS with a name of SRV records', entry({ endpoints: [{ address: '_http._tcp.a.b' }] }), null],
  ['DNS with a host of SRV records', entry({ hosts: ['_http._tcp.a.b'] }), null],
  ['STATIC with a name of SRV records', entry({ resolution: 'STATIC', endpoints: [{ address: '_http._tcp.a.b' }] }), 'spec.endpoints[0].address', /not an IP/],
  ['DNS of a wildcard without endpoints', entry({ hosts: ['*.b.com'] }), 'spec.hosts[0]', /looked up/],
  ['DNS of a wildcard with endpoints', entry({ hosts: ['*.b.com'], endpoints: [{ address: 'a.b' }] }), null],
  ['DNS_ROUND_ROBIN with two endpoints', entry({ resolution: 'DNS_ROUND_ROBIN', endpoints: [{ address: 'a' }, { address: 'b' }] }), 'spec.endpoints', /one endpoint/],
  ['DYNAMIC_DNS', entry({ resolution: 'DYNAMIC_DNS', hosts: ['*.b.com'] }), null],
  ['DYNAMIC_DNS of a plain host', entry({ resolution: 'DYNAMIC_DNS' }), 'spec.hosts[0]', /wildcard/],
  ['DYNAMIC_DNS with addresses', entry({ resolution: 'DYNAMIC_DNS', hosts: ['*.b.com'], addresses: ['10.0.0.1'] }), 'spec.addresses', /excludes/],
  ['DYNAMIC_DNS with endpoints', entry({ resolution: 'DYNAMIC_DNS', hosts: ['*.b.com'], endpoints: [{ address }] }), 'spec.endpoints', /excludes/],
  ['DYNAMIC_DNS for TCP', entry({ resolution: 'DYNAMIC_DNS', hosts: ['*.b.com'], ports: [{ number: 1, name: 'a', protocol: 'TCP' }] }), 'spec.ports[0].protocol', /cannot serve/],
  ['a resolution that is none', entry({ resolution: 'STATICS' }), 'spec.resolution', /not one of/],
  ['endpoints beside workloadSelector', entry({ resolution: 'STATIC', endpoints: [{ address }], workloadSelector: { labels: { a: 'b' } } }), 'spec.workloadSelector', /exclude/],
  ['a port that the service has not', entry({ resolution: 'STATIC', endpoints: [{ address, ports: { web: 8080 } }] }), 'spec.endpoints[0].ports.web', /no port named/],
  ['a unix socket', entry({ resolution: 'STATIC', endpoints: [{ address: 'unix:///run/a' }] }), null],
  ['a unix socket with DNS', entry({ endpoints: [{ address: 'unix:///run/a' }] }), 'spec.endpoints[0].address', /STATIC/],
  ['a unix socket with a port', entry({ resolution: 'STATIC', endpoints: [{ address: 'unix:///run/a', ports: { http: 1 } }] }), 'spec.endpoints[0].ports', /no ports/],
  ['a relative socket', entry({ resolution: 'STATIC', endpoints: [{ address: 'unix://run/a' }] }), 'spec.endpoints[0].address', /absolute/],
  ['two ports on a socket', entry({ resolution: 'STATIC', ports: [...ports, { number: 81, name: 'b', protocol: 'HTTP' }], endpoints: [{ address: 'unix:///run/a' }] }), 'spec.endpoints[0].address', /one port/],
  ['an endpoint without address', entry({ resolution: 'STATIC', endpoints: [{}] }), 'spec.endpoints[0].address', /missing/],
  ['DYNAMIC_DNS with workloadSelector', entry({ resolution: 'DYNAMIC_DNS', hosts: ['*.b.com'], workloadSelector: { labels: { a: 'b' } } }), 'spec.workloadSelector', /excludes/],
  ['DNS_ROUND_ROBIN with a range', entry({ resolution: 'DNS_ROUND_ROBIN', addresses: ['10.0.0.0/8'] }), 'spec.addresses[0]', /range/],
  ['a selector without labels', entry({ resolution: 'STATIC', workloadSelector: {} }), 'spec.workloadSelector.labels', /every workload/, 'warning'],
  ['a host that is an address', entry({ hosts: ['10.0.0.1'] }), 'spec.hosts[0]', /IP address/, 'warning'],
  ['an empty port name', entry({ ports: [{ number: 80, name: '', protocol: 'HTTP' }] }), 'spec.ports[0].name', /no name/],
  ['exportTo ~', entry({ exportTo: ['~'] }), null],
  ['exportTo ~ beside others', entry({ exportTo: ['~', 'a'] }), 'spec.exportTo[0]', /alone/],
]; // prettier-ignore

const workloadEntries: readonly Row[] = [
  ['an address', { address }, null],
  ['a host name', { address: 'vm1.example.com' }, null],
  ['a network alone', { network: 'n1' }, null],
  ['nothing', {}, 'spec.address', /missing/],
  ['a wildcard', { address: '*.b' }, 'spec.address', /wildcard|neither/],
  ['a negative weight', { address, weight: -1 }, 'spec.weight', /-1/],
  ['a locality with a hole', { address, locality: 'a//c' }, 'spec.locality', /not a locality/],
  ['a port of 70000', { address, ports: { http: 70_000 } }, 'spec.ports.http', /65535/],
  ['the key __proto__', JSON.parse('{"address":"10.0.0.1","labels":{"__proto__":"x"}}'), 'spec.labels.__proto__', /cannot be a key/],
]; // prettier-ignore

const workloadGroups: readonly Row[] = [
  ['a template', { template: { ports: { http: 80 } }, probe: { httpGet: { port: 80 } } }, null],
  ['a command, which callers cannot run', { template: {}, probe: { exec: { command: ['true'] } } }, 'spec.probe.exec', /not honoured/, 'info'],
  ['no template', {}, 'spec.template', /required/],
  ['a probe without a way', { template: {}, probe: {} }, 'spec.probe.httpGet', /nothing to do/],
  ['a probe of an empty command', { template: {}, probe: { exec: {} } }, 'spec.probe.exec.command', /empty/],
  ['a probe with two ways', { template: {}, probe: { httpGet: { port: 1 }, tcpSocket: { port: 1 } } }, 'spec.probe.tcpSocket', /exclude/],
]; // prettier-ignore

describe('ServiceEntry', () => {
  it.each(named(serviceEntries))('judges $name', ({ row }) => judge('ServiceEntry', row));

  it('reads protocols in any case, and fills defaults', () => {
    const [found] = documentOf(
      resource('ServiceEntry', { hosts: ['a.b'], ports: [{ number: 1, name: 'a', protocol: 'grpc-web' }] }),
    ).resources.filter(isKind('ServiceEntry'));
    expect(found?.spec).toMatchObject({
      location: 'MESH_EXTERNAL',
      resolution: 'NONE',
      ports: [{ protocol: 'GRPC_WEB' }],
      endpoints: [],
      subjectAltNames: [],
    });
  });
});

describe('WorkloadEntry', () => {
  it('has members elsewhere where its annotation names a service of Consul', () => {
    const registered = (name: string) => ({ annotations: { 'inmesh.dev/consul-service': name } });
    judge('ServiceEntry', ['', entry({ resolution: 'STATIC' }), null], registered('api'));
    judge('ServiceEntry', ['', entry({}), 'metadata.annotations["inmesh.dev/consul-service"]', /no value/], registered('a b'));
  });

  it.each(named(workloadEntries))('judges $name', ({ row }) => judge('WorkloadEntry', row));
});

describe('WorkloadGroup', () => {
  it.each(named(workloadGroups))('judges $name', ({ row }) => judge('WorkloadGroup', row));
});
