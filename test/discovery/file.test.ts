import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMesh } from 'inmesh';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { say, upstream, type Upstream } from '../support/upstream.ts';

const HOST = 'shop.example.com';
const POLICY = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: shop, namespace: default }
spec:
  hosts: [${HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: shop, namespace: default }
spec:
  host: ${HOST}
  subsets: [{ name: v2, labels: { version: v2 } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: default }
spec:
  hosts: [${HOST}]
  http:
  - match: [{ uri: { prefix: /new } }]
    route: [{ destination: { host: ${HOST}, subset: v2 } }]
  - route: [{ destination: { host: ${HOST} } }]
`;

let folder: string;
let file: string;
let servers: readonly Upstream[];
beforeAll(async () => {
  servers = [await upstream(say('one')), await upstream(say('two')), await upstream(say('three'))];
});
afterAll(() => Promise.all(servers.map((server) => server.kill())));
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-file-'));
  file = join(folder, 'endpoints.json');
  return () => rmSync(folder, { recursive: true });
});

/** As a deployment would: the whole file at once. */
function write(...members: readonly object[]): void {
  writeFileSync(`${file}.new`, JSON.stringify({ [HOST]: members.map((member) => ({ address: '127.0.0.1', ...member })) }));
  renameSync(`${file}.new`, file);
}
const at = (index: number, more: object = {}): object => ({ ports: { http: servers[index]!.port }, ...more });
const reached = async (mesh: TestMesh, path = '/'): Promise<string> => {
  const heard = new Set<string>();
  for (let call = 0; call < 20; call += 1) {
    const response = await mesh.request(`http://${HOST}${path}`);
    heard.add(response.status === 200 ? response.text() : `failed ${response.status}`);
  }
  return [...heard].sort().join();
};

describe('registries: [file:endpoints.json]', () => {
  it('follows the file while calls run, and none is lost', async () => {
    write(at(0), at(1));
    await using mesh = await meshOf(POLICY, { registries: [`file:${file}`] });
    expect(await reached(mesh)).toBe('one,two');
    let running = true;
    const outcomes = new Map<number, number>();
    const calls = (async () => {
      while (running) {
        const { status } = await mesh.request(`http://${HOST}/`);
        outcomes.set(status, (outcomes.get(status) ?? 0) + 1);
      }
    })();
    write(at(1), at(2));
    await expect.poll(() => reached(mesh), { timeout: 5000 }).toBe('three,two');
    write(at(0, { health: 'draining' }), at(2));
    await expect.poll(() => reached(mesh), { timeout: 5000 }).toBe('three');
    writeFileSync(file, '{ "shop.example.com": [{ "adress"');
    await expect.poll(() => mesh.status().registries[0]!.trouble, { timeout: 5000 }).toMatch(/endpoints\.json:1:\d+/);
    expect(await reached(mesh)).toBe('three');
    rmSync(file);
    await expect.poll(() => mesh.status().registries[0]!.trouble, { timeout: 5000 }).toMatch(/does not exist/);
    expect(await reached(mesh)).toBe('three');
    write(at(0), at(2));
    await expect.poll(() => reached(mesh), { timeout: 5000 }).toBe('one,three');
    expect(mesh.status().registries).toEqual([{ name: `file ${file}`, trouble: '' }]);
    running = false;
    await calls;
    expect([...outcomes.keys()]).toEqual([200]);
  });

  it('has labels, so that subsets hold', async () => {
    write(at(0, { labels: { version: 'v1' } }), at(1, { labels: { version: 'v2' } }));
    await using mesh = await meshOf(POLICY, { registries: [`file:${file}`] });
    expect(await reached(mesh)).toBe('one,two');
    expect(await reached(mesh, '/new')).toBe('two');
  });

  it('needs a file to be named', async () => {
    await expect(createMesh({ policy: POLICY, registries: ['file:'] })).rejects.toMatchObject({
      code: 'MISUSE',
      message: /file:endpoints\.yaml/,
    });
    await expect(createMesh({ policy: POLICY, registries: ['flie:x'] })).rejects.toMatchObject({ code: 'MISUSE', message: /flie/ });
    await expect(createMesh({ policy: POLICY, registries: ['http://'] })).rejects.toMatchObject({ code: 'MISUSE', message: /no URL/ });
  });
});
