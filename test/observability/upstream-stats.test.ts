import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { echo, echoClient } from '../support/echo-grpc.ts';
import { destinationRule, meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';
import { clusterStats, shown } from '../support/metrics.ts';
import { type Answer, rawUpstream, say, type Upstream, upstream } from '../support/upstream.ts';

// Envoy's statistics of clusters, by real sockets: exact numbers, for alerts are written on them.

const HOST = 'shop.example.com';
const CLUSTER = `outbound|80||${HOST}`;

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function server(answer: Answer): Promise<Upstream> {
  const made = await upstream(answer);
  left.push(made);
  return made;
}

async function under(yaml: string): Promise<TestMesh> {
  const mesh = await meshOf(yaml);
  left.push(mesh);
  return mesh;
}

const once = `- retries: { attempts: 0 }\n  route: [{ destination: { host: ${HOST} } }]`;
const stats = (mesh: TestMesh, cluster = CLUSTER) => clusterStats(mesh.metrics(), cluster);

async function called(mesh: TestMesh, calls: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let call = 0; call < calls; call += 1) {
    statuses.push((await mesh.request(`http://${HOST}/`)).status);
  }
  return statuses;
}

/** A port nobody listens on. */
async function deadPort(): Promise<number> {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const { port } = holder.address() as AddressInfo;
  await new Promise((resolve) => holder.close(resolve));
  return port;
}

describe('a cluster', () => {
  it('that nobody called is not shown; one that was called tells its calls, its connections and its members', async () => {
    const shop = await server((_request, response, body) => say(body === '' ? 'ok' : 'no', 200)(_request, response, body));
    const mesh = await under(serviceEntry(HOST, [shop.port]) + serviceEntry('other.example.com', [shop.port]));
    expect(mesh.metrics()).not.toContain('envoy_cluster_');
    await called(mesh, 5);
    expect(stats(mesh)).toMatchObject({
      upstream_rq_total: 5,
      upstream_rq_active: 0,
      'upstream_rq 200': 5,
      'upstream_rq_xx 2xx': 5,
      upstream_rq_retry: 0,
      upstream_cx_total: shop.connections,
      upstream_cx_active: shop.open.size,
      upstream_cx_connect_fail: 0,
      membership_total: 1,
      membership_healthy: 1,
      update_success: 1,
    });
    expect(mesh.metrics()).not.toContain('other.example.com');
    // Rare ones are left out until they happen.
    expect(mesh.metrics()).not.toContain('upstream_rq_rx_reset');
    expect(shown(mesh.metrics(), 'envoy_cluster_upstream_cx_connect_ms_count')).toEqual([
      { labels: { cluster_name: CLUSTER }, value: shop.connections },
    ]);
    await shop.kill();
    await expect.poll(() => stats(mesh)).toMatchObject({ upstream_cx_active: 0, upstream_cx_destroy: shop.connections });
  });

  it('keeps its counts when the policy changes', async () => {
    const shop = await server(say('ok'));
    const mesh = await under(serviceEntry(HOST, [shop.port]));
    await called(mesh, 2);
    mesh.set(serviceEntry(HOST, [shop.port]) + virtualService(HOST, once));
    await called(mesh, 2);
    expect(stats(mesh)).toMatchObject({ upstream_rq_total: 4, 'upstream_rq 200': 4, upstream_cx_total: shop.connections });
  });
});

