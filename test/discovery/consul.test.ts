import { consul } from '@inmesh/discovery/consul';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { consulAgent, noConsul, REAL_CONSUL, type TestConsul } from '../support/consul.ts';
import { destinationRule, meshOf, type TestMesh, virtualService } from '../support/mesh.ts';
import { say, upstream, type Upstream } from '../support/upstream.ts';
import { spread, steadily, until } from '../support/traffic.ts';

const EMPTY = 'apiVersion: v1\nkind: List\nitems: []\n';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const keep = <T extends AsyncDisposable>(one: T): T => {
  left.push(one);
  return one;
};

const server = async (name: string): Promise<Upstream> => keep(await upstream(say(name)));
const member = async (agent: TestConsul, yaml = EMPTY, options = {}, workload = {}): Promise<TestMesh> =>
  keep(await meshOf(yaml, { registries: [consul({ address: agent.url, ...options })], workload }));

/** An instance on loopback. */
const instance = (service: string, { port }: Upstream, more: object = {}): object => ({
  ID: `${service}-${port}`,
  Name: service,
  Address: '127.0.0.1',
  Port: port,
  ...more,
});

const text = async (mesh: TestMesh, url: string): Promise<string> => (await mesh.fetch(url)).text();

describe.skipIf(noConsul)(REAL_CONSUL, () => {
  let agent: TestConsul;
  beforeAll(async () => {
    agent = await consulAgent({ limits: { http_max_conns_per_client: 1000 } });
  });
  afterAll(async () => agent?.[Symbol.asyncDispose]());

  it('its services are called by name, also those that come later', async () => {
    await agent.register(instance('shop', await server('shop')));
    const mesh = await member(agent);
    expect(await text(mesh, 'http://shop.service.consul/x')).toBe('shop');
    expect(mesh.explain({ url: 'http://shop.service.consul/x' })).toMatchObject({
      service: 'shop.service.consul',
      clusters: [{ endpoints: [{ locality: 'dc1' }] }],
    });
    await agent.register(instance('later', await server('later')));
    await until(() => Promise.resolve(mesh.explain({ url: 'http://later.service.consul/' }).service !== null));
    expect(await text(mesh, 'http://later.service.consul/')).toBe('later');
    expect(mesh.status()).toMatchObject({ registries: [{ name: `consul ${agent.url}`, trouble: '' }], problems: [] });
  });

  it('endpoints that come, fail and leave are followed within 100 ms', async () => {
    const [one, two] = [await server('one'), await server('two')];
    await agent.register(instance('follow', one));
    const mesh = await member(agent);
    const all = () => spread(mesh, 'http://follow.service.consul/', 8);
    expect(await all()).toEqual({ one: 8 });
    const took: number[] = [];
    const seen = async (change: () => Promise<unknown>, want: (seen: Record<string, number>) => boolean) => {
      // What came before has cost its tokens.
      await new Promise((resolve) => setTimeout(resolve, 600));
      await change();
      const from = performance.now();
      await until(async () => want(await all()), 5);
      took.push(performance.now() - from);
    };
    const check = { CheckID: 'two', TTL: '1h', Status: 'passing' };
    await seen(() => agent.register(instance('follow', two, { ID: 'two', Check: check })), (found) => 'two' in found); // prettier-ignore
    await seen(() => agent.call('PUT', '/agent/check/fail/two'), (found) => !('two' in found)); // prettier-ignore
    await seen(() => agent.call('PUT', '/agent/check/warn/two'), (found) => 'two' in found); // prettier-ignore
    await seen(() => agent.call('PUT', '/agent/service/maintenance/two?enable=true'), (found) => !('two' in found)); // prettier-ignore
    await seen(() => agent.call('PUT', '/agent/service/maintenance/two?enable=false'), (found) => 'two' in found); // prettier-ignore
    await seen(() => agent.call('PUT', '/agent/service/deregister/two'), (found) => !('two' in found)); // prettier-ignore
    expect(took.toSorted((a, b) => a - b)[3]!).toBeLessThan(100);
    expect(Math.max(...took)).toBeLessThan(500);
  });

  it('tags and Meta are labels for subsets, and weights are shares of the calls', async () => {
    const [old, canary] = [await server('old'), await server('canary')];
    await agent.register(instance('subsets', old, { Tags: ['version=v1'], Weights: { Passing: 9, Warning: 1 } }));
    await agent.register(instance('subsets', canary, { Tags: ['canary'], Meta: { version: 'v2' }, Weights: { Passing: 3, Warning: 1 } }));
    const host = 'subsets.service.consul';
    const mesh = await member(
      agent,
      destinationRule(
        host,
        'trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } }\nsubsets: [{ name: v1, labels: { version: v1 } }, { name: tagged, labels: { tag/canary: "true" } }]',
      ) +
        virtualService(
          host,
          [
            `- match: [{ uri: { prefix: /v1 } }]`,
            `  route: [{ destination: { host: ${host}, subset: v1 } }]`,
            `- match: [{ uri: { prefix: /canary } }]`,
            `  route: [{ destination: { host: ${host}, subset: tagged } }]`,
            `- route: [{ destination: { host: ${host} } }]`,
          ].join('\n'),
        ),
    );
    expect(await spread(mesh, `http://${host}/v1`, 6)).toEqual({ old: 6 });
    expect(await spread(mesh, `http://${host}/canary`, 6)).toEqual({ canary: 6 });
    expect(await spread(mesh, `http://${host}/`, 120)).toEqual({ old: 90, canary: 30 });
  });

  it('one service has members in the policy and in Consul, by annotation, and those of a lower priority stand by', async () => {
    const [inPolicy, inConsul] = [await server('policy'), await server('consul')];
    await agent.register(instance('Payments_Old', inConsul, { Check: { CheckID: 'pay', TTL: '1h', Status: 'passing' } }));
    const entry = `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: payments, namespace: default, annotations: { inmesh.dev/consul-service: Payments_Old } }
spec:
  hosts: [payments.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${inPolicy.port} } }]
`;
    const mesh = await member(agent, entry);
    await until(async () => Object.keys(await spread(mesh, 'http://payments.example.com/', 20)).length === 2);
    const standby = await member(agent, entry, { priority: 1 });
    expect(await spread(standby, 'http://payments.example.com/', 20)).toEqual({ policy: 20 });
    const named = await member(agent, entry.replace(/, annotations: \{[^}]*\}/, ''), {
      serviceOf: ({ service }: { service: { host: string } }) => (service.host === 'payments.example.com' ? 'payments_old' : undefined),
    });
    await until(async () => Object.keys(await spread(named, 'http://payments.example.com/', 20)).length === 2);
  });

  it('two registries that know one service are one service, and the second stands by', async () => {
    const elsewhere = keep(await consulAgent({ datacenter: 'dc2' }));
    const [here, there] = [await server('here'), await server('there')];
    await agent.register(instance('both', here, { Check: { CheckID: 'here', TTL: '1h', Status: 'passing' } }));
    await elsewhere.register(instance('both', there));
    const registries = [
      consul({ address: agent.url, datacenter: 'dc1' }),
      consul({ address: elsewhere.url, datacenter: 'dc2', priority: 1 }),
    ];
    const mesh = keep(await meshOf(EMPTY, { registries }));
    const url = 'http://both.service.consul/';
    expect(await spread(mesh, url, 10)).toEqual({ here: 10 });
    expect(await spread(mesh, 'http://both.service.dc2.consul/', 2)).toEqual({ there: 2 });
    await agent.call('PUT', '/agent/check/fail/here');
    await until(async () => (await spread(mesh, url, 4))['there'] === 4);
    await agent.call('PUT', '/agent/check/pass/here');
    await until(async () => (await spread(mesh, url, 4))['here'] === 4);
    expect(mesh.status()).toMatchObject({ problems: [], registries: [{ trouble: '' }, { trouble: '' }] });
  });

  it('a service without instances fails as one without endpoints, and one nobody knows as Consul says', async () => {
    const gone = await server('gone');
    await agent.register(instance('gone', gone, { ID: 'gone' }));
    const mesh = await member(agent, `${EMPTY}---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: never }\nspec: { hosts: [never.service.consul], location: MESH_INTERNAL, resolution: STATIC, ports: [{ number: 80, name: http, protocol: HTTP }] }\n`); // prettier-ignore
    expect(await text(mesh, 'http://gone.service.consul/')).toBe('gone');
    const never = await mesh.fetch('http://never.service.consul/');
    expect([never.status, never.headers.get('x-inmesh-flags')]).toEqual([503, 'UH']);
    await agent.call('PUT', '/agent/service/deregister/gone');
    // It vanished without a word: it may well be alive, and there is nobody else.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await text(mesh, 'http://gone.service.consul/')).toBe('gone');
    await gone.kill();
    expect((await mesh.fetch('http://gone.service.consul/')).status).toBe(503);
  });

  it('300 services of one process take 64 connections, and all are followed', async () => {
    const one = await server('one');
    const limited = keep(await consulAgent());
    const names = Array.from({ length: 300 }, (_, index) => `many-${index}`);
    for (const name of names) await limited.register(instance(name, one));
    const mesh = await member(limited);
    const statuses = await Promise.all(names.map(async (name) => (await mesh.fetch(`http://${name}.service.consul/`)).status));
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(mesh.status().registries[0]!.trouble).toBe('');
    // The agent still has room for others.
    expect(await limited.call('GET', '/status/leader')).not.toBe('');
    const two = await server('two');
    await limited.register(instance('many-0', two));
    await limited.register(instance('many-299', two));
    for (const name of ['many-0', 'many-299'])
      await until(async () => 'two' in (await spread(mesh, `http://${name}.service.consul/`, 8)), 50, 10_000);
  });

  it('an agent whose connections others have taken is troubled and recovers, with not one call lost', async () => {
    const one = await server('one');
    const limited = keep(await consulAgent());
    await limited.register(instance('crowded', one));
    const mesh = await member(limited, EMPTY, { waitMs: 1000 });
    expect(await text(mesh, 'http://crowded.service.consul/')).toBe('one');
    const port = Number(new URL(limited.url).port);
    const crowd = new Set<Socket>();
    let refused = 0;
    const join = (): void => {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      crowd.add(socket);
      socket.on('close', () => {
        crowd.delete(socket);
        refused += 1;
      });
    };
    const fill = setInterval(() => {
      while (crowd.size < 210) join();
    }, 5);
    await until(() => Promise.resolve(refused > 10));
    const calls = steadily(mesh, 'http://crowded.service.consul/');
    // Connections that are there stay; new ones are reset, those of another process here as well.
    const other = await member(limited);
    expect(other.status().registries[0]!.trouble).toContain('cannot be reached');
    expect(mesh.status().registries[0]!.trouble).toBe('');
    clearInterval(fill);
    for (const socket of crowd) socket.destroy();
    await until(() => Promise.resolve(other.status().registries[0]!.trouble === ''), 50, 40_000);
    expect(await text(other, 'http://crowded.service.consul/')).toBe('one');
    expect(await calls.stop()).toMatchObject({ failed: 0 });
  }, 60_000);
});

