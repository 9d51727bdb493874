import { type ClientOptions, Metadata, status } from '@grpc/grpc-js';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type EchoClient, echoClient, ended } from '../support/echo-grpc.ts';
import { meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';
import { pythonGrpc, pythonServer, type PythonServer } from '../support/python-grpc.ts';
import { listening } from '../support/raw.ts';

// The other side is gRPC's C core, in Python: a server that shares no code with the client.

const HOST = 'ratings.example.com';

const cCore = pythonGrpc();
if (cCore !== true) console.warn(`not tried against servers of gRPC's C core: ${cCore}`);

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function under(ports: readonly number[], yaml = ''): Promise<TestMesh> {
  const mesh = await meshOf(serviceEntry(HOST, ports, { port: 9080, protocol: 'GRPC' }) + yaml, { identity: false });
  left.push(mesh);
  return mesh;
}

function clientOf(mesh: TestMesh, options: ClientOptions = {}): EchoClient {
  const client = echoClient(`mesh:///${HOST}`, mesh.grpc.credentials(), mesh.grpc.options(options));
  left.push(client);
  return client;
}

const NO_RETRIES = virtualService(HOST, `- retries: { attempts: 0 }\n  route: [{ destination: { host: ${HOST} } }]`);

describe.skipIf(cCore !== true)("a server of gRPC's C core", () => {
  let server: PythonServer;
  beforeAll(async () => {
    server = await pythonServer({ 'grpc.max_receive_message_length': 100_000 });
    return () => server[Symbol.asyncDispose]();
  });
  const notes = (on: string) => server.notes.filter((note) => note.on === on);

  it('is called: unary, with metadata both ways, binary ones too', async () => {
    const { stub } = clientOf(await under([server.port]));
    const metadata = new Metadata();
    metadata.set('x-user', 'ann');
    metadata.set('x-key-bin', Buffer.from([0, 255, 1]));
    const heard = await new Promise<Record<string, unknown>>((resolve, reject) => {
      const heard: Record<string, unknown> = {};
      const call = stub.Say({ text: 'metadata' }, metadata, {}, (error, answer) => {
        if (error !== null) reject(error);
        heard['text'] = answer?.text;
      });
      call.on('metadata', (headers) => (heard['headers'] = headers.getMap()));
      call.on('status', ({ code, metadata: trailers }) => {
        heard['code'] = code;
        heard['trailers'] = trailers.getMap();
        setImmediate(() => resolve(heard));
      });
    });
    expect(heard).toMatchObject({
      code: status.OK,
      text: 'c: metadata',
      headers: { 'x-server': 'ann', 'x-server-bin': Buffer.from([1, 255]) },
      trailers: { 'x-trailer': 'last', 'x-trailer-bin': Buffer.from([0, 254]) },
    });
    await expect
      .poll(() => notes('Say').find(({ text }) => text === 'metadata')?.metadata)
      .toMatchObject({ 'x-user': 'ann', 'x-key-bin': Buffer.from([0, 255, 1]).toString('base64') });
  });

  it('is streamed to, from, and both ways', async () => {
    const { stub } = clientOf(await under([server.port]));
    const gathered = await new Promise((resolve, reject) => {
      const stream = stub.Gather((error, answer) => (error === null ? resolve(answer) : reject(error)));
      for (const text of ['a', 'b', 'c']) stream.write({ text });
      stream.end();
    });
    expect(gathered).toEqual({ text: 'c: a,b,c' });
    expect(await ended(stub.Repeat({ text: 'x' }))).toEqual({ texts: ['c: x 0', 'c: x 1', 'c: x 2'], code: status.OK });
    const chat = stub.Chat();
    const heard = ended(chat);
    for (const text of ['hi', 'bye']) {
      chat.write({ text });
      await new Promise((resolve) => chat.once('data', resolve));
    }
    chat.end();
    expect(await heard).toEqual({ texts: ['c: hi', 'c: bye'], code: status.OK });
  });

  it.each(['NOT_FOUND', 'RESOURCE_EXHAUSTED', 'UNAUTHENTICATED', 'DATA_LOSS', 'ABORTED'] as const)(
    'fails a call with %s, its details and its trailers',
    async (code) => {
      const client = clientOf(await under([server.port], NO_RETRIES));
      expect(await client.say('x', { 'x-fail': code })).toMatchObject({
        code: status[code],
        details: 'fäils, 100% ✓',
        trailers: { 'x-trailer': 'last' },
      });
    },
  );

  it('knows no such method', async () => {
    const mesh = await under([server.port]);
    mesh.set(
      serviceEntry(HOST, [server.port], { port: 9080, protocol: 'GRPC' }) +
        virtualService(HOST, `- rewrite: { uri: /test.Echo/Missing }\n  route: [{ destination: { host: ${HOST} } }]`),
    );
    expect(await clientOf(mesh).say('x')).toMatchObject({ code: status.UNIMPLEMENTED });
  });

  it('is told the deadline, and that nobody waits any more', async () => {
    const mesh = await under([server.port]);
    const client = clientOf(mesh);
    expect(await client.say('late', { 'x-takes': '5' }, { deadline: Date.now() + 300 })).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await expect.poll(() => notes('Say left').map(({ text }) => text)).toContain('late');
    const { remaining } = notes('Say').find(({ text }) => text === 'late')!;
    expect(remaining).toBeGreaterThan(0.1);
    expect(remaining).toBeLessThanOrEqual(0.301);
    // Without one it is told none.
    await client.say('for ever');
    await expect.poll(() => notes('Say').find(({ text }) => text === 'for ever')?.remaining).toBeNull();
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('is told that a caller cancels, before an answer and in the middle of a stream', async () => {
    const mesh = await under([server.port]);
    const { stub } = clientOf(mesh);
    const metadata = new Metadata();
    metadata.set('x-takes', '5');
    const code = new Promise((resolve) => {
      const call = stub.Say({ text: 'given up' }, metadata, {}, (error) => resolve(error?.code));
      void expect.poll(() => notes('Say').some(({ text }) => text === 'given up')).toBe(true).then(() => call.cancel()); // prettier-ignore
    });
    expect(await code).toBe(status.CANCELLED);
    await expect.poll(() => notes('Say left').map(({ text }) => text)).toContain('given up');

    const over = notes('Chat over').length;
    const chat = stub.Chat();
    const heard = ended(chat);
    chat.write({ text: 'a' });
    await new Promise((resolve) => chat.once('data', resolve));
    expect(notes('Chat over').length).toBe(over);
    chat.cancel();
    expect(await heard).toEqual({ texts: ['c: a'], code: status.CANCELLED });
    await expect.poll(() => notes('Chat over').length).toBe(over + 1);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('is sent compressed messages, and sends them', async () => {
    const proxy = await counting(server.port);
    const mesh = await under([proxy.port]);
    const text = 'z'.repeat(50_000);
    const plain = clientOf(mesh);
    expect(await plain.say(text)).toMatchObject({ code: status.OK, text: `c: ${text}` });
    expect([proxy.sent > 50_000, proxy.received > 50_000]).toEqual([true, true]);
    proxy.sent = proxy.received = 0;
    const gzip = clientOf(mesh, { 'grpc.default_compression_algorithm': 2 });
    expect(await gzip.say(text, { 'x-gzip': 'yes' })).toMatchObject({ code: status.OK, text: `c: ${text}` });
    expect([proxy.sent < 5000, proxy.received < 5000]).toEqual([true, true]);
  });

  it('has limits for messages, and so has the client: RESOURCE_EXHAUSTED either way, and no retry', async () => {
    const mesh = await under(
      [server.port],
      virtualService(HOST, `- retries: { attempts: 2, retryOn: "5xx" }\n  route: [{ destination: { host: ${HOST} } }]`),
    );
    const before = notes('Say').length;
    expect(await clientOf(mesh).say('y'.repeat(200_000))).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(notes('Say').length).toBe(before);
    const small = clientOf(mesh, { 'grpc.max_receive_message_length': 10_000 });
    expect(await small.say('much', { 'x-times': '5000' })).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    await expect.poll(() => notes('Say').filter(({ text }) => text === 'much').length).toBe(1);
    // Each end's limit is its own: the next call is as any other.
    expect(await small.say('x')).toMatchObject({ code: status.OK });
    expect(mesh.status().callsInFlight).toBe(0);
  });
});

describe.skipIf(cCore !== true)("a server of gRPC's C core that leaves", () => {
  it('finishes the streams that are on it, and is called no more', async () => {
    const [one, two] = await Promise.all([pythonServer(), pythonServer()]);
    left.push(one, two);
    const mesh = await under([one.port, two.port]);
    const client = clientOf(mesh);
    // On both: which is which is the balancer's to say.
    const chats = [];
    while (!one.notes.some(({ on }) => on === 'Chat') || !two.notes.some(({ on }) => on === 'Chat')) {
      const chat = client.stub.Chat();
      chats.push({ chat, heard: ended(chat) });
      chat.write({ text: 'before' });
      await new Promise((resolve) => chat.once('data', resolve));
    }
    one.stop(5);
    // What it still takes while it leaves the C core answers with CANCELLED, then nobody listens: Istio's default retries know both.
    const codes: number[] = [];
    for (let index = 0; index < 40; index += 1) codes.push((await client.say('x')).code);
    expect(codes.filter((code) => code !== status.OK)).toEqual([]);
    expect(two.notes.filter(({ on }) => on === 'Say').length).toBeGreaterThan(30);
    for (const { chat } of chats) {
      chat.write({ text: 'after' });
      chat.end();
    }
    for (const { heard } of chats) expect(await heard).toEqual({ texts: ['c: before', 'c: after'], code: status.OK });
    await one.ended;
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('or lets connections live for a while only, costs no call', async () => {
    const server = await pythonServer({ 'grpc.max_connection_age_ms': 150, 'grpc.max_connection_age_grace_ms': 10_000 });
    left.push(server);
    const proxy = await counting(server.port);
    const mesh = await under([proxy.port], NO_RETRIES);
    const { stub, say } = clientOf(mesh);
    const chat = stub.Chat();
    const heard = ended(chat);
    const codes: number[] = [];
    const until = performance.now() + 1500;
    const worker = async () => {
      while (performance.now() < until) codes.push((await say('x')).code);
    };
    chat.write({ text: 'first' });
    await Promise.all([worker(), worker(), worker(), worker()]);
    chat.write({ text: 'last' });
    chat.end();
    expect(codes.filter((code) => code !== status.OK)).toEqual([]);
    expect(proxy.connections).toBeGreaterThan(3);
    expect(await heard).toEqual({ texts: ['c: first', 'c: last'], code: status.OK });
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('for good is waited for by who says so', async () => {
    const server = await pythonServer();
    left.push(server);
    const mesh = await under([server.port], NO_RETRIES);
    const client = clientOf(mesh);
    expect(await client.say('x')).toMatchObject({ code: status.OK });
    server.stop(0);
    await server.ended;
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE });
    const metadata = new Metadata({ waitForReady: true });
    const code = new Promise((resolve) => {
      client.stub.Say({ text: 'x' }, metadata, { deadline: Date.now() + 400 }, (error) => resolve(error?.code));
    });
    const began = performance.now();
    expect(await code).toBe(status.DEADLINE_EXCEEDED);
    expect(performance.now() - began).toBeGreaterThan(350);
    await sleep(0);
    expect(mesh.status().callsInFlight).toBe(0);
  });
});

/** A way to a port that counts the bytes that pass. */
async function counting(port: number) {
  const counted = { port: 0, sent: 0, received: 0, connections: 0 };
  const server = createServer((caller) => {
    counted.connections += 1;
    const callee = connect(port, '127.0.0.1');
    caller.on('data', (bytes) => (counted.sent += bytes.length));
    callee.on('data', (bytes) => (counted.received += bytes.length));
    for (const [from, to] of [[caller, callee], [callee, caller]] as const) from.on('error', () => to.destroy()).pipe(to); // prettier-ignore
  });
  counted.port = await listening(server);
  left.push({ [Symbol.asyncDispose]: () => Promise.resolve(void server.close()) });
  return counted;
}
