import { execFile } from 'node:child_process';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { consul } from '@inmesh/discovery/consul';
import { createDevCa } from '@inmesh/identity/dev';
import { afterEach, describe, expect, it } from 'vitest';
import { type FakeConsul, fakeConsul } from '../support/fake-consul.ts';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { spread, steadily, until } from '../support/traffic.ts';
import { say, upstream, type Upstream } from '../support/upstream.ts';

const EMPTY = 'apiVersion: v1\nkind: List\nitems: []\n';
const URL_OF_API = 'http://api.service.consul/';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});
const keep = <T extends AsyncDisposable>(one: T): T => {
  left.push(one);
  return one;
};

const troubleOf = (mesh: TestMesh): string => mesh.status().registries[0]!.trouble;

/** A service with two instances that is being called. */
async function world(): Promise<{ agent: FakeConsul; one: Upstream; two: Upstream; mesh: TestMesh; calls: ReturnType<typeof steadily> }> {
  const [one, two] = [keep(await upstream(say('one'))), keep(await upstream(say('two')))];
  const agent = keep(await fakeConsul());
  agent.set([one.port, two.port], 100);
  const mesh = keep(await meshOf(EMPTY, { registries: [consul({ address: `http://127.0.0.1:${agent.server.port}` })] }));
  await until(async () => Object.keys(await spread(mesh, URL_OF_API, 12)).length === 2);
  return { agent, one, two, mesh, calls: steadily(mesh, URL_OF_API) };
}

describe('a Consul on its worst days', () => {
  it.each([
    ['an empty list', 0],
    ['one who is back already', 1],
  ])('whose index goes backwards with %s has lost its memory, and not the services', async (_, back) => {
    const { agent, one, mesh, calls } = await world();
    agent.set([one.port].slice(0, back), 3);
    await until(() => Promise.resolve(agent.asked.some((url) => url.startsWith('/v1/health/service/api?index=3'))));
    // Starting over is asking without an index.
    const questions = agent.asked.filter((url) => url.startsWith('/v1/health'));
    expect(questions.slice(-2)).toEqual(['/v1/health/service/api', expect.stringContaining('?index=3&wait=')]);
    expect(Object.keys(await spread(mesh, URL_OF_API, 20)).sort()).toEqual(['one', 'two']);
    expect(await calls.stop()).toMatchObject({ failed: 0 });
  });

  it.each([
    ['garbage', { 'content-type': 'application/json', 'x-consul-index': '101' }, 200, '[{"Node":', 'answered with what is no JSON'],
    ['a login page', { 'content-type': 'text/html', 'x-consul-index': '101' }, 200, '<html>', 'something that is no list'],
    ['nothing', { 'x-consul-index': '101' }, 200, '', 'something that is no list'],
    ['an object', { 'content-type': 'application/json', 'x-consul-index': '101' }, 200, '{"a": 1}', 'something that is no list'],
    ['an error', { 'content-type': 'text/plain' }, 500, 'No cluster leader', 'answered 500: No cluster leader'],
    [
      'an old answer',
      { 'content-type': 'application/json', 'x-consul-index': '101', 'x-consul-knownleader': 'false' },
      200,
      '[]',
      'it knows no leader',
    ],
  ])('that answers with %s keeps the last list, is told, and is asked again', async (_, headers, status, body, reason) => {
    const { agent, mesh, calls } = await world();
    agent.misbehave((_request, response) => response.writeHead(status, headers).end(body));
    await until(() => Promise.resolve(troubleOf(mesh).includes(reason)));
    expect(Object.keys(await spread(mesh, URL_OF_API, 20)).sort()).toEqual(['one', 'two']);
    agent.misbehave(undefined);
    await until(() => Promise.resolve(troubleOf(mesh) === ''), 20, 20_000);
    expect(await calls.stop()).toMatchObject({ failed: 0 });
  });

  it.each([
    ['reset', 'cannot be reached: read ECONNRESET'],
    ['closed', 'the answer was cut off'],
  ])('whose connection is %s in the middle of an answer is noticed at once', async (how, reason) => {
    const { agent, mesh, calls } = await world();
    agent.misbehave((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000', 'x-consul-index': '101' });
      response.write('[{"Node"');
      setTimeout(() => (how === 'reset' ? response.socket?.resetAndDestroy() : response.socket?.destroy()), 20);
    });
    await until(() => Promise.resolve(troubleOf(mesh).includes(reason)), 20, 3000);
    agent.misbehave(undefined);
    await until(() => Promise.resolve(troubleOf(mesh) === ''), 20, 20_000);
    expect(await calls.stop()).toMatchObject({ failed: 0 });
  });

  it('that says nothing any more, and keeps its connections, is noticed when its time is over', async () => {
    const agent = keep(await fakeConsul());
    const one = keep(await upstream(say('one')));
    agent.set([one.port], 100);
    const address = `http://127.0.0.1:${agent.server.port}`;
    const mesh = keep(await meshOf(EMPTY, { registries: [consul({ address, waitMs: 1000 })] }));
    expect(await spread(mesh, URL_OF_API, 1)).toEqual({ one: 1 });
    agent.misbehave(() => {});
    await until(() => Promise.resolve(/no whole answer within 1[01]\d{3} ms/.test(troubleOf(mesh))), 100, 15_000);
    expect(await spread(mesh, URL_OF_API, 1)).toEqual({ one: 1 });
  });

  it('that answers without an end is cut off at 64 MiB', async () => {
    const { agent, mesh, calls } = await world();
    const chunk = Buffer.alloc(2 ** 20, 32);
    agent.misbehave((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const more = (): void => void (response.writable && !response.destroyed && response.write(chunk, () => setImmediate(more)));
      more();
    });
    await until(() => Promise.resolve(troubleOf(mesh).includes('answered more than 67108864 bytes')), 50, 20_000);
    agent.misbehave(undefined);
    expect(await calls.stop()).toMatchObject({ failed: 0 });
  });

  it('that answers at once, always, is not asked more than four times a second', async () => {
    const { agent, calls } = await world();
    let index = 1000;
    agent.misbehave((_request, response) => {
      index += 1;
      response.writeHead(200, { 'content-type': 'application/json', 'x-consul-index': String(index) }).end('{}');
    });
    agent.asked.length = 0;
    await new Promise((resolve) => setTimeout(resolve, 2000));
    expect(agent.asked.filter((url) => url.startsWith('/v1/catalog')).length).toBeLessThan(12);
    expect(await calls.stop()).toMatchObject({ failed: 0 });
  });
});

