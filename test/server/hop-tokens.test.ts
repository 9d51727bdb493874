import { createServer, type IncomingMessage, request as send, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CreateMeshOptions, InboundMesh } from 'inmesh';
import { createDevCa, devCertificates } from '@inmesh/identity/dev';
import { meshOf, type TestMesh } from '../support/mesh.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const ca = createDevCa();

/** Between two workloads, as a load balancer that ends TLS: it passes on what it reads, and keeps it. */
class Balancer {
  readonly seen: string[][] = [];
  readonly #server: Server;
  target = 0;

  constructor() {
    this.#server = createServer((request, response) => {
      this.seen.push(request.rawHeaders);
      const onward = send({ port: this.target, host: '127.0.0.1', method: request.method, path: request.url, headers: request.rawHeaders });
      onward.on('response', (answer) => {
        response.writeHead(answer.statusCode!, answer.rawHeaders);
        answer.pipe(response);
      });
      request.pipe(onward);
    });
    left.push({ [Symbol.asyncDispose]: () => new Promise((resolve) => this.#server.close(() => resolve())) });
  }

  listen = (): Promise<void> => new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  tokens(): (string | undefined)[] {
    return this.seen.map((raw) => raw[raw.indexOf('x-inmesh-identity') + 1 || raw.length]);
  }
}

let balancer: Balancer;
beforeEach(async () => {
  balancer = new Balancer();
  await balancer.listen();
});

const entry = (host: string, location = 'MESH_INTERNAL') => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${host.split('.', 1)[0]!}, namespace: default }
spec:
  hosts: [${host}]
  location: ${location}
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${balancer.port} }, labels: { app: ${host.split('.', 1)[0]!} } }]
`;
const onlyWeb = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: web-only, namespace: default }
spec:
  action: ALLOW
  rules: [{ from: [{ source: { principals: [cluster.local/ns/default/sa/web] } }] }]
`;

async function member(serviceAccount: string, yaml: string, options: CreateMeshOptions): Promise<TestMesh> {
  const identity = devCertificates(ca, { namespace: 'default', serviceAccount });
  const mesh = await meshOf(yaml, { identity, workload: { name: serviceAccount, labels: { app: serviceAccount } }, ...options });
  left.push(mesh);
  return mesh;
}

const whoami: RequestListener = (request: IncomingMessage & { mesh?: InboundMesh }, response) => {
  const { principal, policy } = request.mesh!;
  response.end(JSON.stringify({ principal: principal?.uri ?? null, policy, header: request.headers['x-inmesh-identity'] ?? null }));
};

async function vault(yaml: string, options: CreateMeshOptions): Promise<TestMesh> {
  const mesh = await member('vault', yaml, options);
  const listening = await mesh.listen(whoami, { port: 0, host: '127.0.0.1' });
  left.push(listening);
  balancer.target = listening.port;
  return mesh;
}

async function get(mesh: TestMesh, host = 'vault.example.com', headers: Record<string, string> = {}) {
  const response = await mesh.fetch(`http://${host}/`, { headers });
  const text = await response.text();
  return { status: response.status, text, json: (): unknown => JSON.parse(text) as unknown };
}

const HOPS = { hopTokens: true };

describe('where a load balancer ends TLS, a hop token', () => {
  it('says who calls, to rules and to the program, which does not see the token itself', async () => {
    const policy = entry('vault.example.com') + onlyWeb;
    const server = await vault(policy, HOPS);
    expect((await get(await member('web', policy, HOPS))).json()).toEqual({
      principal: 'spiffe://cluster.local/ns/default/sa/web',
      policy: 'ns[default]-policy[web-only]-rule[0]',
      header: null,
    });
    expect(await get(await member('stranger', policy, HOPS))).toMatchObject({ status: 403, text: 'RBAC: access denied' });
    expect(balancer.tokens()).toEqual([expect.any(String), expect.any(String)]);
    expect(server.metrics()).toMatch(
      /^istio_requests_total\{.*source_principal="spiffe:\/\/cluster.local\/ns\/default\/sa\/web".*connection_security_policy="none"/m,
    );
  });

  it('is neither sent nor believed unless asked for', async () => {
    const policy = entry('vault.example.com') + onlyWeb;
    await vault(policy, HOPS);
    expect((await get(await member('web', policy, {}))).status).toBe(403);
    expect(balancer.tokens()).toEqual([undefined]);
    await vault(entry('vault.example.com'), {});
    expect((await get(await member('web', policy, HOPS))).json()).toEqual({ principal: null, policy: '', header: null });
  });

  it('is for one service: whoever is given one cannot use it elsewhere', async () => {
    const policy = entry('vault.example.com') + entry('other.example.com');
    await vault(policy, HOPS);
    const web = await member('web', policy, HOPS);
    expect(await get(web, 'other.example.com')).toMatchObject({ status: 401, text: 'the hop token does not hold' });
    expect((await get(web)).status).toBe(200);
    // A workload that no selector knows is told its names.
    const nameless = { ...HOPS, workload: { name: 'vault', labels: {} } };
    await vault(policy, nameless);
    expect((await get(web)).status).toBe(401);
    await vault(policy, { ...nameless, hopTokens: { audiences: ['Vault.example.com'] } });
    expect((await get(web)).status).toBe(200);
  });

  it('of somebody else is refused, and nobody is nobody in particular', async () => {
    const policy = entry('vault.example.com');
    await vault(policy, HOPS);
    const plain = await meshOf(policy, { identity: false });
    left.push(plain);
    expect((await get(plain, 'vault.example.com', { 'x-inmesh-identity': 'a.b.c' })).status).toBe(401);
    expect((await get(plain)).json()).toMatchObject({ principal: null });
  });

  it('is not mutual TLS: STRICT refuses it', async () => {
    const strict = `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
`;
    const policy = entry('vault.example.com') + strict;
    const mesh = await member('vault', policy, HOPS);
    const serverless = mesh.fetchHandler(() => new Response('in'));
    expect((await serverless(new Request('http://vault.example.com/'))).status).toBe(403);
  });

  it('serves a platform without connections, too', async () => {
    const policy = entry('vault.example.com') + onlyWeb;
    const mesh = await member('vault', policy, HOPS);
    const serverless = mesh.fetchHandler((request) => new Response((request as { mesh?: InboundMesh }).mesh!.principal!.serviceAccount));
    await vault(policy, HOPS);
    await get(await member('web', policy, HOPS));
    const [token] = balancer.tokens();
    const called = (value: string) => serverless(new Request('http://vault.example.com/', { headers: { 'x-inmesh-identity': value } }));
    const answer = await called(token!);
    expect([answer.status, await answer.text()]).toEqual([200, 'web']);
    expect((await called('nonsense')).status).toBe(401);
    expect((await serverless(new Request('http://vault.example.com/'))).status).toBe(403);
  });

  it('stays within the mesh', async () => {
    const policy = entry('vault.example.com', 'MESH_EXTERNAL');
    await vault(policy, HOPS);
    await get(await member('web', policy, HOPS));
    expect(balancer.tokens()).toEqual([undefined]);
  });

  it('needs a certificate, and says so at the start', async () => {
    await expect(meshOf(entry('vault.example.com'), { identity: false, hopTokens: true })).rejects.toThrow(
      /hopTokens are signed with a certificate/,
    );
  });
});
