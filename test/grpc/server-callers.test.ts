import {
  credentials,
  type sendUnaryData,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerUnaryCall,
  status,
} from '@grpc/grpc-js';
import { createDevCa, type DevCa, devCertificates } from '@inmesh/identity/dev';
import type { InboundMesh } from 'inmesh';
import { afterEach, describe, expect, it } from 'vitest';
import { type Echo, echo, type EchoClient, echoClient, ended, type Message } from '../support/echo-grpc.ts';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { peerAuthentication } from '../support/raw.ts';
import { python, pythonGrpc } from '../support/python-grpc.ts';

// Who calls, where the client is not of the mesh's making: grpc-js and gRPC's C core, with TLS of their own.

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

const HOST = 'ratings.example.com';
const ratings = (ca: DevCa) => devCertificates(ca, { namespace: 'default', serviceAccount: 'ratings', hosts: [HOST] });

async function server(yaml: string, ca: DevCa): Promise<TestMesh> {
  const mesh = await meshOf(yaml, { identity: ratings(ca), workload: { name: 'ratings' } });
  left.push(mesh);
  return mesh;
}

/** A server whose Say tells who calls. */
async function whoami(mesh: TestMesh, { server = mesh.grpc.server(), secured }: { server?: Server; secured?: ServerCredentials } = {}) {
  const served = await echo('ratings', {
    server,
    ...(secured === undefined ? {} : { secured }),
    methods: {
      Say: (call: ServerUnaryCall<Message, Message>, done: sendUnaryData<Message>) =>
        done(null, { text: mesh.grpc.caller(call).principal?.uri ?? 'nobody' }),
    },
  });
  left.push(served);
  return served;
}

/** grpc-js's own TLS: by `ca`, with a certificate of `of` for an account, or without one. */
function secureClient({ port }: Echo, ca: DevCa, account?: string, of = ca): EchoClient {
  const svid = account === undefined ? undefined : of.issue({ serviceAccount: account });
  const [key, chain] = svid === undefined ? [null, null] : [Buffer.from(svid.privateKey), Buffer.from(svid.certificate)];
  const client = echoClient(`127.0.0.1:${port}`, credentials.createSsl(Buffer.from(ca.roots), key, chain), {
    'grpc.ssl_target_name_override': HOST,
    'grpc.use_local_subchannel_pool': 1,
  });
  left.push(client);
  return client;
}

