import { createDevCa, devCertificates } from '@inmesh/identity/dev';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { echo, type EchoClient, echoClient } from '../support/echo-grpc.ts';
import { meshOf, type TestMesh, virtualService } from '../support/mesh.ts';
import { shown } from '../support/metrics.ts';
import { denyPaths } from '../support/raw.ts';

// Every label of istio_requests_total for every kind of end a call can have, as Istio's proxies would tell it (istio.io "Istio Standard
// Metrics"): what is not known is "unknown", a revision `latest`, and none is empty.

const fqdn = (name: string): string => `${name}.default.svc.cluster.local`;

const service = (name: string, protocol: string, selects: boolean): string => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: default }
spec:
  hosts: [${fqdn(name)}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: main, protocol: ${protocol} }]
  ${selects ? `workloadSelector: { labels: { app: ${name} } }` : 'endpoints: []'}
`;

const entry = (app: string, port: number): string => `---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${app}-v2, namespace: default }
spec: { address: 127.0.0.1, ports: { main: ${port} }, labels: { app: ${app}, version: v2, topology.istio.io/cluster: east }, serviceAccount: ${app} }
`;

const TOKENS = `---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: default }
spec: { jwtRules: [{ issuer: nobody, jwks: '{"keys":[]}' }] }
`;

const ONLY_KNOWN = `---
apiVersion: inmesh.dev/v1
kind: MeshConfig
metadata: { name: mesh, namespace: istio-system }
spec: { outboundTrafficPolicy: { mode: REGISTRY_ONLY } }
`;

const workload = (app: string, version: string, cluster: string) => ({ name: `${app}-${version}`, namespace: 'default', cluster, labels: { app, version }, serviceAccount: app }); // prettier-ignore

type Told = Readonly<Record<string, string>>;

/** The labels that say who one side is. */
const side = (which: 'source' | 'destination', app: string, version: string, cluster: string): Told => ({
  [`${which}_workload`]: `${app}-${version}`,
  [`${which}_workload_namespace`]: 'default',
  [`${which}_principal`]: `spiffe://cluster.local/ns/default/sa/${app}`,
  [`${which}_app`]: app,
  [`${which}_version`]: version,
  [`${which}_cluster`]: cluster,
  [`${which}_canonical_service`]: app,
  [`${which}_canonical_revision`]: version,
});
const nobody = (which: 'source' | 'destination', known: Told = {}): Told => ({
  ...Object.fromEntries(['workload', 'workload_namespace', 'principal', 'app', 'version', 'cluster', 'canonical_service'].map((name) => [`${which}_${name}`, 'unknown'])),
  [`${which}_canonical_revision`]: 'latest',
  ...known,
}); // prettier-ignore
const called = (name: string): Told => ({
  destination_service: fqdn(name),
  destination_service_name: name,
  destination_service_namespace: 'default',
});
const outside = (host: string, cluster: string): Told => ({
  destination_service: host,
  destination_service_name: cluster,
  destination_service_namespace: 'unknown',
});
const outcome = (protocol: 'http' | 'grpc', code: string, flags: string, security: string, status?: string): Told => ({
  request_protocol: protocol,
  response_code: code,
  response_flags: flags,
  connection_security_policy: security,
  ...(status === undefined ? {} : { grpc_response_status: status }),
});

const SECURE = 'mutual_tls';
const WEB = side('source', 'web', 'v1', 'west');
/** Nothing secures a call that has no other side. */
const WEB_ALONE: Told = { ...WEB, source_principal: 'unknown' };

