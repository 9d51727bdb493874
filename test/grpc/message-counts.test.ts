import { status } from '@grpc/grpc-js';
import { connect, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Echo, echo, type EchoClient, echoClient, ended } from '../support/echo-grpc.ts';
import { meshOf, serviceEntry, type TestMesh } from '../support/mesh.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

interface Pair {
  readonly served: Echo;
  readonly client: EchoClient;
  /** Messages to the server and from it, as the client's mesh has counted them; and what the server's has. */
  readonly source: () => readonly number[];
  readonly destination: () => readonly number[];
  readonly meshes: { readonly source: TestMesh; readonly destination: TestMesh };
}

/** A client with a mesh before a server with one. */
async function pair(clientPolicy = '', serverPolicy = ''): Promise<Pair> {
  const destination = await meshOf(serverPolicy, { identity: false, workload: { name: 'ratings', labels: { app: 'ratings' } } });
  const served = await echo('one', { server: destination.grpc.server() });
  const entry = serviceEntry('ratings.example.com', [served.port], { port: 9080, protocol: 'GRPC' });
  const source = await meshOf(entry + clientPolicy, { identity: false });
  const client = echoClient('mesh:///ratings.example.com', source.grpc.credentials(), source.grpc.options());
  left.push(destination, source, served, client);
  return {
    served,
    client,
    source: () => counted(source, 'source'),
    destination: () => counted(destination, 'destination'),
    meshes: { source, destination },
  };
}

const counted = (mesh: TestMesh, reporter: string): readonly number[] =>
  ['request', 'response'].map((what) => {
    const found = new RegExp(`^istio_${what}_messages_total\\{reporter="${reporter}",.*\\} (\\d+)$`, 'm').exec(mesh.metrics());
    return Number(found?.[1] ?? 0);
  });

const rule = (http: string) => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings, namespace: default }
spec: { hosts: [ratings.example.com], http: [{ ${http}, route: [{ destination: { host: ratings.example.com } }] }] }
`;

const gather = (client: EchoClient, texts: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const stream = client.stub.Gather((error, answer) => (error === null ? resolve(answer!.text) : reject(error)));
    for (const text of texts) stream.write({ text });
    stream.end();
  });

describe('messages of gRPC are counted on both sides', () => {
  it('of a unary call: one each way, and the call with its status', async () => {
    const { client, source, destination, meshes } = await pair();
    for (let call = 0; call < 3; call += 1) expect(await client.say('x')).toMatchObject({ code: 0 });
    expect(source()).toEqual([3, 3]);
    await expect.poll(destination).toEqual([3, 3]);
    for (const mesh of [meshes.source, meshes.destination])
      expect(mesh.metrics()).toMatch(
        /^istio_requests_total\{.*request_protocol="grpc",response_code="200",grpc_response_status="0".*\} 3$/m,
      );
  });

  it('of streams: as many as were said', async () => {
    const { client, source, destination } = await pair();
    expect(await gather(client, ['a', 'b', 'c', 'd'])).toBe('one: a,b,c,d');
    expect(source()).toEqual([4, 1]);
    await expect.poll(destination).toEqual([4, 1]);

    expect((await ended(client.stub.Repeat({ text: 'x' }))).texts).toHaveLength(3);
    expect(source()).toEqual([5, 4]);
    await expect.poll(destination).toEqual([5, 4]);

    const chat = client.stub.Chat();
    const heard = ended(chat);
    for (const text of ['a', 'b']) chat.write({ text });
    chat.end();
    expect((await heard).texts).toHaveLength(2);
    expect(source()).toEqual([7, 6]);
    await expect.poll(destination).toEqual([7, 6]);
  });

  it('however large, and however small', async () => {
    const { client, source, destination } = await pair();
    const long = 'x'.repeat(1_000_000);
    expect(await client.say(long)).toMatchObject({ code: 0, text: `one: ${long}` });
    expect(
      await gather(
        client,
        Array.from({ length: 500 }, () => ''),
      ),
    ).toBe(`one: ${','.repeat(499)}`);
    expect(source()).toEqual([501, 2]);
    await expect.poll(destination).toEqual([501, 2]);
  });

  it('of a call that was retried: once for the client, each time for the server, who answers some without a message', async () => {
    const { served, client, source, destination, meshes } = await pair(rule('retries: { attempts: 2, retryOn: unavailable }'));
    served.fail = { code: status.UNAVAILABLE, times: 2 };
    expect(await client.say('x')).toMatchObject({ code: 0 });
    expect(source()).toEqual([1, 1]);
    await expect.poll(destination).toEqual([3, 1]);
    expect(meshes.source.metrics()).toMatch(/^istio_requests_total\{.*grpc_response_status="0".*\} 1$/m);
    expect(meshes.destination.metrics()).toMatch(/^istio_requests_total\{.*grpc_response_status="14".*\} 2$/m);

    served.fail = { code: status.UNAVAILABLE, times: 1 };
    expect(await gather(client, ['a', 'b'])).toBe('one: a,b');
    expect(source()).toEqual([3, 2]);
    await expect.poll(destination).toEqual([7, 2]);
  });

  it('of a call the client refuses: none, for none was read on its behalf', async () => {
    const { client, served, source, destination, meshes } = await pair(
      rule('fault: { abort: { percentage: { value: 100 }, grpcStatus: UNAVAILABLE } }'),
    );
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE });
    expect(served.seen).toEqual([]);
    expect([source(), destination()]).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(meshes.source.metrics()).toMatch(
      /^istio_requests_total\{.*request_protocol="grpc",.*grpc_response_status="14",response_flags="FI".*\} 1$/m,
    );
  });

  it('of a call the server refuses: the client sent one, and the server read none', async () => {
    const deny = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: rule, namespace: default }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/test.Echo/Say] } }] }] }
`;
    const { client, source, destination, meshes } = await pair('', deny);
    expect(await client.say('x')).toMatchObject({ code: status.PERMISSION_DENIED });
    expect(source()).toEqual([1, 0]);
    await expect.poll(() => meshes.destination.metrics()).toMatch(/request_protocol="grpc",.*grpc_response_status="7"/);
    expect(meshes.source.metrics()).toMatch(/request_protocol="grpc",.*grpc_response_status="7"/);
    expect(destination()).toEqual([0, 0]);
  });

  it('of a call that was left: what had passed until then', async () => {
    const { client, source, destination, meshes } = await pair();
    const chat = client.stub.Chat();
    const heard = ended(chat);
    for (const text of ['a', 'b', 'c']) {
      chat.write({ text });
      await new Promise((resolve) => chat.once('data', resolve));
    }
    chat.cancel();
    expect((await heard).code).toBe(status.CANCELLED);
    expect(source()).toEqual([3, 3]);
    await expect.poll(destination).toEqual([3, 3]);
    for (const mesh of [meshes.source, meshes.destination])
      expect(mesh.metrics()).toMatch(/request_protocol="grpc",.*grpc_response_status="1",response_flags="DC"/);
  });

  it('beside a mirror, whose copies are counted nowhere here, and to a host outside the mesh', async () => {
    const shadowed = await pair(rule('mirror: { host: ratings.example.com }'));
    expect(await shadowed.client.say('x')).toMatchObject({ code: 0 });
    await expect.poll(shadowed.destination).toEqual([2, 2]);
    expect(shadowed.source()).toEqual([1, 1]);

    const { served, meshes, source } = await pair();
    const outside = echoClient(`mesh:///localhost:${served.port}`, meshes.source.grpc.credentials(), meshes.source.grpc.options());
    left.push(outside);
    expect(await outside.say('x')).toMatchObject({ code: 0 });
    expect(source()).toEqual([1, 1]);
    expect(meshes.source.metrics()).toMatch(/^istio_request_messages_total\{.*destination_service_name="PassthroughCluster".*\} 1$/m);
  });
});

