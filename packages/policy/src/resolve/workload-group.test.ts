import { describe, expect, it } from 'vitest';
import type { EndpointSpec, Probe } from '../model.ts';
import { aged, modelOf, serviceEntry, workloadEntry, workloadGroup } from './trying.ts';

const HTTP = { number: 80, name: 'http', protocol: 'HTTP' };
const selecting = serviceEntry('api', {
  hosts: ['api.test'],
  ports: [HTTP],
  resolution: 'STATIC',
  workloadSelector: { labels: { app: 'vm' } },
});
const probing = (port: number): object => ({ tcpSocket: { port } });
const group = (name: string, spec: object, metadata: object = {}): string => workloadGroup(name, { template: {}, ...spec }, metadata);

const endpointsOf = (...documents: readonly string[]): readonly EndpointSpec[] => modelOf(documents).services[0]!.endpoints;
const askedPorts = (...documents: readonly string[]): unknown =>
  Object.fromEntries(endpointsOf(...documents).map(({ host, probe }) => [host, probe?.ask.port]));

describe('a WorkloadGroup', () => {
  it('says how the WorkloadEntries are probed that carry its labels, those of its own namespace', () => {
    expect(
      askedPorts(
        selecting,
        group('vms', { metadata: { labels: { app: 'vm' } }, template: { labels: { tier: 'gold' } }, probe: probing(1) }),
        group('elsewhere', { template: { labels: { app: 'vm' } }, probe: probing(2) }, { namespace: 'other' }),
        workloadEntry('gold', { address: '10.0.0.1', labels: { app: 'vm', tier: 'gold' } }),
        workloadEntry('plain', { address: '10.0.0.2', labels: { app: 'vm' } }),
      ),
    ).toEqual({ '10.0.0.1': 1, '10.0.0.2': undefined });
  });

  it('is the one an entry names, whatever its labels; one that does not exist is none', () => {
    const labels = { app: 'vm' };
    const named = (name: string) => ({ annotations: { 'istio.io/autoRegistrationGroup': name } });
    expect(
      askedPorts(
        selecting,
        group('by-labels', { template: { labels }, probe: probing(1) }),
        group('by-name', { probe: probing(2) }),
        workloadEntry('a', { address: '10.0.0.1', labels }, named('by-name')),
        workloadEntry('b', { address: '10.0.0.2', labels }, named('nobody')),
        workloadEntry('c', { address: '10.0.0.3', labels }),
      ),
    ).toEqual({ '10.0.0.1': 2, '10.0.0.2': undefined, '10.0.0.3': 1 });
  });

  it('of several the oldest; one without labels is nobody’s', () => {
    const labels = { app: 'vm' };
    expect(
      askedPorts(
        selecting,
        group('young', { template: { labels }, probe: probing(1) }, aged(2)),
        group('old', { template: { labels }, probe: probing(2) }, aged(1)),
        group('ancient', { probe: probing(3) }),
        workloadEntry('a', { address: '10.0.0.1', labels }),
      ),
    ).toEqual({ '10.0.0.1': 2 });
  });

  it('holds for members a ServiceEntry lists, too', () => {
    const listing = serviceEntry('api', {
      hosts: ['api.test'],
      ports: [HTTP],
      resolution: 'STATIC',
      endpoints: [{ address: '10.0.0.1', labels: { app: 'vm' } }, { address: '10.0.0.2' }],
    });
    expect(askedPorts(listing, group('vms', { template: { labels: { app: 'vm' } }, probe: probing(7) }))).toEqual({
      '10.0.0.1': 7,
      '10.0.0.2': undefined,
    });
  });
});

describe('a probe', () => {
  const probeOf = (probe: object): Probe | undefined =>
    endpointsOf(
      selecting,
      group('vms', { template: { labels: { app: 'vm' } }, probe }),
      workloadEntry('a', { address: '10.0.0.1', labels: { app: 'vm' } }),
    )[0]?.probe;
  const PACE = { initialDelayMs: 0, timeoutMs: 1000, periodMs: 10_000, successThreshold: 1, failureThreshold: 3 };

  it('has the defaults of Istio, also where 0 is written', () => {
    const zero = { timeoutSeconds: 0, periodSeconds: 0, successThreshold: 0, failureThreshold: 0 };
    for (const pace of [{}, zero])
      expect(probeOf({ ...pace, httpGet: { port: 8080 } })).toEqual({
        ...PACE,
        ask: { kind: 'http', port: 8080, path: '/', host: null, tls: false, headers: [] },
      });
  });

  it('takes over all that is said', () => {
    expect(
      probeOf({
        initialDelaySeconds: 5,
        timeoutSeconds: 2,
        periodSeconds: 3,
        successThreshold: 4,
        failureThreshold: 6,
        httpGet: { path: 'healthz', port: 8443, host: 'api.test', scheme: 'HTTPS', httpHeaders: [{ name: 'x-probe', value: 'yes' }] },
      }),
    ).toEqual({
      initialDelayMs: 5000,
      timeoutMs: 2000,
      periodMs: 3000,
      successThreshold: 4,
      failureThreshold: 6,
      ask: { kind: 'http', port: 8443, path: '/healthz', host: 'api.test', tls: true, headers: [['x-probe', 'yes']] },
    });
  });

  it('knows gRPC and TCP; a command is not for callers to run', () => {
    expect(probeOf({ grpc: {} })?.ask).toEqual({ kind: 'grpc', port: null, service: '' });
    expect(probeOf({ grpc: { port: 9000, service: 'shop.Ratings' } })?.ask).toEqual({ kind: 'grpc', port: 9000, service: 'shop.Ratings' });
    expect(probeOf({ tcpSocket: { port: 5432 } })?.ask).toEqual({ kind: 'tcp', port: 5432 });
    expect(probeOf({ exec: { command: ['true'] } })).toBeUndefined();
  });
});