describe.skipIf(noConsul)(`the agent of ${REAL_CONSUL}`, () => {
  it('says where the process is, as callers of its instances see it, where nobody else does', async () => {
    const agent = keep(await consulAgent({ datacenter: 'here', node_meta: { zone: 'a', subzone: 'r1', network: 'net1' } }));
    await agent.register(instance('api', await server('api')));
    const mesh = await member(agent);
    expect(mesh.status().self).toMatchObject({
      locality: { value: 'here/a/r1', from: 'Consul agent' },
      network: { value: 'net1', from: 'Consul agent' },
      node: { value: 'test', from: 'Consul agent' },
    });
    expect(await text(mesh, 'http://api.service.consul/')).toBe('api');
    expect(mesh.explain({ url: 'http://api.service.consul/' })).toMatchObject({ clusters: [{ endpoints: [{ locality: 'here/a/r1' }] }] });
    const told = await member(agent, EMPTY, {}, { node: 'mine', locality: { region: 'eu', zone: '', subzone: '' } });
    expect(told.status().self).toMatchObject({
      locality: { value: 'eu', from: 'createMesh({ workload })' },
      network: { value: 'net1', from: 'Consul agent' },
      node: { value: 'mine' },
    });
  });

  it('that hangs holds a start up for a second, and one that is gone not at all', async () => {
    const agent = keep(await consulAgent());
    const start = async (): Promise<[ms: number, from: string]> => {
      const from = performance.now();
      // Only about itself: services of the catalog are waited for longer.
      const mesh = await member(agent, EMPTY, { services: false });
      return [performance.now() - from, mesh.status().self['node']!.from];
    };
    agent.freeze();
    const [hung, nobody] = await start();
    agent.thaw();
    expect(nobody).toBe('nobody');
    expect(hung).toBeGreaterThan(990);
    expect(hung).toBeLessThan(1600);
    await agent.kill();
    const [gone, still] = await start();
    expect(still).toBe('nobody');
    expect(gone).toBeLessThan(600);
  }, 30_000);
});