it('the server counts messages, not the pieces in which they come', async () => {
  const { served, destination } = await pair();
  const session = connect(`http://127.0.0.1:${served.port}`);
  const stream = session.request({
    ':method': 'POST', ':path': '/test.Echo/Gather', 'content-type': 'application/grpc', te: 'trailers',
  }); // prettier-ignore
  const message = (text: string): Buffer => {
    const body = Buffer.from(JSON.stringify({ text }));
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(body.length, 1);
    return Buffer.concat([prefix, body]);
  };
  const ends = new Promise((resolve) => stream.once('close', resolve));
  stream.resume();
  for (const byte of Buffer.concat([message('a'), message('b')])) {
    stream.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  stream.end(Buffer.concat([message('c'), message('d'), message('e')]));
  await ends;
  session.close();
  expect(served.seen.map(({ text }) => text)).toEqual(['a,b,c,d,e']);
  await expect.poll(destination).toEqual([5, 1]);
});

it('the server counts whoever speaks gRPC behind it, also what is written in one go', async () => {
  const mesh = await meshOf('', { identity: false });
  left.push(mesh);
  const server = createServer();
  mesh.attach(server);
  server.on('stream', (stream) => {
    stream.resume();
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.cork();
    for (let index = 0; index < 3; index += 1) stream.write(Buffer.from([0, 0, 0, 0, 1, index]));
    stream.end(Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    stream.uncork();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const stream = session.request({ ':method': 'POST', ':path': '/a.B/C', 'content-type': 'application/grpc', te: 'trailers' });
  const ends = new Promise((resolve) => stream.once('close', resolve));
  stream.resume();
  stream.end(Buffer.from([0, 0, 0, 0, 0]));
  await ends;
  session.close();
  server.close();
  await expect.poll(() => counted(mesh, 'destination')).toEqual([1, 5]);
});
