import { type Client, Code, ConnectError, createClient } from '@connectrpc/connect';
import { connectNodeAdapter, createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { createTransport as createConnect } from '@connectrpc/connect/protocol-connect';
import { createTransport as createGrpc } from '@connectrpc/connect/protocol-grpc';
import { createDevCa, type DevCa, devCertificates } from '@inmesh/identity/dev';
import type { CreateMeshOptions } from 'inmesh';
import { afterEach, describe, expect, it } from 'vitest';
import { type ConnectEcho, connectEcho, type ConnectEchoOptions, Echo } from '../support/echo-connect.ts';
import { meshOf, type TestMesh } from '../support/mesh.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function member(yaml: string, options: CreateMeshOptions = { identity: false }): Promise<TestMesh> {
  const mesh = await meshOf(yaml, options);
  left.push(mesh);
  return mesh;
}

/** A server of connect-node with a mesh in front of it. */
async function behind(mesh: TestMesh, options: ConnectEchoOptions = {}): Promise<ConnectEcho> {
  const served = await connectEcho('one', { ...options, wrap: (server) => mesh.attach(server) });
  left.push(served);
  return served;
}

const policy = (action: string, rule: string) => `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: rule, namespace: default }
spec: { action: ${action}, rules: [${rule}] }
`;

const codeOf = (call: Promise<unknown>): Promise<Code | undefined> => call.then(() => undefined, (error: unknown) => (error as ConnectError).code); // prettier-ignore

async function* texts(...all: string[]): AsyncGenerator<{ text: string }> {
  for (const text of all) yield { text };
}

/** Clients of connect-node, which know nothing of the mesh. */
const CLIENTS = [
  ['Connect over HTTP/1.1', true, (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: '1.1' }), 403],
  ['gRPC-Web over HTTP/1.1', true, (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: '1.1' }), 403],
  ['Connect over HTTP/2', false, (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: '2' }), 403],
  ['gRPC over HTTP/2', false, (baseUrl: string) => createGrpcTransport({ baseUrl }), 200],
] as const;

describe.each(CLIENTS)('a server of connect-node that is called by %s', (_name, http1, transportTo, refusedAs) => {
  const clientOf = ({ port }: ConnectEcho): Client<typeof Echo> => createClient(Echo, transportTo(`http://127.0.0.1:${port}`));

  it('serves all kinds of methods as before', async () => {
    const mesh = await member('');
    const one = await behind(mesh, { http1 });
    const client = clientOf(one);
    expect((await client.say({ text: 'hello' })).text).toBe('one: hello');
    expect((await client.gather(texts('a', 'b'))).text).toBe('one: a,b');
    const repeated: string[] = [];
    for await (const { text } of client.repeat({ text: 'x' })) repeated.push(text);
    expect(repeated).toEqual(['one: x 0', 'one: x 1', 'one: x 2']);
    one.fail = { code: Code.NotFound, times: 1 };
    expect(await codeOf(client.say({ text: 'x' }))).toBe(Code.NotFound);
    await expect.poll(() => mesh.status().callsInFlight).toBe(0);
  });

  it('lets in whom the policy lets in, by method and headers', async () => {
    const rules = '{ to: [{ operation: { paths: [/test.Echo/Repeat] } }] }, { when: [{ key: "request.headers[x-user]", values: [eve] }] }';
    const mesh = await member(policy('DENY', rules));
    const one = await behind(mesh, { http1 });
    const client = clientOf(one);
    expect((await client.say({ text: 'x' }, { headers: { 'x-user': 'ann' } })).text).toBe('one: x');
    expect(await codeOf(client.say({ text: 'x' }, { headers: { 'x-user': 'eve' } }))).toBe(Code.PermissionDenied);
    expect(await codeOf(client.repeat({ text: 'x' })[Symbol.asyncIterator]().next())).toBe(Code.PermissionDenied);
    expect(one.seen.map(({ method }) => method)).toEqual(['Say']);
    await expect.poll(() => mesh.metrics()).toMatch(new RegExp(`reporter="destination"[^}]*response_code="${refusedAs}"[^}]*\\} 2`));
  });
});

describe('mesh.listen', () => {
  it('serves the handler of connectNodeAdapter', async () => {
    const mesh = await member(policy('DENY', '{ to: [{ operation: { paths: [/test.Echo/Gather] } }] }'));
    const handler = connectNodeAdapter({ routes: (router) => router.service(Echo, { say: ({ text }) => ({ text: `heard ${text}` }) }) });
    const { port } = await mesh.listen(handler, { port: 0, host: '127.0.0.1' });
    const client = createClient(Echo, createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: '1.1' }));
    expect((await client.say({ text: 'x' })).text).toBe('heard x');
    expect(await codeOf(client.gather(texts('a')))).toBe(Code.PermissionDenied);
  });
});

describe('two workloads', () => {
  const as = (ca: DevCa, serviceAccount: string): CreateMeshOptions => ({
    identity: devCertificates(ca, { namespace: 'default', serviceAccount }),
    workload: { name: serviceAccount, labels: { app: serviceAccount } },
  });
  const entry = (port: number, protocol: string) => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ratings, namespace: default }
spec:
  hosts: [ratings.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: main, protocol: ${protocol} }]
  endpoints: [{ address: 127.0.0.1, ports: { main: ${port} }, serviceAccount: ratings }]
`;
  const strict = `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
`;
  const friends = policy('ALLOW', '{ from: [{ source: { principals: [cluster.local/ns/default/sa/friend] } }] }');

  it.each([
    ['gRPC over HTTP/2', createGrpc, 'GRPC', false],
    ['gRPC to a port that is declared HTTP', createGrpc, 'HTTP', false],
    ['Connect over HTTP/1.1', createConnect, 'HTTP', true],
  ] as const)('speak %s by mutual TLS, and the server knows who calls', async (_name, createTransport, protocol, http1) => {
    const ca = createDevCa();
    const one = await behind(await member(strict + friends, as(ca, 'ratings')), { http1 });
    const callerOf = async (account: string): Promise<Client<typeof Echo>> => {
      const mesh = await member(entry(one.port, protocol), as(ca, account));
      return createClient(Echo, createTransport(mesh.connectrpc({ baseUrl: 'http://ratings.example.com' })));
    };
    const friend = await callerOf('friend');
    expect((await friend.say({ text: 'x' })).text).toBe('one: x');
    expect((await friend.gather(texts('a', 'b'))).text).toBe('one: a,b');
    expect(await codeOf((await callerOf('stranger')).say({ text: 'x' }))).toBe(Code.PermissionDenied);
    // Without a certificate nobody gets as far as HTTP.
    const bare = createClient(Echo, createConnectTransport({ baseUrl: `http://127.0.0.1:${one.port}`, httpVersion: http1 ? '1.1' : '2' }));
    expect(await codeOf(bare.say({ text: 'x' }))).toBeDefined();
    expect(one.seen.length).toBe(2);
  });
});
