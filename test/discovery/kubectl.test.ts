import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KubeApiServer } from '../support/kube-api.ts';
import { Refusal } from '../support/kube-store.ts';
import { kubectl, kubectlHere, kubectlStarted } from '../support/kubectl.ts';

const here = kubectlHere();
if (here !== true && process.env['CI'] === 'true') throw new Error(here);

// The server of the other tests is a fake; that the real client takes it for an API server is what makes them worth something.
describe.skipIf(here !== true)(`the API server of these tests, asked by kubectl${here === true ? '' : ` (skipped: ${here})`}`, () => {
  let server: KubeApiServer;
  let folder: string;
  let config: string;
  const run = (...args: string[]) => kubectl(config, args);
  const apply = (yaml: string, ...args: string[]) => kubectl(config, ['apply', ...args, '-f', '-'], yaml);
  const virtualService = (weight: number) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, labels: { team: shop } }
spec:
  hosts: [reviews]
  http:
  - route:
    - { destination: { host: reviews, subset: v1 }, weight: ${100 - weight} }
    - { destination: { host: reviews, subset: v2 }, weight: ${weight} }
`;
  const weights = () => {
    const { spec } = server.store.get('networking.istio.io/virtualservices', 'shop', 'reviews') as unknown as {
      spec: { http: { route: { weight: number }[] }[] };
    };
    return spec.http[0]!.route.map(({ weight }) => weight);
  };

  beforeAll(async () => {
    server = await KubeApiServer.start({ tokens: ['good'], tls: true });
    folder = mkdtempSync(join(tmpdir(), 'inmesh-kubectl-'));
    config = join(folder, 'config');
    writeFileSync(config, server.kubeconfig('good'));
  });
  afterAll(async () => {
    await server.down();
    rmSync(folder, { recursive: true });
  });

  it('knows its kinds', async () => {
    expect(await run('api-resources', '--api-group=networking.istio.io', '-o', 'name')).toContain('virtualservices.networking.istio.io');
  });

  it('applies, patches, scales by weight and deletes', async () => {
    expect(await apply(virtualService(0))).toContain('reviews created');
    expect(await apply(virtualService(10))).toContain('reviews configured');
    expect(await apply(virtualService(10))).toContain('reviews unchanged');
    expect(weights()).toEqual([90, 10]);
    await run(
      'patch',
      'virtualservice',
      'reviews',
      '--type=json',
      '-p',
      '[{"op":"replace","path":"/spec/http/0/route/1/weight","value":50}]',
    );
    expect(weights()).toEqual([90, 50]);
    await run('patch', 'virtualservice', 'reviews', '--type=merge', '-p', '{"metadata":{"labels":{"tier":"1"}}}');
    expect(await run('get', 'virtualservice', '-l', 'team=shop,tier in (1,2)', '-o', 'name')).toBe(
      'virtualservice.networking.istio.io/reviews\n',
    );
    expect(await run('get', 'virtualservice', '-l', 'tier!=1', '-o', 'name')).toBe('');
    await run('label', 'virtualservice', 'reviews', 'tier-');
    expect(await run('get', 'virtualservice', 'reviews', '-o', 'jsonpath={.metadata.labels}')).toBe('{"team":"shop"}');
    expect(await run('delete', 'virtualservice', 'reviews')).toContain('deleted');
    await expect(run('get', 'virtualservice', 'reviews')).rejects.toThrow('not found');
  });

  it('applies on the server and replaces', async () => {
    expect(await apply(virtualService(5), '--server-side')).toContain('serverside-applied');
    await kubectl(config, ['replace', '-f', '-'], virtualService(6));
    expect(weights()).toEqual([94, 6]);
    await run('delete', 'virtualservice', '--all');
  });

  it('lists pages', async () => {
    server.apply(...[...Array(7).keys()].map((index) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: `s${index}`, namespace: 'shop' }, spec: { ports: [{ port: 80 }] } }))); // prettier-ignore
    const before = server.seen.length;
    const names = (await run('get', 'services', '--chunk-size=3', '-o', 'name')).trim().split('\n');
    expect(names).toHaveLength(7);
    expect(server.seen.slice(before).filter(({ query }) => query.get('continue') !== null)).toHaveLength(2);
  });

  it('watches, as others change', async () => {
    const { child, lines } = kubectlStarted(config, ['get', 'services', '-w', '-o', 'name', '-l', 'watched=yes']);
    try {
      await expect.poll(() => server.watches.length).toBe(1);
      server.apply({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'late', namespace: 'shop', labels: { watched: 'yes' } },
        spec: {},
      });
      await expect.poll(() => lines).toEqual(['service/late']);
      // Who loses the label has left what is watched.
      server.apply({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'late', namespace: 'shop', labels: {} }, spec: {} });
      await expect.poll(() => lines.length).toBe(2);
    } finally {
      child.kill();
    }
  });

  it('is told in words what it may not', async () => {
    writeFileSync(config, server.kubeconfig('bad'));
    await expect(run('get', 'services')).rejects.toThrow(/logged in|Unauthorized/);
    writeFileSync(config, server.kubeconfig('good'));
    server.refuse(({ path }) => (path.includes('/pods') ? new Refusal(403, 'Forbidden', 'pods is forbidden: not you') : undefined));
    await expect(run('get', 'pods')).rejects.toThrow('pods is forbidden: not you');
    server.refuse();
  });
});
