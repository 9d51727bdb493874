import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import { constants } from 'node:http2';
import { createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { echo, type Echo, echoClient, type EchoClient, ended, type Message } from '../support/echo-grpc.ts';
import { answer, h2Server, type H2Server, type OnStream } from '../support/h2-grpc.ts';
import { meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';
import { listening } from '../support/raw.ts';

// Streams that a server promises not to have begun: gRPC carries them out once more, without asking the policy (gRFC A6).

const HOST = 'ratings.example.com';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function h2(onStream: OnStream): Promise<H2Server> {
  const server = await h2Server(onStream);
  left.push(server);
  return server;
}

async function echoing(name: string): Promise<Echo> {
  const server = await echo(name);
  left.push(server);
  return server;
}

async function under(ports: readonly number[], retries = '{ attempts: 0 }'): Promise<{ mesh: TestMesh; client: EchoClient }> {
  const mesh = await meshOf(
    serviceEntry(HOST, ports, { port: 9080, protocol: 'GRPC' }) +
      virtualService(HOST, `- retries: ${retries}\n  route: [{ destination: { host: ${HOST} } }]`),
    { identity: false },
  );
  const client = echoClient(`mesh:///${HOST}`, mesh.grpc.credentials(), mesh.grpc.options());
  left.push(mesh, client);
  return { mesh, client };
}

const refuse: OnStream = (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM);

/** A connection that lets calls come and is then left by a GOAWAY that holds none of them; nothing answers there. Counts connections. */
async function leaving(): Promise<{ readonly port: number; readonly connections: () => number }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    // SETTINGS, and once the HEADERS of a call are there a GOAWAY of stream 0.
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    let read = 0;
    socket.on('data', (bytes) => {
      const had = read;
      read += bytes.length;
      if (had < 150 && read >= 150) socket.write(Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    });
  });
  left.push({
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  });
  return { port: await listening(server), connections: () => sockets.length };
}

const retried = (mesh: TestMesh) => mesh.events.flatMap((event) => (event.type === 'call.retried' ? [event.reason] : []));

describe('a call that is refused (REFUSED_STREAM)', () => {
  it('is carried out by another endpoint, where the policy wants no retries', async () => {
    const refusing = await h2(refuse);
    const good = await echoing('good');
    const { mesh, client } = await under([refusing.port, good.port]);
    for (let index = 0; index < 20; index += 1)
      expect(await client.say(String(index))).toMatchObject({ code: status.OK, text: `good: ${index}` });
    // Executed once each, and tried where it was refused before.
    expect(good.seen.map(({ text }) => Number(text))).toEqual(Array.from({ length: 20 }, (_, index) => index));
    expect(refusing.streams.length).toBeGreaterThan(0);
    expect(retried(mesh)).toEqual(refusing.streams.map(() => 'transparent'));
    expect(mesh.metrics()).toMatch(/istio_requests_total\{[^}]*response_flags="-"[^}]*\} 20/);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('is carried out by the same one, where there is no other', async () => {
    const server = await h2((stream, number, headers) => {
      if (number === 0) refuse(stream, number, headers);
      else answer(stream, 'second');
    });
    const { client } = await under([server.port]);
    expect(await client.say('x')).toMatchObject({ code: status.OK, text: 'second' });
    expect(server.streams.length).toBe(2);
  });

  it('twice, fails', async () => {
    const server = await h2(refuse);
    const { mesh, client } = await under([server.port]);
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE, trailers: { 'x-inmesh-flags': 'UR' } });
    expect(server.streams.length).toBe(2);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('leaves the policy all of its retries', async () => {
    const server = await h2((stream, number, headers) => {
      if (number < 3) refuse(stream, number, headers);
      else answer(stream, 'fourth');
    });
    const { mesh, client } = await under([server.port], '{ attempts: 2, retryOn: refused-stream }');
    expect(await client.say('x')).toMatchObject({ code: status.OK, text: 'fourth' });
    expect(retried(mesh)).toEqual(['transparent', 'REFUSED', 'REFUSED']);
  });

  it('is repeated with all a stream had said, and what it says from then on', async () => {
    const refusing = await h2(refuse);
    const good = await echoing('good');
    const { client } = await under([refusing.port, good.port]);
    const talk = async (): Promise<unknown> => {
      const chat: ClientDuplexStream<Message, Message> = client.stub.Chat();
      const heard = ended(chat);
      chat.write({ text: 'a' });
      await new Promise((resolve) => chat.once('data', resolve));
      chat.write({ text: 'b' });
      chat.end();
      return heard;
    };
    while (refusing.streams.length < 3) expect(await talk()).toEqual({ texts: ['good: a', 'good: b'], code: status.OK });
  });

  it('is not repeated once the stream has said more than is kept', async () => {
    // Not refused before all of it has been sent.
    const server = await h2((stream, number, headers) => {
      let read = 0;
      stream.on('data', (bytes: Buffer) => {
        read += bytes.length;
        if (read > 80_000) refuse(stream, number, headers);
      });
    });
    const { client } = await under([server.port]);
    const code = new Promise((resolve) => {
      const stream = client.stub.Gather((error) => resolve(error?.code));
      for (let index = 0; index < 10; index += 1) stream.write({ text: 'x'.repeat(9000) });
    });
    expect(await code).toBe(status.UNAVAILABLE);
    expect(server.streams.length).toBe(1);
  });
});

describe('a call that a GOAWAY leaves out', () => {
  it('is carried out by another endpoint, where the policy wants no retries', async () => {
    const gone = await leaving();
    const good = await echoing('good');
    const { mesh, client } = await under([gone.port, good.port]);
    for (let index = 0; index < 20; index += 1)
      expect(await client.say(String(index))).toMatchObject({ code: status.OK, text: `good: ${index}` });
    expect(good.seen.map(({ text }) => Number(text))).toEqual(Array.from({ length: 20 }, (_, index) => index));
    expect(gone.connections()).toBeGreaterThan(0);
    expect(retried(mesh).length).toBe(gone.connections());
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('is sent once more to the same one, on another connection, where there is no other', async () => {
    const gone = await leaving();
    const { client } = await under([gone.port]);
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE });
    expect(gone.connections()).toBe(2);
  });
});

describe('a connection that is lost', () => {
  it('may have taken its calls along: they are not repeated without the policy', async () => {
    const server = await h2((stream) => stream.session!.destroy());
    const { client } = await under([server.port]);
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE, trailers: { 'x-inmesh-flags': 'UC' } });
    expect(server.streams.length).toBe(1);
  });
});
