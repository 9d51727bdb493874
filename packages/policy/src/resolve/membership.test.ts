import { expect, it } from 'vitest';
import type { InboundService, Workload } from '../index.ts';
import { modelOf, service, serviceEntry, workloadEntry } from './trying.ts';

const me: Partial<Workload> = { labels: { app: 'a' } };
const services = (documents: readonly string[], who: Partial<Workload> = me): readonly InboundService[] =>
  modelOf(documents, who).inbound.services;
const a = (ports: readonly object[], more: object = {}): string => service('a', { spec: { selector: { app: 'a' }, ports, ...more } });

it('a workload is a member of the services whose selectors choose it, at the ports they send callers to', () => {
  const other = service('b', { spec: { selector: { app: 'b' }, ports: [{ port: 80 }] } });
  expect(services([a([{ port: 80, targetPort: 8080 }, { port: 9090 }]), other])).toEqual([
    { host: 'a.default.svc.cluster.local', name: 'a', namespace: 'default', ports: [8080, 9090] },
  ]);
});

it('a target port that has only a name is one that only the pod could tell', () => {
  expect(services([a([{ port: 80, targetPort: 'web' }])])).toMatchObject([{ name: 'a', ports: null }]);
});

it('ServiceEntries choose by selector, or list an endpoint with the labels; its own ports hold', () => {
  const ports = [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: 8000 }, { number: 443, name: 'tls', protocol: 'TLS' }]; // prettier-ignore
  const common = { hosts: ['A.example.com'], location: 'MESH_INTERNAL', resolution: 'STATIC', ports };
  expect(services([serviceEntry('one', { ...common, workloadSelector: { labels: { app: 'a' } } })])).toEqual([
    { host: 'a.example.com', name: 'one', namespace: 'default', ports: [8000, 443] },
  ]);
  const endpoints = [{ address: '10.0.0.1', labels: { app: 'a' }, ports: { http: 9000 } }, { address: '10.0.0.2', ports: { http: 1 } }]; // prettier-ignore
  expect(services([serviceEntry('two', { ...common, endpoints })])).toMatchObject([{ ports: [9000, 443] }]);
});

it('a ServiceEntry that selects WorkloadEntries has callers come in at the ports of the one that is this workload', () => {
  const entry = serviceEntry('one', {
    hosts: ['a.example.com'], location: 'MESH_INTERNAL', resolution: 'STATIC',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], workloadSelector: { labels: { app: 'a' } },
  }); // prettier-ignore
  const machine = (name: string, labels: object, port: number, namespace = 'default'): string =>
    workloadEntry(name, { address: '10.0.0.1', labels, ports: { http: port } }, { namespace });
  const machines = [
    machine('v1', { app: 'a', version: 'v1' }, 9001),
    machine('v2', { app: 'a', version: 'v2' }, 9002),
    machine('elsewhere', { app: 'a', version: 'v1' }, 9003, 'other'),
  ];
  expect(services([entry, ...machines], { labels: { app: 'a', version: 'v1' } })).toMatchObject([{ host: 'a.example.com', ports: [9001] }]);
});

it('an entry is this workload though it says more: where it is, and how it is reached', () => {
  const entry = serviceEntry('one', {
    hosts: ['a.example.com'], location: 'MESH_INTERNAL', resolution: 'STATIC',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], workloadSelector: { labels: { app: 'a' } },
  }); // prettier-ignore
  const labels = {
    app: 'a',
    'topology.istio.io/cluster': 'east',
    'topology.kubernetes.io/zone': 'z1',
    'security.istio.io/tlsMode': 'istio',
  };
  const machine = (more: object): string =>
    workloadEntry('v1', { address: '10.0.0.1', labels: { ...labels, ...more }, ports: { http: 9001 } });
  expect(services([entry, machine({})])).toMatchObject([{ ports: [9001] }]);
  expect(services([entry, machine({ version: 'v2' })])).toMatchObject([{ ports: [80] }]);
});

it('who has no labels could be anybody, and is a member of nothing', () => {
  expect(services([a([{ port: 80 }])], { labels: {} })).toEqual([]);
});
