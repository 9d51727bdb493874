import { credentials, type sendUnaryData, Server, ServerCredentials, type ServerUnaryCall, status } from '@grpc/grpc-js';
import { connect as connectTcp } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { ECHO, type Echo, echo, type EchoClient, echoClient, ended, type Message } from '../support/echo-grpc.ts';
import { meshOf, type TestMesh } from '../support/mesh.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function member(): Promise<TestMesh> {
  const mesh = await meshOf('', { identity: false, admin: 0 });
  left.push(mesh);
  return mesh;
}

async function serving(mesh: TestMesh, server = mesh.grpc.server()): Promise<Echo> {
  const served = await echo('one', { server });
  left.push(served);
  return served;
}

/** A client that knows nothing of the mesh. */
function clientOf({ port }: Echo): EchoClient {
  const client = echoClient(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  left.push(client);
  return client;
}

/** Does anything listen there? */
const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

const ready = async (mesh: TestMesh) => (await fetch(`${mesh.adminUrl}/ready`)).status;

/** A stream that has said one thing and waits. */
async function talking(client: EchoClient) {
  const chat = client.stub.Chat();
  const heard = ended(chat);
  const first = new Promise((resolve) => chat.once('data', resolve));
  chat.write({ text: 'before' });
  await first;
  return { chat, heard };
}

describe('a server that drains', () => {
  it('still takes what comes for a while and is not ready, then finishes what is under way and is gone', async () => {
    const mesh = await member();
    const server = mesh.grpc.server();
    const served = await serving(mesh, server);
    const client = clientOf(served);
    const { chat, heard } = await talking(client);
    expect(await ready(mesh)).toBe(200);
    const drained = mesh.grpc.wrap(server).drain({ delayMs: 150, graceMs: 3000 });
    expect(await ready(mesh)).toBe(503);
    expect((await client.say('still here')).code).toBe(status.OK);
    await sleep(250);
    expect(await listens(served.port)).toBe(false);
    expect((await client.say('too late')).code).toBe(status.UNAVAILABLE);
    // The GOAWAY came in the middle of this one.
    chat.write({ text: 'after' });
    chat.end();
    expect(await heard).toEqual({ texts: ['one: before', 'one: after'], code: status.OK });
    await drained;
    expect(mesh.status().callsInFlight).toBe(0);
    expect(() => server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), () => {})).toThrow('bindAsync called after shutdown');
  });

  it('tells a health service at once, and leaves once however often it is asked', async () => {
    const mesh = await member();
    const server = new Server();
    let told = 0;
    const wrapped = mesh.grpc.wrap(server, { onDrain: () => (told += 1) });
    await serving(mesh, server);
    const first = wrapped.drain({ delayMs: 50 });
    expect(told).toBe(1);
    await Promise.all([first, mesh.grpc.wrap(server).drain(), wrapped.drain()]);
    expect(told).toBe(1);
  });

  it('leaves nothing behind that was being bound meanwhile', async () => {
    const mesh = await member();
    const server = mesh.grpc.server();
    const served = await serving(mesh, server);
    const binding = new Promise<{ error: Error | null; port: number }>((resolve) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => resolve({ error, port })),
    );
    await mesh.grpc.wrap(server).drain();
    const { error, port } = await binding;
    expect(error === null && (await listens(port))).toBe(false);
    expect(await listens(served.port)).toBe(false);
  });

  it('does not wait for connections that have not said who they are', async () => {
    const mesh = await member();
    const server = mesh.grpc.server();
    const { port } = await serving(mesh, server);
    const silent = connectTcp(port, '127.0.0.1');
    silent.on('error', () => {});
    await new Promise((resolve) => silent.once('connect', resolve));
    const began = performance.now();
    await mesh.grpc.wrap(server).drain({ graceMs: 300 });
    expect(performance.now() - began).toBeLessThan(1500);
    silent.destroy();
  });
});

describe('a mesh that closes', () => {
  it('lets its wrapped servers leave first: what they do may still call others', async () => {
    const mesh = await member();
    const other = await echo('other');
    left.push(other);
    const client = echoClient(`mesh:///127.0.0.1:${other.port}`, mesh.grpc.credentials(), mesh.grpc.options());
    left.push(client);
    const served = await echo('one', {
      server: mesh.grpc.server(),
      methods: {
        Say: (_: ServerUnaryCall<Message, Message>, done: sendUnaryData<Message>) =>
          void sleep(150).then(async () => {
            const { code, text } = await client.say('further');
            done(code === 0 ? null : { code }, { text });
          }),
      },
    });
    const call = clientOf(served).say('x');
    await sleep(50);
    await mesh.close({ graceMs: 3000 });
    expect(await call).toMatchObject({ code: status.OK, text: 'other: further' });
    expect(await listens(served.port)).toBe(false);
  });

  it('cuts a stream that outlasts its grace', async () => {
    const mesh = await member();
    const client = clientOf(await serving(mesh));
    const { heard } = await talking(client);
    const began = performance.now();
    await mesh.close({ graceMs: 200 });
    expect(performance.now() - began).toBeLessThan(1500);
    expect([status.CANCELLED, status.UNAVAILABLE]).toContain((await heard).code);
  });

  it('has nothing to wait for where the program has shut its server down itself, or never bound it', async () => {
    const mesh = await member();
    const server = mesh.grpc.server();
    mesh.grpc.server().addService(ECHO, {});
    const served = await serving(mesh, server);
    const client = clientOf(served);
    const { chat, heard } = await talking(client);
    const shut = new Promise((resolve) => server.tryShutdown(resolve));
    chat.end();
    expect((await heard).code).toBe(status.OK);
    expect(await shut).toBe(undefined);
    expect(await listens(served.port)).toBe(false);
    const began = performance.now();
    await mesh.close({ graceMs: 3000 });
    expect(performance.now() - began).toBeLessThan(500);
  });
});