describe('limits', () => {
  it('tell each call that was refused, and that the breaker is open', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const shop = await rawUpstream((_request, response) => void held.then(() => response.end('ok')));
    left.push(shop);
    const pool = 'trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 2 } } }';
    const mesh = await under(serviceEntry(HOST, [shop.port]) + virtualService(HOST, once) + destinationRule(HOST, pool));
    const calls = Array.from({ length: 6 }, () => mesh.request(`http://${HOST}/`));
    await expect.poll(() => stats(mesh)['upstream_rq_pending_overflow']).toBe(3);
    expect(stats(mesh)).toMatchObject({
      upstream_rq_total: 1,
      upstream_rq_active: 1,
      upstream_rq_pending_active: 2,
      upstream_rq_pending_total: 2,
      upstream_cx_overflow: 5,
      circuit_breakers_default_cx_open: 1,
      circuit_breakers_default_remaining_cx: 0,
      circuit_breakers_default_rq_pending_open: 1,
    });
    release();
    const statuses = (await Promise.all(calls)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 503)).toHaveLength(3);
    await expect.poll(() => stats(mesh)).toMatchObject({ upstream_rq_active: 0, upstream_rq_total: 3, 'upstream_rq 200': 3, 'upstream_rq 503': 3 });
    expect(stats(mesh)).toMatchObject({ circuit_breakers_default_cx_open: 0, circuit_breakers_default_remaining_rq_pending: 2 });
  }); // prettier-ignore
});

describe('retries', () => {
  it('are counted, their success too, and only the last answer as the call’s', async () => {
    let asked = 0;
    const shop = await server((request, response, body) => say('x', (asked += 1) % 3 === 0 ? 200 : 503)(request, response, body));
    const retries = `- retries: { attempts: 2, retryOn: 5xx, perTryTimeout: 2s }\n  route: [{ destination: { host: ${HOST} } }]`;
    const mesh = await under(serviceEntry(HOST, [shop.port]) + virtualService(HOST, retries));
    expect(await called(mesh, 2)).toEqual([200, 200]);
    expect(stats(mesh)).toMatchObject({
      upstream_rq_total: 6,
      upstream_rq_retry: 4,
      upstream_rq_retry_success: 2,
      upstream_rq_retry_backoff_exponential: 4,
      upstream_rq_retry_overflow: 0,
      'upstream_rq 200': 2,
    });
    expect(stats(mesh)).not.toHaveProperty('upstream_rq 503');
    asked = -1000;
    const never = await server(say('x', 503));
    mesh.set(serviceEntry(HOST, [never.port]) + virtualService(HOST, retries));
    expect(await called(mesh, 1)).toEqual([503]);
    expect(stats(mesh)).toMatchObject({ upstream_rq_retry: 6, upstream_rq_retry_success: 2, upstream_rq_retry_limit_exceeded: 1, 'upstream_rq 503': 1 });
  }); // prettier-ignore
});

describe('connections', () => {
  it('that are refused', async () => {
    const mesh = await under(serviceEntry(HOST, [await deadPort()]) + virtualService(HOST, once));
    expect(await called(mesh, 3)).toEqual([503, 503, 503]);
    expect(stats(mesh)).toMatchObject({
      upstream_cx_total: 3,
      upstream_cx_connect_fail: 3,
      upstream_cx_active: 0,
      upstream_rq_pending_failure_eject: 3,
      'upstream_rq_xx 5xx': 3,
    });
  });

  it('of gRPC: those that stand, those that ended, those that were refused', async () => {
    const cluster = `outbound|9080||${HOST}`;
    const ratings = await echo('one', { port: 0 });
    left.push(ratings);
    const dead = await deadPort();
    const policy = (port: number) => serviceEntry(HOST, [port], { port: 9080, protocol: 'GRPC' }) + virtualService(HOST, once);
    const mesh = await under(policy(ratings.port));
    const client = echoClient(`mesh:///${HOST}:9080`, mesh.grpc.credentials(), mesh.grpc.options());
    left.push(client);
    for (let call = 0; call < 3; call += 1) await client.say('x');
    expect(stats(mesh, cluster)).toMatchObject({ upstream_rq_total: 3, upstream_cx_total: 1, upstream_cx_active: 1, 'upstream_rq 200': 3 });
    mesh.set(policy(dead));
    expect((await client.say('x')).code).toBe(14);
    await expect
      .poll(() => stats(mesh, cluster))
      .toMatchObject({ upstream_cx_total: 2, upstream_cx_active: 0, upstream_cx_destroy: 2, upstream_cx_connect_fail: 1 });
  });
});

