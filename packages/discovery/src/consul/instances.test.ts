import { describe, expect, it } from 'vitest';
import { readAgent, readInstances } from './instances.ts';

const entry = (service: object = {}, checks: readonly (string | readonly [string, string])[] = ['passing'], node: object = {}) => ({
  Node: { Node: 'n1', Address: '10.0.0.1', Datacenter: 'dc1', Meta: {}, ...node },
  Service: { ID: 'api-1', Service: 'api', Address: '', Port: 8080, Tags: [], Meta: {}, Weights: { Passing: 1, Warning: 1 }, ...service },
  Checks: checks.map((check) =>
    typeof check === 'string' ? { CheckID: 'service:api-1', Status: check } : { CheckID: check[0], Status: check[1] },
  ),
});
const one = (...given: Parameters<typeof entry>) => readInstances([entry(...given)])[0]!;

describe('an instance of Consul', () => {
  it('is at the address of its service, else of its node', () => {
    expect(one()).toMatchObject({ key: '10.0.0.1:8080', host: '10.0.0.1', port: 8080, node: 'n1', workload: 'api', namespace: 'default' });
    expect(one({ Address: '10.9.9.9' }).key).toBe('10.9.9.9:8080');
    expect(one({ Address: 'fd00::1' }).key).toBe('[fd00::1]:8080');
  });

  it('has Meta and tags for labels; Meta wins, and names that Meta does not take stand in values', () => {
    const meta = { version: 'v2', 'label-1': 'app.kubernetes.io/name=api', 'port-admin': '9000' };
    expect(one({ Tags: ['version=v1', 'canary', 'team=a=b', '', '=x'], Meta: meta })).toMatchObject({
      labels: { version: 'v2', 'tag/canary': 'true', team: 'a=b', 'app.kubernetes.io/name': 'api' },
      ports: { admin: 9000 },
    });
    expect(Object.keys(one({ Meta: meta }).labels)).toEqual(['app.kubernetes.io/name', 'version']);
  });

  it('has the place of its Meta, of Consul’s own Locality, of its node, and else its datacenter for a region', () => {
    expect(one().locality).toEqual({ region: 'dc1', zone: '', subzone: '' });
    expect(one({}, [], { Meta: { region: 'eu', zone: 'a', subzone: 'r1' } }).locality).toEqual({ region: 'eu', zone: 'a', subzone: 'r1' });
    expect(one({ Locality: { Region: 'us', Zone: 'b' } }, [], { Meta: { zone: 'a' } }).locality).toMatchObject({ region: 'us', zone: 'b' });
    expect(one({ Meta: { zone: 'c' }, Locality: { Zone: 'b' } }).locality.zone).toBe('c');
  });

  it('has the network of its Meta, else that of its node', () => {
    expect(one({}, [], { Meta: { network: 'n1' } }).network).toBe('n1');
    expect(one({ Meta: { network: 'n2' } }, [], { Meta: { network: 'n1' } }).network).toBe('n2');
  });

  it('says who it is by Meta', () => {
    const meta = { namespace: 'shop', service_account: 'api', workload: 'api-v1', network: 'n', tls_mode: 'istio' };
    expect(one({ Meta: meta })).toMatchObject({ namespace: 'shop', serviceAccount: 'api', workload: 'api-v1', network: 'n', mtls: true });
    expect(one().mtls).toBe(false);
    expect(one({ Meta: { 'label-1': 'security.istio.io/tlsMode=istio' } }).mtls).toBe(true);
  });

  it.each([
    [['passing', 'passing'], 'healthy', 10],
    [[], 'healthy', 10],
    [['passing', 'warning'], 'healthy', 2],
    [['warning', 'critical'], 'unhealthy', 10],
    [['something new'], 'unhealthy', 10],
    [['passing', ['_service_maintenance:api-1', 'critical']], 'draining', 10],
    [['passing', ['_node_maintenance', 'critical']], 'draining', 10],
    [['critical', ['_node_maintenance', 'critical']], 'unhealthy', 10],
  ] as const)('with checks %j is %s, with weight %i', (checks, health, weight) => {
    expect(one({ Weights: { Passing: 10, Warning: 2 } }, checks)).toMatchObject({ health, weight });
  });

  it('with a weight of 0 for warnings is left in peace while it warns', () => {
    expect(one({ Weights: { Passing: 10, Warning: 0 } }, ['warning'])).toMatchObject({ health: 'draining', weight: 1 });
    expect(one({ Weights: undefined }, ['warning'])).toMatchObject({ health: 'healthy', weight: 1 });
  });

  it('is one where two registrations name one place, and the better of them', () => {
    const twice = [entry({ ID: 'old' }, ['critical']), entry({ ID: 'new' }, ['passing']), entry({ ID: 'x' }, ['warning', 'critical'])];
    expect(readInstances(twice).map(({ key, health }) => `${key} ${health}`)).toEqual(['10.0.0.1:8080 healthy']);
  });
});

describe('the agent', () => {
  const Config = { Datacenter: 'dc1', NodeName: 'n1' };

  it('is where the instances of its node are', () => {
    for (const Meta of [{}, { region: 'eu', zone: 'a', subzone: 'r1', network: 'n' }, { zone: 'a', 'consul-network-segment': '' }]) {
      const { locality, network, node } = one({}, [], { Node: 'n1', Datacenter: 'dc1', Meta });
      expect(readAgent({ Config, Meta })).toEqual({ locality, network, node });
    }
    expect(readAgent({ Config }).locality.region).toBe('dc1');
  });

  it.each([undefined, null, [], 'x', { Config: [], Meta: 'x' }, { Config: { Datacenter: 1, NodeName: {} } }])(
    'that says %j says nothing',
    (body) => {
      expect(readAgent(body)).toEqual({ locality: { region: '', zone: '', subzone: '' }, network: '', node: '' });
    },
  );
});

it('a list that is none is an error; an entry nobody could call is left out', () => {
  for (const body of [undefined, null, {}, 'x', Buffer.from('[]')]) expect(() => readInstances(body)).toThrow('no list of instances');
  expect(
    readInstances([null, 1, {}, { Service: { Port: 80 } }, entry({ Port: 'x' }), entry({ Port: 70_000 }), entry({ Port: 80 })]),
  ).toHaveLength(1);
});