describe('each label of a call', () => {
  let [web, vault, ratings] = [undefined as unknown as TestMesh, undefined as unknown as TestMesh, undefined as unknown as TestMesh];
  let stub: EchoClient;
  const ca = createDevCa();
  let policy = '';
  let outsider = '';
  let plain = 0;
  const left: (AsyncDisposable | { close(): unknown })[] = [];
  /** Answers that are held back until the test is over. */
  const held: ServerResponse[] = [];

  beforeAll(async () => {
    const certificates = (serviceAccount: string) => devCertificates(ca, { namespace: 'default', serviceAccount });
    const started = async (app: string, version: string, cluster: string): Promise<TestMesh> => {
      const mesh = await meshOf('apiVersion: v1\nkind: List\nitems: []\n', { identity: certificates(app), workload: workload(app, version, cluster) }); // prettier-ignore
      left.push(mesh);
      return mesh;
    };
    [web, vault, ratings] = [
      await started('web', 'v1', 'west'),
      await started('vault', 'v2', 'east'),
      await started('ratings', 'v2', 'east'),
    ];
    const { port } = await vault.listen((request, response) => {
      request.resume();
      if (request.url === '/held') held.push(response);
      else response.writeHead(request.url === '/broken' ? 500 : 200).end('said');
    }, { port: 0, host: '127.0.0.1' }); // prettier-ignore
    plain = port;
    const rated = await echo('ratings', { server: ratings.grpc.server() });
    left.push(rated);
    const outer = createServer((_, response) => void response.end('out there'));
    await once(outer.listen(0, '127.0.0.1'), 'listening');
    left.push(outer);
    outsider = `127.0.0.1:${(outer.address() as AddressInfo).port}`;
    policy =
      service('vault', 'HTTP', true) + entry('vault', port) + service('ratings', 'GRPC', true) + entry('ratings', rated.port) +
      service('empty', 'HTTP', false) + service('routed', 'HTTP', true) +
      virtualService(fqdn('routed'), `- match: [{ uri: { exact: /there } }]\n  route: [{ destination: { host: ${fqdn('vault')} } }]`) +
      denyPaths('/denied', '/test.Echo/Gather') + TOKENS; // prettier-ignore
    for (const mesh of [web, vault, ratings]) mesh.set(policy);
    stub = echoClient(`mesh:///${fqdn('ratings')}:80`, web.grpc.credentials(), web.grpc.options());
    left.push(stub);
    await vi.waitFor(() => expect([web, vault].map((mesh) => mesh.status().version)).toEqual([0, 0].map(() => ratings.status().version)));
  });

  afterAll(async () => {
    for (const response of held) response.end();
    for (const one of left.reverse()) await (Symbol.asyncDispose in one ? one[Symbol.asyncDispose]() : one.close());
  });

  const told = (mesh: TestMesh): Map<string, number> =>
    new Map(shown(mesh.metrics(), 'istio_requests_total').map(({ labels, value }) => [JSON.stringify(labels), value]));

  /** The series that a call counted in. */
  async function counted(mesh: TestMesh, call: () => Promise<unknown>): Promise<() => readonly Told[]> {
    const before = told(mesh);
    await call();
    return () => [...told(mesh)].filter(([labels, value]) => value > (before.get(labels) ?? 0)).map(([labels]) => JSON.parse(labels) as Told); // prettier-ignore
  }

  const VAULT: Told = { ...side('destination', 'vault', 'v2', 'east'), ...called('vault') };
  const RATINGS: Told = { ...side('destination', 'ratings', 'v2', 'east'), ...called('ratings') };
  /** Nobody was reached, but a service of the mesh is of some cluster: of our own, unless it says. */
  const OF_THE_MESH = nobody('destination', { destination_cluster: 'west' });
  /** What a server says of itself on a connection that proves nothing. */
  const VAULT_PLAIN: Told = { ...VAULT, destination_principal: 'unknown' };
  const http =
    (path: string, headers: Record<string, string> = {}) =>
    () =>
      web.request(`http://${fqdn('vault')}${path}`, { headers });
  const stranger =
    (path: string, headers: Record<string, string> = {}) =>
    async () =>
      (await fetch(`http://127.0.0.1:${plain}${path}`, { headers })).text();

  interface Row {
    readonly name: string;
    readonly call: () => Promise<unknown>;
    /** null: that side sees nothing of it. */
    readonly source: Told | null;
    readonly destination: Told | null;
    readonly server?: 'ratings';
  }
  const rows: readonly Row[] = [
    {
      name: 'of HTTP, answered',
      call: http('/'),
      source: { ...WEB, ...VAULT, ...outcome('http', '200', '-', SECURE) },
      destination: { ...WEB, ...VAULT, ...outcome('http', '200', '-', SECURE) },
    },
    {
      name: 'of HTTP, answered with an error',
      call: http('/broken'),
      source: { ...WEB, ...VAULT, ...outcome('http', '500', '-', SECURE) },
      destination: { ...WEB, ...VAULT, ...outcome('http', '500', '-', SECURE) },
    },
    {
      name: 'that the server’s policy forbids',
      call: http('/denied'),
      source: { ...WEB, ...VAULT, ...outcome('http', '403', '-', SECURE) },
      destination: { ...WEB, ...VAULT, ...outcome('http', '403', '-', SECURE) },
    },
    {
      name: 'with a token nobody issued',
      call: http('/', { authorization: 'Bearer nonsense' }),
      source: { ...WEB, ...VAULT, ...outcome('http', '401', '-', SECURE) },
      destination: { ...WEB, ...VAULT, ...outcome('http', '401', '-', SECURE) },
    },
    {
      name: 'given up by its caller',
      call: () => web.request(`http://${fqdn('vault')}/held`, { signal: AbortSignal.timeout(100) }).catch(() => {}),
      source: { ...WEB, ...VAULT, ...outcome('http', '0', 'DC', SECURE) },
      destination: { ...WEB, ...VAULT, ...outcome('http', '0', 'DC', SECURE) },
    },
    {
      name: 'that no route takes',
      call: () => web.request(`http://${fqdn('routed')}/elsewhere`),
      source: { ...WEB_ALONE, ...OF_THE_MESH, ...called('routed'), ...outcome('http', '404', 'NR', 'none') },
      destination: null,
    },
    {
      name: 'to a service without endpoints',
      call: () => web.request(`http://${fqdn('empty')}/`),
      source: { ...WEB_ALONE, ...OF_THE_MESH, ...called('empty'), ...outcome('http', '503', 'UH', 'none') },
      destination: null,
    },
    {
      name: 'to whom the mesh does not know',
      call: () => web.request(`http://${outsider}/`),
      source: {
        ...WEB_ALONE,
        ...nobody('destination'),
        ...outside('outsider', 'PassthroughCluster'),
        ...outcome('http', '200', '-', 'none'),
      },
      destination: null,
    },
    {
      name: 'of gRPC, answered',
      call: () => stub.say('x'),
      source: { ...WEB, ...RATINGS, ...outcome('grpc', '200', '-', SECURE, '0') },
      destination: { ...WEB, ...RATINGS, ...outcome('grpc', '200', '-', SECURE, '0') },
      server: 'ratings',
    },
    {
      name: 'of gRPC that the server’s policy forbids',
      call: () => new Promise((resolve) => stub.stub.Gather(resolve).end()),
      source: { ...WEB, ...RATINGS, ...outcome('grpc', '200', '-', SECURE, '7') },
      destination: { ...WEB, ...RATINGS, ...outcome('grpc', '200', '-', SECURE, '7') },
      server: 'ratings',
    },
    {
      name: 'of a stranger',
      call: stranger('/'),
      source: null,
      destination: { ...nobody('source'), ...VAULT_PLAIN, ...outcome('http', '200', '-', 'none') },
    },
    {
      name: 'of a stranger, forbidden',
      call: stranger('/denied'),
      source: null,
      destination: { ...nobody('source'), ...VAULT_PLAIN, ...outcome('http', '403', '-', 'none') },
    },
  ];

  it.each(rows)('$name', async ({ call, source, destination, server }) => {
    const callee = server === 'ratings' ? ratings : vault;
    let atClient: () => readonly Told[] = () => [];
    const atServer = await counted(callee, async () => (atClient = await counted(web, call)));
    const expected = (reporter: string, labels: Told | null): readonly Told[] =>
      labels === null ? [] : [JSON.parse(JSON.stringify({ reporter, ...labels }).replace('"outsider"', JSON.stringify(outsider))) as Told];
    await expect.poll(atServer, { timeout: 3000 }).toEqual(expected('destination', destination));
    await expect.poll(atClient, { timeout: 3000 }).toEqual(expected('source', source));
  });

  it('of several who have one account is told of each', async () => {
    const identity = devCertificates(ca, { namespace: 'default', serviceAccount: 'web' });
    await using newer = await meshOf(policy, { identity, workload: workload('web', 'v2', 'north') });
    const other = { ...side('source', 'web', 'v2', 'north'), ...VAULT, ...outcome('http', '200', '-', SECURE) };
    for (let round = 0; round < 2; round += 1) {
      const told = await counted(vault, () => newer.request(`http://${fqdn('vault')}/`));
      await expect.poll(told).toEqual([{ reporter: 'destination', ...other }]);
      const before = await counted(vault, http('/'));
      await expect.poll(before).toEqual([{ reporter: 'destination', ...WEB, ...VAULT, ...outcome('http', '200', '-', SECURE) }]);
    }
  });

  it('to whom the mesh does not know, where it must', async () => {
    await using strict = await meshOf(ONLY_KNOWN, { identity: false, workload: workload('web', 'v1', 'west') });
    const found = await counted(strict, () => strict.request(`http://${outsider}/`));
    expect(found()).toEqual([
      {
        reporter: 'source',
        ...WEB_ALONE,
        ...nobody('destination'),
        ...outside(outsider, 'BlackHoleCluster'),
        ...outcome('http', '502', '-', 'none'),
      },
    ]);
  });
});