describe('times that are up', () => {
  it('are the attempt’s own, or the call’s', async () => {
    const mute = await rawUpstream(() => {});
    left.push(mute);
    const bounded = (rest: string) =>
      serviceEntry(HOST, [mute.port]) + virtualService(HOST, `- ${rest}\n  route: [{ destination: { host: ${HOST} } }]`);
    const mesh = await under(bounded('retries: { attempts: 1, perTryTimeout: 50ms, retryOn: 5xx }'));
    expect(await called(mesh, 1)).toEqual([504]);
    mesh.set(bounded('timeout: 50ms\n  retries: { attempts: 0 }'));
    expect(await called(mesh, 1)).toEqual([504]);
    expect(stats(mesh)).toMatchObject({
      upstream_rq_total: 3,
      upstream_rq_per_try_timeout: 2,
      upstream_rq_timeout: 1,
      upstream_rq_tx_reset: 3,
      'upstream_rq 504': 2,
    });
  });
});

describe('endpoints', () => {
  it('that are ejected, and the panic that follows', async () => {
    const bad = await server(say('bad', 500));
    const worse = await server(say('worse', 502));
    const outlier =
      '{ consecutive5xxErrors: 2, consecutiveGatewayErrors: 2, baseEjectionTime: 600s, maxEjectionPercent: 100, minHealthPercent: 40 }';
    const rule = `trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN }, outlierDetection: ${outlier} }`;
    const mesh = await under(serviceEntry(HOST, [bad.port, worse.port]) + virtualService(HOST, once) + destinationRule(HOST, rule));
    expect(await called(mesh, 4)).toHaveLength(4);
    expect(stats(mesh)).toMatchObject({
      outlier_detection_ejections_active: 2,
      outlier_detection_ejections_enforced_total: 2,
      outlier_detection_ejections_enforced_consecutive_5xx: 1,
      outlier_detection_ejections_enforced_consecutive_gateway_failure: 1,
      membership_total: 2,
      membership_healthy: 0,
      lb_healthy_panic: 0,
      upstream_cx_none_healthy: 0,
    });
    // Nobody is well: all are used.
    expect(await called(mesh, 3)).toHaveLength(3);
    expect(stats(mesh)).toMatchObject({ upstream_rq_total: 7, lb_healthy_panic: 3 });
  });

  it('that do not exist', async () => {
    const mesh = await under(serviceEntry(HOST, []) + virtualService(HOST, once));
    expect(await called(mesh, 2)).toEqual([503, 503]);
    expect(stats(mesh)).toMatchObject({ upstream_rq_total: 0, upstream_cx_none_healthy: 2, membership_total: 0, 'upstream_rq 503': 2 });
  });
});

describe('decisions about callers', () => {
  it('are counted by port, those of policies in dry run as well', async () => {
    const rule = (name: string, action: string, path: string, annotations = '') => `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: default${annotations} }
spec: { action: ${action}, rules: [{ to: [{ operation: { paths: ["${path}"] } }] }] }
`;
    const mesh = await under(
      rule('deny', 'DENY', '/secret') + rule('dry', 'DENY', '/soon*', ', annotations: { istio.io/dry-run: "true" }'),
    );
    const { port } = await mesh.listen((_request, response) => void response.end('yours'), 0);
    for (const path of ['/secret', '/soon', '/', '/']) await fetch(`http://127.0.0.1:${port}${path}`).then((answer) => answer.text());
    const rbac = (stat: string) => shown(mesh.metrics(), `envoy_http_rbac_${stat}`);
    const labels = { http_conn_manager_prefix: `inbound_0.0.0.0_${port}` };
    expect(rbac('allowed')).toEqual([{ labels, value: 3 }]);
    expect(rbac('denied')).toEqual([{ labels, value: 1 }]);
    const dry = { authz_dry_run_action: 'deny', ...labels };
    expect(rbac('shadow_denied')).toEqual([{ labels: dry, value: 1 }]);
    expect(rbac('shadow_allowed')).toEqual([{ labels: dry, value: 3 }]);
  });
});
