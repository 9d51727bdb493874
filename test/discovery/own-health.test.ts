import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { registryServer } from '@inmesh/discovery/registry-server';
import { startRegistry } from '@inmesh/server';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { spread } from '../support/traffic.ts';
import { say, upstream } from '../support/upstream.ts';

const NO_SERVICES = 'apiVersion: inmesh.dev/v1\nkind: MeshConfig\nmetadata: { name: mesh }\n';
const HOST = 'reviews.default.svc.cluster.local';

let folder: string;
let stack: AsyncDisposableStack;
let url: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-own-health-'));
  stack = new AsyncDisposableStack();
  const registry = await startRegistry({ port: 0 });
  stack.defer(() => registry.close());
  ({ url } = registry);
});
afterEach(async () => {
  await stack.disposeAsync();
  rmSync(folder, { recursive: true });
});

type Probe = NonNullable<NonNullable<Parameters<typeof registryServer>[0]['register']>['probe']>;

async function machine(name: string, probe?: Probe): Promise<TestMesh> {
  const server = stack.use(await upstream(say(name)));
  const register = { service: 'reviews', ports: { http: server.port }, servicePorts: { http: 80 }, id: name, ...(probe === undefined ? {} : { probe }) }; // prettier-ignore
  return stack.use(await meshOf(NO_SERVICES, { registries: [registryServer({ url, register }, {})] }));
}

/** What the registry says of each. */
async function listed(): Promise<Record<string, string>> {
  const response = await fetch(`${url}/v1/services/${HOST}`);
  const { members } = (response.ok ? await response.json() : { members: [] }) as {
    members: { id: string; member: { health?: string } }[];
  };
  return Object.fromEntries(members.map(({ id, member: { health = 'healthy' } }) => [id, health]));
}

const trouble = (mesh: TestMesh): string => mesh.status().registries[0]!.trouble;

describe('a machine that registers itself and asks itself how it is', () => {
  it.skipIf(process.platform === 'win32')('is called while its command succeeds, and only then', { timeout: 30_000 }, async () => {
    const well = join(folder, 'well');
    const failures = join(folder, 'failures');
    const command = ['sh', '-c', 'test -e "$0" || { echo >> "$1"; false; }', well, failures];
    const [a] = [await machine('a', { periodSeconds: 1, failureThreshold: 2, exec: { command } }), await machine('b')];
    // Ill until it has proved to be well.
    await expect.poll(listed, { timeout: 5000 }).toEqual({ a: 'unhealthy', b: 'healthy' });
    const caller = stack.use(await meshOf(NO_SERVICES, { registries: [registryServer({ url }, {})] }));
    const called = async (): Promise<string[]> => Object.keys(await spread(caller, 'http://reviews/', 10)).sort();
    await expect.poll(called, { timeout: 5000 }).toEqual(['b']);
    await expect.poll(() => trouble(a), { timeout: 5000 }).toMatch(/^"reviews" is registered as unhealthy: /);
    writeFileSync(well, '');
    await expect.poll(called, { timeout: 5000 }).toEqual(['a', 'b']);
    expect([await listed(), trouble(a)]).toEqual([{ a: 'healthy', b: 'healthy' }, '']);
    // Those from before it was well.
    rmSync(failures);
    rmSync(well);
    await expect.poll(called, { timeout: 5000 }).toEqual(['b']);
    // One failure is none.
    expect(readFileSync(failures, 'utf8').length).toBeGreaterThanOrEqual(2);
    expect([await listed(), trouble(a)]).toEqual([
      { a: 'unhealthy', b: 'healthy' },
      '"reviews" is registered as unhealthy: sh ended with 1',
    ]);
    await a.close();
    expect(await listed()).toEqual({ b: 'healthy' });
  });

  it('asks over the wire where it listens, by the other kinds of probe', { timeout: 30_000 }, async () => {
    const other = stack.use(await upstream((request, response) => response.writeHead(request.url === '/healthz' ? 200 : 503).end()));
    await machine('http', { periodSeconds: 1, httpGet: { port: other.port, path: '/healthz' } });
    const ill = await machine('ill', { periodSeconds: 1, failureThreshold: 100, httpGet: { port: other.port, path: '/' } });
    const grpcless = await machine('grpc', { periodSeconds: 1, grpc: {} });
    await expect.poll(listed, { timeout: 5000 }).toEqual({ http: 'healthy', ill: 'unhealthy', grpc: 'unhealthy' });
    await expect.poll(() => trouble(ill)).toContain('answered 503');
    await expect.poll(() => trouble(grpcless)).toMatch(/is registered as unhealthy: (?!its probe)/);
  });

  it('is refused a probe that means nothing', () => {
    const register = { service: 'reviews', ports: { http: 1 } };
    expect(() => registryServer({ url, register: { ...register, probe: { exec: { command: [] } } } }, {})).toThrow(
      /register: probe: .*the command is empty/,
    );
  });
});
