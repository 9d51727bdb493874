import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createMesh } from 'inmesh';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { meshOf, serviceEntry, virtualService } from './support/mesh.ts';
import { say, upstream, type Upstream } from './support/upstream.ts';

const HOST = 'shop.example.com';
let shop: Upstream;
let folder: string;

beforeAll(async () => {
  shop = await upstream(say('hello'));
  folder = mkdtempSync(join(tmpdir(), 'inmesh-face-'));
});

afterAll(async () => {
  await shop.kill();
  rmSync(folder, { recursive: true });
});

describe('createMesh', () => {
  it('says what it needs when it is given nothing', async () => {
    await expect(createMesh()).rejects.toMatchObject({ code: 'MISUSE', message: expect.stringContaining('INMESH_POLICY') as string });
  });

  it('lists everything that is wrong with the first document, with its places', async () => {
    const file = join(folder, 'broken.yaml');
    writeFileSync(
      file,
      serviceEntry(HOST, [1]).replace('hosts:', 'hostz:') + virtualService(HOST, '- timeout: 3x\n  redirect: { uri: / }'),
    );
    const error = await createMesh({ policy: file }).then(
      () => undefined,
      (reason: Error & { code: string }) => reason,
    );
    expect(error).toMatchObject({ code: 'POLICY_INVALID' });
    expect(error!.message).toMatch(/broken\.yaml:\d+:\d+ .*hostz/);
    expect(error!.message).toMatch(/broken\.yaml:\d+:\d+ .*3x/);
  });

  it('knows who it is, and tells where from: in status, on the admin port, in metrics', async () => {
    vi.stubEnv('ISTIO_META_WORKLOAD_NAME', 'storefront-v2');
    vi.stubEnv('ISTIO_META_CLUSTER_ID', 'east');
    vi.stubEnv('ISTIO_METAJSON_LABELS', '{"app":"storefront","app.kubernetes.io/version":"v2"}');
    try {
      const file = join(folder, 'self.yaml');
      writeFileSync(file, serviceEntry(HOST, [shop.port]));
      const mesh = await createMesh({ policy: file, admin: 0, workload: { namespace: 'web' } });
      const self = {
        name: { value: 'storefront-v2', from: 'ISTIO_META_WORKLOAD_NAME' },
        namespace: { value: 'web', from: 'createMesh({ workload })' },
        canonicalService: { value: 'storefront', from: 'label app' },
        canonicalRevision: { value: 'v2', from: 'label app.kubernetes.io/version' },
        'label app': { value: 'storefront', from: 'ISTIO_METAJSON_LABELS' },
      };
      expect(mesh.status().self).toMatchObject(self);
      expect(mesh.status().workload).toMatchObject({ name: 'storefront-v2', namespace: 'web', cluster: 'east' });
      expect(await (await fetch(`${mesh.adminUrl}/status`)).json()).toMatchObject({ self });
      await mesh.request(`http://${HOST}/`);
      for (const label of [
        'workload="storefront-v2"',
        'workload_namespace="web"',
        'canonical_service="storefront"',
        'canonical_revision="v2"',
        'cluster="east"',
      ])
        expect(mesh.metrics()).toContain(`source_${label}`);
      await mesh.close();
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('counts the first policy and its source from the start', async () => {
    const file = join(folder, 'first.yaml');
    writeFileSync(file, serviceEntry(HOST, [shop.port]));
    const mesh = await createMesh({ policy: file });
    const { version } = mesh.status();
    expect(mesh.metrics()).toContain(`\ninmesh_policy_info{version="${version}"} 1\n`);
    expect(mesh.metrics()).toMatch(/\ninmesh_policy_applied_total 1\n/);
    expect(mesh.metrics()).toMatch(/\ninmesh_policy_source_up 1\n/);
    expect(mesh.metrics()).toMatch(/\ninmesh_policy_age_seconds [\d.e-]+\n/);
    await mesh.close();
    const bundled = await createMesh({ policy: 'http://127.0.0.1:1/policy', bundledPolicy: file, startTimeoutMs: 500 });
    expect(bundled.metrics()).toMatch(/\ninmesh_policy_source_up 0\n/);
    await bundled.close();
  });

  it('begins with the bundled policy while the remote one cannot be had', async () => {
    const file = join(folder, 'bundled.yaml');
    writeFileSync(file, serviceEntry(HOST, [shop.port]));
    const mesh = await createMesh({ policy: 'http://127.0.0.1:1/policy', bundledPolicy: file, startTimeoutMs: 500 });
    expect((await mesh.request(`http://${HOST}/`)).text()).toBe('hello');
    expect(mesh.status().source.trouble).not.toBe('');
    await mesh.close();
  });

  it('begins with the last good document of a URL that is down at the next start', async () => {
    const cache = join(folder, 'last-good');
    const server = await upstream(say(serviceEntry(HOST, [shop.port]), 200, { 'content-type': 'application/yaml', etag: '"1"' }));
    const policy = `http://127.0.0.1:${server.port}/mesh.yaml`;
    const first = await createMesh({ policy, policyCache: cache });
    await expect.poll(() => existsSync(cache)).toBe(true);
    await first.close();
    await server.kill();
    const second = await createMesh({ policy, policyCache: cache, startTimeoutMs: 500 });
    expect((await second.request(`http://${HOST}/`)).text()).toBe('hello');
    await second.close();
  });

  it('follows a file, and a broken edit changes nothing but the status', async () => {
    const file = join(folder, 'live.yaml');
    const policy = (status: number) => serviceEntry(HOST, [shop.port]) + virtualService(HOST, `- directResponse: { status: ${status} }`);
    writeFileSync(file, policy(201));
    const mesh = await createMesh({ policy: file, workload: { namespace: 'default' } });
    const status = async () => (await mesh.request(`http://${HOST}/`)).status;
    expect(await status()).toBe(201);
    writeFileSync(file, policy(202));
    await expect.poll(status, { timeout: 5000 }).toBe(202);
    writeFileSync(file, policy(999));
    await expect.poll(() => mesh.status().rejected?.reason, { timeout: 5000 }).toContain('999');
    expect(await status()).toBe(202);
    writeFileSync(file, policy(203));
    await expect.poll(status, { timeout: 5000 }).toBe(203);
    expect(mesh.status().rejected).toBeNull();
    await mesh.close();
  });
});

describe('the admin port', () => {
  it('shows metrics, status, snapshot and explanations of a running mesh, and is off unless asked for', async () => {
    const quiet = await meshOf(serviceEntry(HOST, [shop.port]));
    expect(quiet.adminUrl).toBeUndefined();
    await quiet.close();
    const mesh = await meshOf(serviceEntry(HOST, [shop.port]), { admin: 0 });
    for (let i = 0; i < 3; i += 1) await mesh.request(`http://${HOST}/`);
    const get = async (path: string) => {
      const response = await fetch(`${mesh.adminUrl}${path}`);
      return { status: response.status, text: await response.text() };
    };
    const metrics = await get('/metrics');
    expect(metrics.text).toMatch(
      new RegExp(`istio_requests_total\\{[^}]*reporter="source"[^}]*destination_service="${HOST}"[^}]*response_code="200"[^}]*\\} 3`),
    );
    expect(metrics.text).toMatch(/istio_request_duration_milliseconds_count\{[^}]*\} 3/);
    const status = JSON.parse((await get('/status')).text) as ReturnType<typeof mesh.status>;
    expect(status).toMatchObject({ callsInFlight: 0, rejected: null, workload: { name: 'client' }, installed: 'no' });
    expect(status.snapshot.clusters[0]).toMatchObject({ name: `outbound|80||${HOST}`, resolution: 'bound' });
    expect(JSON.parse((await get('/snapshot')).text)).toMatchObject({ services: [{ host: HOST }] });
    const explained = await get(`/explain?url=${encodeURIComponent(`http://${HOST}/x`)}`);
    expect(JSON.parse(explained.text)).toMatchObject({ decision: 'route', service: HOST });
    expect((await get('/ready')).status).toBe(200);
    expect((await get('/nothing')).status).toBe(404);
    expect((await fetch(`${mesh.adminUrl}/status`, { method: 'POST' })).status).toBe(405);
    await mesh.close();
  });
});

describe('inmesh/register', () => {
  it('puts an unchanged program under the policy', async () => {
    const policy = join(folder, 'register.yaml');
    const program = join(import.meta.dirname, '../examples/.readme-register.mjs');
    writeFileSync(policy, serviceEntry(HOST, [shop.port]));
    writeFileSync(program, `console.log(await (await fetch('http://${HOST}/')).text());\nprocess.exit(0);\n`);
    try {
      const flags = ['--conditions=@inmesh/source', '--disable-warning=ExperimentalWarning', '--import', 'inmesh/register'];
      const { stdout } = await promisify(execFile)(process.execPath, [...flags, program], {
        cwd: join(import.meta.dirname, '../examples'),
        env: { ...process.env, INMESH_POLICY: policy },
        timeout: 20_000,
      });
      expect(stdout).toBe('hello\n');
    } finally {
      rmSync(program);
    }
  });
});
