import { type sendUnaryData, type ServerUnaryCall, status } from '@grpc/grpc-js';
import { createDevCa, type DevCa, devCertificates } from '@inmesh/identity/dev';
import { createSecureServer, type ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { type Echo, echo, echoClient, type EchoClient, ended, type Message } from '../support/echo-grpc.ts';
import { answer, framed, GRPC_HEADERS } from '../support/h2-grpc.ts';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { listening, peerAuthentication } from '../support/raw.ts';

// Certificates that are replaced while calls are under way, and servers that are not whom the registry names.

const HOST = 'ratings.example.com';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** The service whose endpoints run as an account, by mutual TLS. */
const entry = (ports: readonly number[], account = 'ratings') => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ratings, namespace: default }
spec:
  hosts: [${HOST}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 9080, name: grpc, protocol: GRPC }]
  endpoints: ${JSON.stringify(ports.map((port) => ({ address: '127.0.0.1', ports: { grpc: port }, serviceAccount: account })))}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings, namespace: default }
spec: { hosts: [${HOST}], http: [{ retries: { attempts: 0 }, route: [{ destination: { host: ${HOST} } }] }] }
`;

async function member(ca: DevCa, serviceAccount: string, yaml: string): Promise<TestMesh> {
  const identity = devCertificates(ca, { namespace: 'default', serviceAccount });
  const mesh = await meshOf(yaml, { identity, workload: { name: serviceAccount } });
  left.push(mesh);
  return mesh;
}

async function serve(ca: DevCa, account = 'ratings'): Promise<Echo> {
  const mesh = await member(ca, account, peerAuthentication('STRICT'));
  const server = await echo(account, {
    server: mesh.grpc.server(),
    methods: {
      Say: (call: ServerUnaryCall<Message, Message>, done: sendUnaryData<Message>) =>
        done(null, { text: mesh.grpc.caller(call).principal?.uri ?? 'nobody' }),
    },
  });
  left.push(server);
  return server;
}

function clientOf(mesh: TestMesh): EchoClient {
  const client = echoClient(`mesh:///${HOST}`, mesh.grpc.credentials(), mesh.grpc.options());
  left.push(client);
  return client;
}

/** Calls without a pause, by eight at once, until it is told to stop. Tells what they heard. */
function load({ say }: EchoClient) {
  const heard: { readonly code: number; readonly text: string; readonly details: string }[] = [];
  let on = true;
  const worker = async () => {
    while (on) heard.push(await say('x', {}, { deadline: Date.now() + 3000 }));
  };
  const done = Promise.all(Array.from({ length: 8 }, worker));
  return {
    heard,
    stop: async () => {
      on = false;
      await done;
    },
  };
}