it('an agent whose answers cannot be waited for is told of us every 5 s, and not without a pause', async () => {
  const agent = keep(await fakeConsul());
  const address = `http://127.0.0.1:${agent.server.port}`;
  const mesh = keep(await meshOf(EMPTY, { registries: [consul({ address, register: { service: 'api', port: 80 } })] }));
  await until(() => Promise.resolve(agent.asked.some((url) => url.startsWith('/v1/agent/service/api'))));
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(agent.asked.filter((url) => url.startsWith('/v1/agent/service'))).toHaveLength(2);
  const began = performance.now();
  await mesh.close();
  expect(performance.now() - began).toBeLessThan(1500);
  expect(agent.asked.at(-1)).toMatch(/^\/v1\/agent\/service\/deregister\/api-/);
});

describe('what holds of its connections', () => {
  it('a closed mesh has none, not even one that is waiting', async () => {
    const { agent, mesh, calls } = await world();
    expect(agent.server.open.size).toBeGreaterThan(1);
    await calls.stop();
    await mesh.close();
    await until(() => Promise.resolve(agent.server.open.size === 0), 10, 1000);
    const questions = agent.asked.length;
    agent.set([], 200);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(agent.asked).toHaveLength(questions);
  });

  it('they do not go through the mesh, installed or not', async () => {
    const { agent, mesh, calls } = await world();
    await calls.stop();
    mesh.install();
    agent.server.seen.length = 0;
    const next = keep(await upstream(say('next')));
    agent.set([next.port], 101);
    await until(async () => 'next' in (await spread(mesh, URL_OF_API, 4)));
    expect(mesh.metrics()).not.toContain('PassthroughCluster');
  });

  it('ports and subsets of one service share one question', async () => {
    const { agent, mesh, calls } = await world();
    await calls.stop();
    const asking = () => agent.asked.filter((url) => url === '/v1/health/service/api').length;
    const before = asking();
    mesh.set(`apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: another, namespace: default, annotations: { inmesh.dev/consul-service: api } }
spec: { hosts: [another.example.com], location: MESH_INTERNAL, resolution: STATIC, ports: [{ number: 80, name: http, protocol: HTTP }] }
`);
    expect(Object.keys(await spread(mesh, 'http://another.example.com/', 12)).sort()).toEqual(['one', 'two']);
    expect(asking()).toBe(before);
  });

  it('a process with nothing else to do ends, whatever it follows', async () => {
    const agent = keep(await fakeConsul());
    const one = keep(await upstream(say('one')));
    agent.set([one.port], 100);
    const script = `
      import { createMesh } from 'inmesh';
      const mesh = await createMesh({ policy: 'apiVersion: v1\\nkind: List\\nitems: []\\n', registries: ['consul'] });
      console.log(await (await mesh.fetch('${URL_OF_API}')).text());
    `;
    const { stdout } = await promisify(execFile)(
      join(import.meta.dirname, '../../node_modules/.bin/node'),
      ['--conditions=@inmesh/source', '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
      { cwd: import.meta.dirname, timeout: 15_000, env: { ...process.env, CONSUL_HTTP_ADDR: `127.0.0.1:${agent.server.port}` } },
    );
    expect(stdout).toBe('one\n');
  });

  it('they are TLS with certificates of both sides where the address says https', async () => {
    const ca = createDevCa();
    const { certificate, privateKey } = ca.issue({ serviceAccount: 'consul', hosts: ['localhost'] });
    const client = ca.issue({ serviceAccount: 'client' });
    const agent = keep(
      await fakeConsul(
        (listener) =>
          createTlsServer(
            { cert: certificate, key: privateKey, ca: ca.roots, requestCert: true, rejectUnauthorized: true },
            listener,
          ) as never,
      ),
    );
    const one = keep(await upstream(say('one')));
    agent.set([one.port], 100);
    const address = `https://localhost:${agent.server.port}`;
    const trusted = { ca: ca.roots, cert: client.certificate, key: client.privateKey };
    const mesh = keep(await meshOf(EMPTY, { registries: [consul({ address, ...trusted })] }));
    expect(await spread(mesh, URL_OF_API, 2)).toEqual({ one: 2 });
    const stranger = keep(await meshOf(EMPTY, { registries: [consul({ address, ca: ca.roots })] }));
    expect(troubleOf(stranger)).toContain('cannot be reached');
    const wary = keep(await meshOf(EMPTY, { registries: [consul({ address, cert: client.certificate, key: client.privateKey })] }));
    expect(troubleOf(wary)).toMatch(/cannot be reached: .*certificate/);
  });
});
