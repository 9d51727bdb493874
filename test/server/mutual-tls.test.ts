import type { IncomingMessage, RequestListener } from 'node:http';
import { connect as connectHttp2, createServer } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { CreateMeshOptions, InboundMesh, Listening } from 'inmesh';
import { systemClock } from '@inmesh/core';
import { createDevCa, type DevCa, devCertificates } from '@inmesh/identity/dev';
import { meshOf, type TestMesh } from '../support/mesh.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const whoami: RequestListener = (request: IncomingMessage & { mesh?: InboundMesh }, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { mesh, url, headers } = request;
    response.end(
      JSON.stringify({
        principal: mesh?.principal?.uri ?? null,
        policy: mesh?.policy,
        url,
        headers,
        body: Buffer.concat(chunks).toString(),
      }),
    );
  });
};

const peerAuthentication = (mode: string) => `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: ${mode} } }
`;
/** A service whose one endpoint runs as an account. */
const entry = (port: number, account = 'vault') => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: vault, namespace: default }
spec:
  hosts: [vault.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${port} }, serviceAccount: ${account} }]
`;

async function member(ca: DevCa | undefined, serviceAccount: string, yaml: string, options: CreateMeshOptions = {}): Promise<TestMesh> {
  const identity = ca === undefined ? (false as const) : devCertificates(ca, { namespace: 'default', serviceAccount });
  const mesh = await meshOf(yaml, { identity, workload: { name: serviceAccount, labels: { app: serviceAccount } }, ...options });
  left.push(mesh);
  return mesh;
}

/** The certificate of an account, for clients that are not of the mesh. */
const keysOf = (ca: DevCa, serviceAccount: string): Promise<{ cert: string; key: string }> =>
  new Promise((resolve) => {
    devCertificates(ca, { namespace: 'default', serviceAccount }).watch(
      (state) => {
        if (state.state === 'ready') resolve({ cert: state.identity.certificate, key: state.identity.privateKey });
      },
      { clock: systemClock, random: Math.random },
    );
  });

async function serve(ca: DevCa | undefined, yaml: string, account = 'vault'): Promise<Listening & { readonly mesh: TestMesh }> {
  const mesh = await member(ca, account, yaml);
  const listening = await mesh.listen(whoami, { port: 0, host: '127.0.0.1' });
  left.push(listening);
  return { ...listening, mesh, [Symbol.asyncDispose]: () => listening.close() };
}

const get = async (mesh: TestMesh, path = '/', options: RequestInit = {}) => {
  const response = await mesh.fetch(`http://vault.example.com${path}`, options);
  const text = await response.text();
  return { status: response.status, text, json: (): Record<string, unknown> => JSON.parse(text) as Record<string, unknown> };
};

/** Bytes sent to a port, and all that comes back until the connection ends. */
const raw = (port: number, bytes: string): Promise<string> =>
  new Promise((resolve) => {
    let heard = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk) => (heard += chunk.toString()));
    socket.on('error', () => {});
    socket.on('close', () => resolve(heard));
    setTimeout(() => socket.destroy(), 1000);
  });