describe.skipIf(noConsul)(`the agent of ${REAL_CONSUL} fails`, () => {
  const world = async () => {
    const agent = keep(await consulAgent());
    const servers = await Promise.all(['one', 'two', 'three'].map(server));
    const register = () => Promise.all(servers.map((one) => agent.register(instance('api', one))));
    await register();
    const mesh = await member(agent);
    const url = 'http://api.service.consul/';
    await until(async () => Object.keys(await spread(mesh, url, 12)).length === 3);
    return { agent, servers, mesh, url, register };
  };

  it('killed: the last list serves, and trouble is told', async () => {
    const { agent, mesh, url } = await world();
    const calls = steadily(mesh, url);
    await agent.kill();
    await until(() => Promise.resolve(mesh.status().registries[0]!.trouble.includes('cannot be reached')));
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(await calls.stop()).toMatchObject({ failed: 0, seen: ['one', 'three', 'two'] });
    expect(mesh.status().source.trouble).toContain('cannot be reached');
  });

  it('restarted without its memory: nobody is lost, and the first who is back does not draw all calls', async () => {
    const { agent, servers, mesh, url, register } = await world();
    const calls = steadily(mesh, url);
    await agent.kill();
    await agent.start();
    await until(() => Promise.resolve(mesh.status().registries[0]!.trouble === ''), 20, 20_000);
    // It knows nobody any more.
    expect(Object.keys(await spread(mesh, url, 30)).sort()).toEqual(['one', 'three', 'two']);
    await agent.register(instance('api', servers[0]!));
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(Object.keys(await spread(mesh, url, 30)).sort()).toEqual(['one', 'three', 'two']);
    await register();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const next = await server('four');
    await agent.register(instance('api', next));
    await until(async () => 'four' in (await spread(mesh, url, 12)), 20);
    expect(await calls.stop()).toMatchObject({ failed: 0 });
  }, 60_000);

  it('frozen: calls go on, and what changed meanwhile is known when it goes on', async () => {
    const { agent, mesh, url } = await world();
    const calls = steadily(mesh, url);
    agent.freeze();
    await new Promise((resolve) => setTimeout(resolve, 2000));
    expect(Object.keys(await spread(mesh, url, 30)).sort()).toEqual(['one', 'three', 'two']);
    agent.thaw();
    await agent.register(instance('api', await server('four')));
    await until(async () => 'four' in (await spread(mesh, url, 12)), 20);
    expect(await calls.stop()).toMatchObject({ failed: 0 });
  });
});