function plainClient({ port }: Echo): EchoClient {
  const client = echoClient(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  left.push(client);
  return client;
}

const soon = () => ({ deadline: Date.now() + 3000 });

describe('on a port without credentials of its own', () => {
  it('STRICT lets in who shows a certificate of the mesh, and nobody else', async () => {
    const ca = createDevCa();
    const served = await whoami(await server(peerAuthentication('STRICT'), ca));
    expect((await secureClient(served, ca, 'web').say('x', {}, soon())).text).toBe('spiffe://cluster.local/ns/default/sa/web');
    expect((await secureClient(served, ca).say('x', {}, soon())).code).toBe(status.UNAVAILABLE);
    expect((await secureClient(served, ca, 'web', createDevCa()).say('x', {}, soon())).code).toBe(status.UNAVAILABLE);
    expect((await plainClient(served).say('x', {}, soon())).code).toBe(status.UNAVAILABLE);
  });

  it('PERMISSIVE takes both, and rules tell them apart', async () => {
    const ca = createDevCa();
    const mesh = await server(
      `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: web, namespace: default }
spec: { action: ALLOW, rules: [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/web"] } }] }] }
`,
      ca,
    );
    const served = await whoami(mesh);
    expect((await secureClient(served, ca, 'web').say('x', {}, soon())).code).toBe(status.OK);
    expect((await secureClient(served, ca, 'cart').say('x', {}, soon())).code).toBe(status.PERMISSION_DENIED);
    expect((await plainClient(served).say('x', {}, soon())).code).toBe(status.PERMISSION_DENIED);
    mesh.set('');
    expect((await plainClient(served).say('x', {}, soon())).text).toBe('nobody');
  });
});

describe('on a port with credentials of its own', () => {
  it('its TLS stays, and a certificate it asks for counts', async () => {
    const ca = createDevCa();
    const other = createDevCa();
    const mesh = await server('', ca);
    const { privateKey, certificate } = other.issue({ serviceAccount: 'front', hosts: [HOST] });
    const pair = { private_key: Buffer.from(privateKey), cert_chain: Buffer.from(certificate) };
    const served = await whoami(mesh, { secured: ServerCredentials.createSsl(Buffer.from(ca.roots), [pair], true) });
    // Its own certificate is shown, not that of the workload.
    expect((await secureClient(served, other, 'web', ca).say('x', {}, soon())).text).toBe('spiffe://cluster.local/ns/default/sa/web');
    expect((await secureClient(served, ca, 'web').say('x', {}, soon())).code).toBe(status.UNAVAILABLE);
    mesh.set(`---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no, namespace: default }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/test.Echo/Say] } }] }] }
`);
    expect((await secureClient(served, other, 'web', ca).say('x', {}, soon())).code).toBe(status.PERMISSION_DENIED);
  });
});

describe('a handler', () => {
  it('of any kind of method learns who calls, behind interceptors, too', async () => {
    const mesh = await server('', createDevCa());
    const told: (InboundMesh | undefined)[] = [];
    const note = (call: Parameters<TestMesh['grpc']['caller']>[0]) => told.push(mesh.grpc.caller(call));
    const wrapped = mesh.grpc.server({
      interceptors: [(_, call) => new ServerInterceptingCall(call), (_, call) => new ServerInterceptingCall(call)],
    });
    const served = await echo('ratings', {
      server: wrapped,
      methods: {
        Say: (call: Parameters<typeof note>[0], done: sendUnaryData<Message>) => done(null, { text: String(note(call)) }),
        Gather: (call: Parameters<typeof note>[0], done: sendUnaryData<Message>) => done(null, { text: String(note(call)) }),
        Repeat: (call: Parameters<typeof note>[0] & { end(): void }) => void (note(call), call.end()),
        Chat: (call: Parameters<typeof note>[0] & { end(): void }) => void (note(call), call.end()),
      },
    });
    left.push(served);
    const { stub, say } = plainClient(served);
    await say('x');
    await new Promise((resolve) => stub.Gather(resolve).end());
    await ended(stub.Repeat({ text: 'x' }));
    const chat = stub.Chat();
    chat.end();
    await ended(chat);
    expect(told.map((one) => one?.clientAddress)).toEqual(['127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.1']);
  });

  it('of a server without the mesh is told that nobody could know', async () => {
    const mesh = await server('', createDevCa());
    let thrown: unknown;
    const served = await echo('bare', {
      methods: {
        Say: (call: ServerUnaryCall<Message, Message>, done: sendUnaryData<Message>) => {
          try {
            mesh.grpc.caller(call);
          } catch (error) {
            thrown = error;
          }
          done(null, call.request);
        },
      },
    });
    left.push(served);
    await plainClient(served).say('x');
    expect(thrown).toMatchObject({
      code: 'MISUSE',
      message: expect.stringContaining('/test.Echo/Say did not come through the mesh') as string,
    });
  });
});

describe.skipIf(pythonGrpc() !== true)("gRPC's C core", () => {
  const CLIENT = `
import grpc, json, sys
port, host, roots, key, chain = sys.argv[1:]
creds = grpc.ssl_channel_credentials(roots.encode(), key.encode() or None, chain.encode() or None)
channel = grpc.secure_channel('127.0.0.1:' + port, creds, [('grpc.ssl_target_name_override', host)])
say = channel.unary_unary('/test.Echo/Say', request_serializer=lambda m: json.dumps(m).encode(), response_deserializer=lambda b: json.loads(b))
try:
    print(json.dumps(say({'text': 'x'}, timeout=5)['text']))
except grpc.RpcError as e:
    print(json.dumps(e.code().name))
`;

  it('comes in by its certificate, and does not without', async () => {
    const ca = createDevCa();
    const { port } = await whoami(await server(peerAuthentication('STRICT'), ca));
    const { privateKey, certificate } = ca.issue({ serviceAccount: 'web' });
    expect(await python(CLIENT, String(port), HOST, ca.roots, privateKey, certificate)).toBe('spiffe://cluster.local/ns/default/sa/web');
    expect(await python(CLIENT, String(port), HOST, ca.roots, '', '')).toBe('UNAVAILABLE');
  });
});