describe('certificates that are replaced under load', () => {
  it('of both ends, roots too, cost no call and no stream', async () => {
    const ca = createDevCa();
    const servers = [await serve(ca), await serve(ca)];
    const mesh = await member(ca, 'web', entry(servers.map(({ port }) => port)));
    const client = clientOf(mesh);
    const chat = client.stub.Chat();
    const chatted = ended(chat);
    chat.write({ text: 'first' });
    const { heard, stop } = load(client);
    const steps: string[] = [];
    for (let step = 0; step < 6; step += 1) {
      await sleep(120);
      steps.push(ca.rotateRoot());
      chat.write({ text: steps.at(-1)! });
    }
    await sleep(120);
    await stop();
    chat.end();
    expect(steps).toEqual(['announced', 'signing', 'done', 'announced', 'signing', 'done']);
    expect(heard.length).toBeGreaterThan(200);
    const wrong = heard.filter(({ code, text }) => code !== status.OK || text !== 'spiffe://cluster.local/ns/default/sa/web');
    expect(wrong).toEqual([]);
    const { texts, code } = await chatted;
    expect(code).toBe(status.OK);
    expect(texts.map((text) => text.slice('ratings: '.length))).toEqual(['first', ...steps]);
    expect(mesh.events.filter(({ type }) => type === 'identity.changed').length).toBe(7);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('do not send away calls that wait for their connection', async () => {
    const ca = createDevCa();
    const server = await serve(ca);
    const mesh = await member(ca, 'web', entry([server.port]));
    const { say } = clientOf(mesh);
    const calls = [];
    for (let step = 0; step < 3; step += 1) {
      // Placed, and no handshake is over yet.
      for (let index = 0; index < 4; index += 1) calls.push(say('x'));
      await sleep(1);
      ca.rotateRoot();
    }
    expect((await Promise.all(calls)).filter(({ code }) => code !== status.OK)).toEqual([]);
    expect(mesh.events.filter(({ type }) => type === 'call.retried')).toEqual([]);
  });

  it('are shown by the connections that are made from then on; a stream finishes on its own', async () => {
    const ca = createDevCa();
    const { privateKey: key, certificate: cert } = ca.issue({ serviceAccount: 'ratings' });
    const shown: string[] = [];
    const open = new Set<ServerHttp2Session>();
    const server = createSecureServer({
      key,
      cert,
      ca: ca.roots,
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: ['istio-h2'],
    });
    server.on('session', (session) => {
      open.add(session);
      session.once('close', () => open.delete(session));
      shown.push((session.socket as TLSSocket).getPeerCertificate().fingerprint256);
    });
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      if (headers[':path'] === '/test.Echo/Say') return answer(stream, 'done');
      stream.respond(GRPC_HEADERS, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.write(framed('begun'));
      stream.on('data', () => stream.write(framed('more')));
      stream.on('end', () => stream.end());
    });
    const port = await listening(server);
    left.push({
      [Symbol.asyncDispose]: () => {
        for (const session of open) session.destroy();
        return new Promise((resolve) => server.close(() => resolve()));
      },
    });
    const client = clientOf(await member(ca, 'web', entry([port])));
    const chat = client.stub.Chat();
    const chatted = ended(chat);
    await new Promise((resolve) => chat.once('data', resolve));
    for (let index = 0; index < 5; index += 1) expect(await client.say('x')).toMatchObject({ code: status.OK });
    expect(shown.length).toBe(1);
    ca.rotateRoot();
    server.setSecureContext({ key, cert, ca: ca.roots });
    for (let index = 0; index < 5; index += 1) expect(await client.say('x')).toMatchObject({ code: status.OK });
    expect(shown.length).toBe(2);
    expect(shown[1]).not.toBe(shown[0]);
    expect(open.size).toBe(2);
    chat.write({ text: 'x' });
    await new Promise((resolve) => chat.once('data', resolve));
    chat.end();
    expect(await chatted).toEqual({ texts: ['begun', 'more'], code: status.OK });
    // What the old certificate was shown on ends with its last stream.
    await expect.poll(() => open.size).toBe(1);
  });
});

describe('a server that is not whom the registry names', () => {
  it('is not called: by its account, or by its root', async () => {
    const ca = createDevCa();
    const impostor = await serve(ca, 'impostor');
    const mesh = await member(ca, 'web', entry([impostor.port]));
    const refused = await clientOf(mesh).say('secret');
    expect(refused).toMatchObject({ code: status.UNAVAILABLE, trailers: { 'x-inmesh-flags': 'UF' } });
    expect(refused.details).toMatch(
      /it is spiffe:\/\/cluster.local\/ns\/default\/sa\/impostor, but the registry says the endpoint runs as ratings/,
    );
    const stranger = await serve(createDevCa());
    mesh.set(entry([stranger.port]));
    expect(await clientOf(mesh).say('secret')).toMatchObject({ code: status.UNAVAILABLE, trailers: { 'x-inmesh-flags': 'UF' } });
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('is called no more once the registry changes its mind, on connections that are there already', async () => {
    const ca = createDevCa();
    const server = await serve(ca);
    const mesh = await member(ca, 'web', entry([server.port]));
    const client = clientOf(mesh);
    expect(await client.say('x')).toMatchObject({ code: status.OK });
    mesh.set(entry([server.port], 'vault'));
    expect(await client.say('x')).toMatchObject({ code: status.UNAVAILABLE });
    mesh.set(entry([server.port]));
    await expect.poll(async () => (await client.say('x')).code).toBe(status.OK);
  });

  it('once its root is believed no more, gets no new connection', async () => {
    const ca = createDevCa();
    const old = ca.issue({ serviceAccount: 'ratings' });
    const server = createSecureServer({ key: old.privateKey, cert: old.certificate, ALPNProtocols: ['h2'] });
    server.on('stream', (stream) => answer(stream, 'done'));
    const sessions = new Set<ServerHttp2Session>();
    server.on('session', (session) => sessions.add(session));
    const port = await listening(server);
    left.push({
      [Symbol.asyncDispose]: () => {
        for (const session of sessions) session.destroy();
        return new Promise((resolve) => server.close(() => resolve()));
      },
    });
    const client = clientOf(await member(ca, 'web', entry([port])));
    const codes: number[] = [];
    codes.push((await client.say('x')).code);
    for (let step = 0; step < 3; step += 1) {
      ca.rotateRoot();
      codes.push((await client.say('x')).code);
    }
    // Announced and signing: the old root is believed still.
    expect(codes).toEqual([status.OK, status.OK, status.OK, status.UNAVAILABLE]);
  });
});
