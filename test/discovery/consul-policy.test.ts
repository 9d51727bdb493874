import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMesh, type Mesh } from 'inmesh';
import { consulPolicy } from '@inmesh/discovery/consul';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { consulAgent, noConsul, REAL_CONSUL, type TestConsul } from '../support/consul.ts';
import { until } from '../support/traffic.ts';

const left: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of left.splice(0)) await one.close();
});
const keep = (mesh: Mesh): Mesh => {
  left.push(mesh);
  return mesh;
};

/** A policy under which a host answers by itself. */
const answering = (host: string, status: number, more = ''): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host.replaceAll('.', '-')} }
spec: { hosts: [${host}], http: [{ directResponse: { status: ${status} } }] }
${more}`;

const statusOf = async (mesh: Mesh, host: string): Promise<number> => (await mesh.fetch(`http://${host}/`)).status;
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe.skipIf(noConsul)(`a policy in the key-value store of ${REAL_CONSUL}`, () => {
  let agent: TestConsul;
  let prefix: string;
  let tests = 0;
  beforeAll(async () => {
    agent = await consulAgent();
  });
  afterAll(async () => agent?.[Symbol.asyncDispose]());
  beforeEach(() => (prefix = `mesh-${(tests += 1)}`));

  const put = (key: string, value: string) => agent.call('PUT', `/kv/${prefix}/${key}`, value);
  const spec = () => `consul://${agent.address}/${prefix}`;

  it('is every key below a prefix, followed as it changes', async () => {
    await put('a.yaml', answering('a.test', 201));
    await put('more/b.yaml', answering('b.test', 202));
    const mesh = keep(await createMesh({ policy: spec(), policyCache: '' }));
    expect([await statusOf(mesh, 'a.test'), await statusOf(mesh, 'b.test')]).toEqual([201, 202]);
    expect(mesh.status().source).toEqual({ name: `consul http://${agent.address} kv ${prefix}/`, trouble: '' });
    const from = performance.now();
    await put('a.yaml', answering('a.test', 203));
    await until(async () => (await statusOf(mesh, 'a.test')) === 203, 5);
    expect(performance.now() - from).toBeLessThan(1000);
    await agent.call('DELETE', `/kv/${prefix}/more/b.yaml`);
    await until(() => Promise.resolve(mesh.explain({ url: 'http://b.test/' }).service === null && mesh.explain({ url: 'http://b.test/' }).status === null)); // prettier-ignore
  });

  it('keys written one after the other are one change', async () => {
    await put('a.yaml', answering('a.test', 201));
    const events: string[] = [];
    const mesh = keep(await createMesh({ policy: spec(), onEvent: ({ type }) => events.push(type) }));
    await Promise.all(Array.from({ length: 20 }, (_, index) => put(`n${index}.yaml`, answering(`n${index}.test`, 204))));
    await until(() => Promise.resolve(mesh.explain({ url: 'http://n19.test/' }).status === 204), 5);
    expect(events.filter((type) => type === 'policy.applied').length).toBeLessThan(5);
  });

  it('an emptied prefix is no empty mesh, nor is a wrong document taken', async () => {
    await put('a.yaml', answering('a.test', 201));
    const mesh = keep(await createMesh({ policy: spec() }));
    await put('a.yaml', 'kind: Nonsense\n');
    await until(() => Promise.resolve(mesh.status().rejected !== null));
    expect(await statusOf(mesh, 'a.test')).toBe(201);
    await agent.call('DELETE', `/kv/${prefix}?recurse`);
    await until(() => Promise.resolve(mesh.status().source.trouble.includes('not taken for an empty mesh')));
    expect(await statusOf(mesh, 'a.test')).toBe(201);
    await put('a.yaml', answering('a.test', 202));
    await until(async () => (await statusOf(mesh, 'a.test')) === 202);
    expect(mesh.status().source.trouble).toBe('');
  });

  it('a text beyond 512 KiB stands in parts, which count when all of them are there', async () => {
    const big = answering('a.test', 201, `# ${'x'.repeat(600_000)}\n---\n${answering('b.test', 202)}`);
    const parts = (text: string) => [text.slice(0, 400_000), text.slice(400_000)] as const;
    await expect(put('big.yaml', big)).rejects.toThrow('413');
    const write = async (text: string) => {
      const [first, second] = parts(text);
      await put('big.yaml/part-1', first);
      await put('big.yaml/part-2', second);
      await put('big.yaml/sha256', sha256(text));
    };
    await write(big);
    const mesh = keep(await createMesh({ policy: spec() }));
    expect([await statusOf(mesh, 'a.test'), await statusOf(mesh, 'b.test')]).toEqual([201, 202]);
    const next = big.replace('status: 201', 'status: 208').replace('status: 202', 'status: 207');
    await put('big.yaml/part-1', parts(next)[0]);
    await until(() => Promise.resolve(mesh.status().source.trouble.includes('are not those of its sha256')));
    expect([await statusOf(mesh, 'a.test'), await statusOf(mesh, 'b.test')]).toEqual([201, 202]);
    await write(next);
    await until(async () => (await statusOf(mesh, 'b.test')) === 207);
    expect(await statusOf(mesh, 'a.test')).toBe(208);
    await agent.call('DELETE', `/kv/${prefix}/big.yaml/part-1`);
    await until(() => Promise.resolve(mesh.status().source.trouble.includes('parts of "big.yaml" are missing')));
    expect(await statusOf(mesh, 'a.test')).toBe(208);
  });

  it('is there without Consul where the last good one was kept', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'inmesh-'));
    left.push({ close: () => Promise.resolve(rmSync(folder, { recursive: true })) });
    const own = await consulAgent();
    await own.call('PUT', `/kv/${prefix}/a.yaml`, answering('a.test', 201));
    const policy = () => consulPolicy({ address: own.url, prefix, cacheFile: join(folder, 'last') });
    await (await createMesh({ policy: policy() })).close();
    await own[Symbol.asyncDispose]();
    const mesh = keep(await createMesh({ policy: policy(), startTimeoutMs: 2000 }));
    expect(await statusOf(mesh, 'a.test')).toBe(201);
    expect(mesh.status().source.trouble).toContain('cannot be reached');
  });

  it('needs a prefix', async () => {
    await expect(createMesh({ policy: 'consul:' })).rejects.toThrow('the prefix is empty');
    await expect(createMesh({ policy: 'consul://127.0.0.1:8500' })).rejects.toThrow('names no prefix');
  });
});