describe.skipIf(noConsul)(`${REAL_CONSUL} with ACLs`, () => {
  const ROOT = '11111111-1111-1111-1111-111111111111';

  it('is asked with a token; one that is taken away keeps the last list and is told', async () => {
    const agent = keep(await consulAgent({ acl: { enabled: true, default_policy: 'deny', tokens: { master: ROOT, agent: ROOT } } }, ROOT));
    await until(async () => ((await agent.call('GET', '/acl/tokens')) as unknown[]).length > 0);
    await agent.register(instance('api', await server('api')));
    await agent.call('PUT', '/acl/policy', {
      Name: 'read',
      Rules: 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }',
    });
    const { SecretID, AccessorID } = (await agent.call('PUT', '/acl/token', { Policies: [{ Name: 'read' }] })) as {
      SecretID: string;
      AccessorID: string;
    };
    const mesh = await member(agent, EMPTY, { token: SecretID, waitMs: 1000 });
    expect(await text(mesh, 'http://api.service.consul/')).toBe('api');
    const nobody = await member(agent, EMPTY, { token: 'none such' });
    expect(nobody.status().registries[0]!.trouble).toBe('answered 403: ACL not found (does the token exist, and may it read this?)');
    await agent.call('DELETE', `/acl/token/${AccessorID}`);
    await until(() => Promise.resolve(mesh.status().registries[0]!.trouble.includes('ACL not found')), 50, 20_000);
    expect(await text(mesh, 'http://api.service.consul/')).toBe('api');
  }, 60_000);
});