describe('mutual TLS between two processes of the mesh', () => {
  it('is there without a word of either program', async () => {
    const ca = createDevCa();
    const { port } = await serve(ca, peerAuthentication('STRICT'));
    const client = await member(ca, 'storefront', entry(port));
    const answer = await get(client, '/x?y=1', { method: 'POST', body: 'hello' });
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ principal: 'spiffe://cluster.local/ns/default/sa/storefront', url: '/x?y=1', body: 'hello' });
  });

  it('tells the program of the certificate as a sidecar does, whatever the caller wrote there', async () => {
    const ca = createDevCa();
    const { port } = await serve(ca, '');
    const forged = { headers: { 'x-forwarded-client-cert': 'By=a;Hash=b;URI=spiffe://cluster.local/ns/default/sa/admin' } };
    const told = async (client: TestMesh) =>
      ((await get(client, '/', forged)).json()['headers'] as Record<string, string>)['x-forwarded-client-cert'];
    expect(await told(await member(ca, 'storefront', entry(port)))).toMatch(
      /^By=spiffe:\/\/cluster.local\/ns\/default\/sa\/vault;Hash=[0-9a-f]{64};URI=spiffe:\/\/cluster.local\/ns\/default\/sa\/storefront$/,
    );
    expect(await told(await member(undefined, 'outsider', entry(port)))).toBeUndefined();
  });

  it.each(['h2', 'istio-h2'])('is there on a server of HTTP/2, for callers that ask for %s', async (protocol) => {
    const ca = createDevCa();
    const mesh = await member(ca, 'vault', peerAuthentication('STRICT'));
    const server = createServer((request, response) => response.end(`${request.mesh?.principal?.serviceAccount} ${request.url}`));
    mesh.attach(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { cert, key } = await keysOf(ca, 'storefront');
    const { port } = server.address() as AddressInfo;
    const session = connectHttp2(`https://127.0.0.1:${port}`, { cert, key, rejectUnauthorized: false, ALPNProtocols: [protocol] });
    const stream = session.request({ ':path': '/a/../x' });
    let heard = '';
    for await (const chunk of stream) heard += String(chunk);
    expect(heard).toBe('storefront /x');
    session.close();
    server.close();
  });

  it('STRICT closes a plaintext connection without a word', async () => {
    const ca = createDevCa();
    const { port } = await serve(ca, peerAuthentication('STRICT'));
    expect(await raw(port, 'GET / HTTP/1.1\r\nhost: vault\r\nconnection: close\r\n\r\n')).toBe('');
    const outsider = await member(undefined, 'outsider', entry(port));
    expect((await get(outsider)).status).toBe(503);
  });

  it('PERMISSIVE takes both on one port', async () => {
    const ca = createDevCa();
    const { port } = await serve(ca, '');
    const [inside, outside] = [await member(ca, 'storefront', entry(port)), await member(undefined, 'outsider', entry(port))];
    expect((await get(inside)).json()).toMatchObject({ principal: 'spiffe://cluster.local/ns/default/sa/storefront' });
    expect((await get(outside, '/', { method: 'POST', body: 'plain' })).json()).toMatchObject({ principal: null, body: 'plain' });
  });

  it('refuses a caller of another root', async () => {
    const { port } = await serve(createDevCa(), peerAuthentication('STRICT'));
    const stranger = await member(createDevCa(), 'storefront', entry(port));
    const answer = await get(stranger);
    expect(answer.status).toBe(503);
  });

  it('refuses a server that is not whom the registry names (secure naming)', async () => {
    const ca = createDevCa();
    const { port } = await serve(ca, '', 'impostor');
    const answer = await get(await member(ca, 'storefront', entry(port, 'vault')));
    expect(answer.status).toBe(503);
    expect(answer.text).toMatch(
      /it is spiffe:\/\/cluster.local\/ns\/default\/sa\/impostor, but the registry says the endpoint runs as vault/,
    );
  });

  it('refuses plaintext on a connection that was there before the port became STRICT', async () => {
    const ca = createDevCa();
    const { port, mesh } = await serve(ca, '');
    const answers: string[] = [];
    const socket = connect(port, '127.0.0.1');
    const ask = () =>
      new Promise<string>((resolve) => {
        socket.once('data', (chunk) => resolve(chunk.toString().slice(9, 12)));
        socket.write('GET / HTTP/1.1\r\nhost: vault\r\n\r\n');
      });
    answers.push(await ask());
    mesh.set(peerAuthentication('STRICT'));
    answers.push(await ask());
    socket.destroy();
    expect(answers).toEqual(['200', '403']);
  });
});

const authorization = (spec: string) => `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: rules, namespace: default }
spec: ${spec}
`;

describe('AuthorizationPolicy on a real server', () => {
  it('knows the caller by his certificate', async () => {
    const ca = createDevCa();
    const rules = authorization(
      '{ action: ALLOW, rules: [{ from: [{ source: { principals: [cluster.local/ns/default/sa/storefront] } }] }] }',
    );
    const { port } = await serve(ca, rules);
    const good = await get(await member(ca, 'storefront', entry(port)));
    const other = await get(await member(ca, 'other', entry(port)));
    const nobody = await get(await member(undefined, 'nobody', entry(port)));
    expect([good.status, other.status, nobody.status]).toEqual([200, 403, 403]);
    expect(good.json()).toMatchObject({ policy: 'ns[default]-policy[rules]-rule[0]' });
    expect(other.text).toBe('RBAC: access denied');
  });

  it('holds for a caller in mid-connection as soon as the policy changes', async () => {
    const ca = createDevCa();
    const { port, mesh } = await serve(ca, '');
    const client = await member(ca, 'storefront', entry(port));
    expect((await get(client)).status).toBe(200);
    mesh.set(authorization('{ action: DENY, rules: [{ to: [{ operation: { paths: [/admin*] } }] }] }'));
    expect([(await get(client)).status, (await get(client, '/admin')).status, (await get(client, '/x/%2e%2e/admin')).status]).toEqual([
      200, 403, 403,
    ]);
  });
});
