import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { consul, type ConsulRegistration } from '@inmesh/discovery/consul';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { consulAgent, noConsul, REAL_CONSUL, type TestConsul } from '../support/consul.ts';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { freePort } from '../support/ports.ts';
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

/** A mesh with a server of its own that is registered. */
async function registered(agent: TestConsul, name: string, more: Partial<ConsulRegistration> = {}, workload: object = {}, ready = true) {
  const port = await freePort();
  const register = { service: 'api', port, address: '127.0.0.1', ...more };
  const mesh = keep(await meshOf(EMPTY, { workload, registries: [consul({ address: agent.url, register })] }));
  const state = { ready };
  await mesh.listen((request, response) => response.writeHead(request.url === '/ready' && !state.ready ? 503 : 200).end(name), port);
  return { mesh, port, state };
}

interface Entry {
  readonly Service: {
    readonly ID: string;
    readonly Service: string;
    readonly Tags: string[];
    readonly Meta: Record<string, string>;
    readonly Weights: object;
  };
  readonly Checks: readonly { readonly CheckID: string; readonly Status: string; readonly Type: string }[];
}

describe.skipIf(noConsul)(`a process registers itself in ${REAL_CONSUL}`, () => {
  let agent: TestConsul;
  beforeAll(async () => {
    agent = await consulAgent();
  });
  afterAll(async () => agent?.[Symbol.asyncDispose]());

  const listed = async (service = 'api'): Promise<readonly Entry[]> =>
    (await agent.call('GET', `/health/service/${service}`)) as readonly Entry[];
  const client = async (): Promise<TestMesh> => keep(await meshOf(EMPTY, { registries: [consul({ address: agent.url })] }));

  it('with all it knows of itself, and is found by that', async () => {
    const { port } = await registered(
      agent,
      'one',
      { tags: ['fast'], meta: { team: 'a' }, weights: { passing: 7, warning: 2 }, protocol: 'http2', id: 'one' },
      {
        name: 'api-v1', namespace: 'shop', serviceAccount: 'api',
        labels: { version: 'v1', 'app.kubernetes.io/name': 'api', region: 'a label of this name' },
        locality: { region: 'eu', zone: 'eu-a', subzone: '' },
      },
    ); // prettier-ignore
    await until(async () => (await listed()).length === 1);
    const [{ Service, Checks }] = (await listed()) as [Entry];
    expect(Service).toMatchObject({
      ID: 'one',
      Port: port,
      Tags: ['fast', 'protocol=http2'],
      Weights: { Passing: 7, Warning: 2 },
      Meta: {
        version: 'v1', namespace: 'shop', service_account: 'api', workload: 'api-v1', region: 'eu', zone: 'eu-a', team: 'a',
        'label-1': 'app.kubernetes.io/name=api', 'label-2': 'region=a label of this name',
      },
    }); // prettier-ignore
    expect(Checks.find(({ CheckID }) => CheckID === 'service:one')).toMatchObject({ Status: 'passing', Type: 'ttl' });
    const mesh = await client();
    const explained = () => mesh.explain({ url: 'http://api.service.consul/' });
    await until(() => Promise.resolve(explained().service !== null));
    await mesh.fetch('http://api.service.consul/').catch(() => {});
    expect(explained().clusters[0]).toMatchObject({
      endpoints: [
        {
          address: `127.0.0.1:${port}`,
          locality: 'eu/eu-a',
          labels: { version: 'v1', 'app.kubernetes.io/name': 'api', 'tag/fast': 'true' },
        },
      ],
    });
  });

  it('and takes itself back before it closes, so that no call of others is lost', async () => {
    const stays = await registered(agent, 'stays', { service: 'drain' });
    const mesh = await client();
    const url = 'http://drain.service.consul/';
    await until(() => Promise.resolve(mesh.explain({ url }).service !== null));
    for (let round = 0; round < 3; round += 1) {
      const leaves = await registered(agent, 'leaves', { service: 'drain' });
      await until(async () => 'leaves' in (await spread(mesh, url, 8)));
      const calls = steadily(mesh, url);
      // Who follows has had much to hear, and hears of this late.
      for (const tag of ['a', 'b', 'c'])
        await agent.register({
          ID: 'noise',
          Name: 'drain',
          Port: 1,
          Tags: [tag],
          Check: { CheckID: 'noise', TTL: '1h', Status: 'critical' },
        });
      await leaves.mesh.close();
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await calls.stop()).toMatchObject({ failed: 0 });
      const ids = (await listed('drain')).map(({ Service }) => Service.ID);
      expect(ids.filter((id) => id !== 'noise')).toEqual([expect.stringContaining(String(stays.port))]);
    }
  });

  it('again, when the agent lost it', async () => {
    const { mesh } = await registered(agent, 'lost', { service: 'lost', id: 'lost' });
    await until(async () => (await listed('lost')).length === 1);
    // By somebody else.
    await agent.call('PUT', '/agent/service/deregister/lost');
    await until(async () => (await listed('lost')).length === 1, 20, 7000);
    await agent.kill();
    await until(() => Promise.resolve(mesh.status().registries[0]!.trouble.includes('registration of "lost"')));
    await agent.start();
    await until(async () => (await listed('lost')).length === 1, 50, 20_000);
    await until(() => Promise.resolve(mesh.status().registries[0]!.trouble === ''), 50, 20_000);
  }, 60_000);

  it('with a check that asks, where it is told to', async () => {
    const { mesh, state } = await registered(agent, 'asked', { service: 'asked', id: 'asked', check: { http: '/ready' } }, {}, false);
    await registered(agent, 'dialled', { service: 'dialled', id: 'dialled', check: { tcp: true } });
    const check = async (service: string) => (await listed(service))[0]?.Checks.find(({ CheckID }) => CheckID === `service:${service}`);
    await until(async () => (await check('asked')) !== undefined && (await check('dialled')) !== undefined);
    expect((await check('asked'))!.Type).toBe('http');
    expect(await check('dialled')).toMatchObject({ Type: 'tcp' });
    // Asked for real: the first look is within the interval.
    const output = async (): Promise<string> =>
      ((await agent.call('GET', '/agent/checks')) as Record<string, { Output: string }>)['service:asked']!.Output;
    await until(async () => (await output()).startsWith('HTTP GET http://127.0.0.1'), 100, 10_000);
    expect(await output()).toContain('/ready: 503');
    expect((await check('asked'))!.Status).toBe('critical');
    state.ready = true;
    await until(async () => (await check('asked'))!.Status === 'passing');
    // Lost and back: nobody needs to look again first.
    await agent.call('PUT', '/agent/service/deregister/asked');
    await until(async () => (await check('asked')) !== undefined, 5, 7000);
    expect((await check('asked'))!.Status).toBe('passing');
    expect(mesh.status().registries[0]!.trouble).toBe('');
  });

  it('refuses a registration that is none by name', () => {
    expect(() => consul({ register: { service: '', port: 80 } })).toThrow('"service" is empty');
    expect(() => consul({ register: { service: 'a', port: 0 } })).toThrow('port is 0');
  });

  it('labels that do not fit are told', async () => {
    const { mesh } = await registered(agent, 'big', { service: 'big' }, { labels: { long: 'x'.repeat(600), short: 'x' } });
    await until(() => Promise.resolve(mesh.status().registries[0]!.trouble !== ''));
    expect(mesh.status().registries[0]!.trouble).toBe("labels that do not fit into Consul's Meta were left out: long");
    expect((await listed('big'))[0]!.Service.Meta).toMatchObject({ short: 'x' });
  });

  it('killed, it is critical when its time is over, while one that lives is not', async () => {
    await registered(agent, 'alive', { service: 'alive' });
    const child = fork(join(import.meta.dirname, '../support/registered.child.ts'), [], {
      execArgv: ['--conditions=@inmesh/source', '--disable-warning=ExperimentalWarning'],
      env: { ...process.env, CONSUL_HTTP_ADDR: agent.address },
    });
    await once(child, 'message');
    await until(async () => (await listed('mortal')).length === 1);
    child.kill('SIGKILL');
    await until(async () => (await listed('mortal'))[0]!.Checks.some(({ Status }) => Status === 'critical'), 200, 25_000);
    const [alive] = await listed('alive');
    expect(alive!.Checks.map(({ Status }) => Status)).toEqual(['passing', 'passing']);
  }, 40_000);

  it('without an agent it says so, leaves soon, and nobody waits for it', async () => {
    const nowhere = keep(
      await meshOf(EMPTY, { registries: [consul({ address: '127.0.0.1:1', services: false, register: { service: 'x', port: 80 } })] }),
    );
    await until(() => Promise.resolve(nowhere.status().registries[0]!.trouble.startsWith('registration of "x": cannot be reached')));
    const began = performance.now();
    await nowhere.close();
    expect(performance.now() - began).toBeLessThan(2500);
  });
});
