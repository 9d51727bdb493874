import { credentials, Metadata } from '@grpc/grpc-js';
import express from 'express';
import fastify from 'fastify';
import { request } from 'node:http';
import { connect, createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Client } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { echo, echoClient } from '../support/echo-grpc.ts';
import { meshOf, serviceEntry, type TestMesh, virtualService, destinationRule } from '../support/mesh.ts';
import { say, upstream, type Upstream } from '../support/upstream.ts';

// No SDK of OpenTelemetry is registered in this process: what came in goes on as it came, and no program here passes anything on.

const NEXT = 'next.example.com';
const PARTNER = 'partner.example.com';
const REVIEWS = 'reviews.example.com';

let next: Upstream;
let partner: Upstream;
let reviews: readonly [Upstream, Upstream];
let stranger: Upstream;
let mesh: TestMesh;
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  next = await upstream(say('ok'));
  partner = await upstream(say('ok'));
  stranger = await upstream(say('ok'));
  reviews = [await upstream(say('v1')), await upstream(say('v2'))];
  const [v1, v2] = reviews.map(({ port }, at) => ({ port, labels: { version: `v${at + 1}` } }));
  mesh = await meshOf(
    serviceEntry(NEXT, [next.port]) +
      serviceEntry(PARTNER, [partner.port]).replace('MESH_INTERNAL', 'MESH_EXTERNAL') +
      serviceEntry(REVIEWS, [v1!, v2!]) +
      destinationRule(REVIEWS, 'subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]') +
      virtualService(
        REVIEWS,
        `- match: [{ headers: { end-user: { exact: jason } } }]
  route: [{ destination: { host: ${REVIEWS}, subset: v2 } }]
- route: [{ destination: { host: ${REVIEWS}, subset: v1 } }]`,
      ),
    { tracing: { forward: ['End-User'] } },
  );
});

afterAll(async () => {
  for (const close of closing) await close();
  await mesh.close({ graceMs: 0 });
  for (const one of [next, partner, stranger, ...reviews]) await one.kill();
});

beforeEach(() => {
  for (const one of [next, partner, stranger, ...reviews]) one.seen.length = 0;
});

const SENT = {
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: 'rojo=00f067aa0ba902b7',
  baggage: 'user=7,plan=gold;since=2020',
  'x-request-id': 'a-request',
};

/** A request with a body that comes in two pieces, so that its events come after the handler was called. */
const post = (port: number, headers: object, path = '/'): Promise<string> =>
  new Promise((resolve, reject) => {
    const sending = request(
      { port, host: '127.0.0.1', path, method: 'POST', agent: false, headers: { 'content-type': 'application/json', ...headers } },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => resolve(text));
      },
    ).on('error', reject);
    sending.write('{"a":');
    setTimeout(() => sending.end('1}'), 20);
  });

const onward = (url = `http://${NEXT}/`): Promise<unknown> => mesh.fetch(url).then((answer) => answer.text());

describe('a request that is served hands on what it came with, through', () => {
  it('node:http, with calls made at once, after a timer, from events of its body, and of the answer', async () => {
    const listening = await mesh.listen((incoming, response) => {
      const calls = [onward(), new Promise((resolve) => setTimeout(resolve, 5)).then(() => onward())];
      incoming.on('data', () => calls.push(onward()));
      incoming.on('end', () => {
        calls.push(onward());
        void Promise.all(calls).then(() => response.end('done'));
      });
      response.on('finish', () => void onward());
      response.on('close', () => void onward());
    }, 0);
    closing.push(() => listening.close());
    expect(await post(listening.port, SENT)).toBe('done');
    await vi.waitFor(() => expect(next.seen.length).toBeGreaterThanOrEqual(6));
    for (const { headers } of next.seen) expect(headers).toMatchObject(SENT);
  });

  it('Express, behind a parser of bodies', async () => {
    const app = express();
    app.use(express.json());
    app.post('/', (incoming, response) => void onward().then(() => response.json(incoming.body)));
    const listening = await mesh.listen(app, 0);
    closing.push(() => listening.close());
    expect(await post(listening.port, SENT)).toBe('{"a":1}');
    expect(next.seen.map(({ headers }) => headers)).toEqual([expect.objectContaining(SENT)]);
  });

  it('mesh.express() on a server the mesh is not attached to', async () => {
    const app = express();
    app.use(mesh.express());
    app.use(express.json());
    app.post('/', (_incoming, response) => void onward().then(() => response.end('done')));
    const server = app.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    closing.push(() => server.close());
    expect(await post((server.address() as AddressInfo).port, SENT)).toBe('done');
    expect(next.seen.map(({ headers }) => headers)).toEqual([expect.objectContaining(SENT)]);
  });

  it('Fastify', async () => {
    const app = fastify();
    await app.register(mesh.fastify);
    app.post('/', async () => {
      await onward();
      return 'done';
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    closing.push(() => app.close());
    expect(await post((app.server.address() as AddressInfo).port, SENT)).toBe('done');
    expect(next.seen.map(({ headers }) => headers)).toEqual([expect.objectContaining(SENT)]);
  });

  it('node:http2, from events of a stream', async () => {
    const server = createHttp2Server();
    mesh.attach(server);
    server.on('stream', (stream) => {
      stream.on('data', () => {});
      stream.on('end', () => void onward().then(() => stream.end('done')));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    closing.push(
      () => session.destroy(),
      () => server.close(),
    );
    const stream = session.request({ ':method': 'POST', ':path': '/', ...SENT });
    stream.write('a');
    setTimeout(() => stream.end('b'), 20);
    await new Promise((resolve) => stream.resume().once('end', resolve));
    expect(next.seen.map(({ headers }) => headers)).toEqual([expect.objectContaining(SENT)]);
  });

  it('a handler of fetch-style requests', async () => {
    const handler = mesh.fetchHandler(async () => {
      await onward();
      return new Response('done');
    });
    const answer = await handler(new Request('http://shop/', { headers: SENT }));
    expect(await answer.text()).toBe('done');
    expect(next.seen.map(({ headers }) => headers)).toEqual([expect.objectContaining(SENT)]);
  });

  it('a hundred at once, none mixed with another', async () => {
    const listening = await mesh.listen((incoming, response) => {
      incoming.resume().on('end', () => {
        setTimeout(() => void onward(`http://${NEXT}${incoming.url}`).then(() => response.end()), Math.random() * 10);
      });
    }, 0);
    closing.push(() => listening.close());
    const one = new Client(`http://127.0.0.1:${listening.port}`, { pipelining: 10 });
    closing.push(() => one.destroy());
    await Promise.all(
      Array.from({ length: 100 }, async (_, at) => {
        const traceparent = `00-${String(at + 1).padStart(32, '0')}-b7ad6b7169203331-01`;
        await (await one.request({ path: `/${at + 1}`, method: 'GET', headers: { traceparent } })).body.dump();
      }),
    );
    expect(next.seen).toHaveLength(100);
    for (const { url, headers } of next.seen)
      expect(headers['traceparent']).toBe(`00-${url.slice(1).padStart(32, '0')}-b7ad6b7169203331-01`);
  });
});

describe('gRPC', () => {
  it('hands on from a call that is served to one that is made, and to HTTP, from streams as well', async () => {
    await using behind = await echo('behind');
    await using grpcMesh = await meshOf(
      serviceEntry(NEXT, [next.port]) + serviceEntry('behind.example.com', [behind.port], { protocol: 'GRPC' }),
    );
    const ask = (): Promise<unknown> => grpcMesh.fetch(`http://${NEXT}/`).then((answer) => answer.text());
    await using onwards = echoClient('mesh:///behind.example.com', grpcMesh.grpc.credentials(), grpcMesh.grpc.options());
    await using front = await echo('front', {
      server: grpcMesh.grpc.server(),
      methods: {
        // By callbacks: whoever calls next in one is still in the request that is served.
        Say: (_call: unknown, callback: (error: null, answer: object) => void) => {
          onwards.stub.Say({ text: 'on' }, new Metadata(), {}, () => void ask().then(() => callback(null, { text: 'done' })));
        },
        Gather: (call: { on: (event: string, listener: () => void) => void }, callback: (error: null, answer: object) => void) => {
          call.on('data', () => {});
          call.on('end', () => void onwards.say('on').then(() => callback(null, { text: 'done' })));
        },
      },
    });
    await using caller = echoClient(`127.0.0.1:${front.port}`, credentials.createInsecure());
    expect(await caller.say('hello', SENT)).toMatchObject({ code: 0, text: 'done' });
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(SENT)) metadata.set(name, value);
    await new Promise<void>((resolve, reject) => {
      const stream = caller.stub.Gather(metadata, (error) => (error === null ? resolve() : reject(error)));
      stream.write({ text: 'a' });
      setTimeout(() => stream.end(), 20);
    });
    expect(behind.seen).toHaveLength(2);
    for (const { metadata: seen } of behind.seen) expect(seen).toMatchObject(SENT);
    expect(next.seen.map(({ headers }) => headers)).toEqual([expect.objectContaining(SENT)]);
  });
});

describe('what calls carry', () => {
  let port: number;
  /** What the program sends besides, and where it calls. */
  let calling: { url: string; headers?: Record<string, string> };
  let told: Record<string, unknown>;

  beforeAll(async () => {
    const listening = await mesh.listen((incoming, response) => {
      told = incoming.headers;
      const { url, headers } = calling;
      void mesh
        .fetch(url, headers === undefined ? {} : { headers })
        .then((answer) => answer.text())
        .then((text) => response.end(text));
    }, 0);
    port = listening.port;
    closing.push(() => listening.close());
  });

  const serve = (headers: object, call: typeof calling): Promise<string> => {
    calling = call;
    return post(port, headers);
  };

  it('is an x-request-id made here, where nobody sent one: the program is told it, and all its calls have it', async () => {
    await serve({}, { url: `http://${NEXT}/` });
    const { headers } = next.seen[0]!;
    expect(told['x-request-id']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(headers['x-request-id']).toBe(told['x-request-id']);
    expect(Object.keys(headers).filter((name) => /trace|baggage|b3/.test(name))).toEqual([]);
  });

  it('is what the program says itself, where it does', async () => {
    const own = { traceparent: '00-11111111111111111111111111111111-2222222222222222-00', baggage: 'mine=1', 'x-request-id': 'mine' };
    await serve(SENT, { url: `http://${NEXT}/`, headers: own });
    expect(next.seen[0]!.headers).toMatchObject(own);
    // The state belongs to the other trace.
    expect(next.seen[0]!.headers['tracestate']).toBeUndefined();
  });

  it('is without baggage to a declared service outside the mesh, and nothing at all to a host nobody declared', async () => {
    await serve({ ...SENT, 'end-user': 'jason' }, { url: `http://${PARTNER}/` });
    const { baggage, ...rest } = SENT;
    expect(partner.seen[0]!.headers).toMatchObject(rest);
    expect(partner.seen[0]!.headers).not.toHaveProperty('baggage');
    expect(partner.seen[0]!.headers).not.toHaveProperty('end-user');
    expect(baggage).not.toBe('');
    await serve(SENT, { url: `http://127.0.0.1:${stranger.port}/` });
    expect(stranger.seen).toHaveLength(1);
    for (const name of Object.keys(SENT)) expect(stranger.seen[0]!.headers).not.toHaveProperty(name);
  });

  it('is in B3 where that is what came, in one header or in several', async () => {
    const single = { b3: '80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90' };
    await serve(single, { url: `http://${NEXT}/` });
    const multi = {
      'x-b3-traceid': '80f198ee56343ba864fe8b2a57d3eff7',
      'x-b3-parentspanid': '05e3ac9a4f6e3b90',
      'x-b3-spanid': 'e457b5a2e4d86bd1',
      'x-b3-sampled': '1',
    };
    await serve(multi, { url: `http://${NEXT}/` });
    await serve({ ...multi, 'x-b3-spanid': 'nonsense' }, { url: `http://${NEXT}/` });
    const [first, second, third] = next.seen.map(({ headers }) => headers);
    expect(first).toMatchObject(single);
    expect(second).toMatchObject(multi);
    expect(Object.keys(third!).filter((name) => name.includes('b3'))).toEqual([]);
  });

  it('is a header the options name, so that a route deep in a chain chooses by what the first caller said', async () => {
    expect(await serve({ 'end-user': 'jason' }, { url: `http://${REVIEWS}/` })).toBe('v2');
    expect(await serve({ 'end-user': 'anna' }, { url: `http://${REVIEWS}/` })).toBe('v1');
    expect(await serve({ 'end-user': 'jason' }, { url: `http://${REVIEWS}/`, headers: { 'end-user': 'anna' } })).toBe('v1');
    const [v1, v2] = reviews.map(({ seen }) => seen.map(({ headers }) => headers['end-user']));
    expect({ v1, v2 }).toEqual({ v1: ['anna', 'anna'], v2: ['jason'] });
  });

  it('is the same in a mirrored copy', async () => {
    await using mirrored = await meshOf(
      serviceEntry(NEXT, [next.port]) +
        serviceEntry(PARTNER, [partner.port]) +
        virtualService(NEXT, `- route: [{ destination: { host: ${NEXT} } }]\n  mirror: { host: ${PARTNER} }`),
    );
    await using listening = await mirrored.listen((_incoming, response) => {
      void mirrored.fetch(`http://${NEXT}/`).then(() => response.end());
    }, 0);
    await post(listening.port, SENT);
    await vi.waitFor(() => expect(partner.seen).toHaveLength(1));
    for (const { headers } of [...next.seen, ...partner.seen]) expect(headers).toMatchObject(SENT);
  });

  it('is no trace outside a request, but an x-request-id of its own', async () => {
    await (await mesh.fetch(`http://${NEXT}/`)).text();
    await (await mesh.fetch(`http://${NEXT}/`)).text();
    const ids = next.seen.map(({ headers }) => headers['x-request-id']);
    expect(new Set(ids).size).toBe(2);
    for (const { headers } of next.seen) expect(headers).not.toHaveProperty('traceparent');
  });
});

describe('options', () => {
  it.each([
    ['Content-Length', /content-length.*belongs to one request/i],
    ['x request', /no name of a header/],
    ['traceparent', /handed on by itself/],
  ])('refuse to forward %s', async (name, message) => {
    await expect(meshOf(serviceEntry(NEXT, [1]), { tracing: { forward: [name] } })).rejects.toMatchObject({
      code: 'MISUSE',
      message: expect.stringMatching(message) as string,
    });
  });

  it('turn all of it off', async () => {
    await using off = await meshOf(serviceEntry(NEXT, [next.port]), { tracing: false });
    const listening = await off.listen((_incoming, response) => {
      void off.fetch(`http://${NEXT}/`).then(() => response.end());
    }, 0);
    closing.push(() => listening.close());
    await post(listening.port, SENT);
    for (const name of Object.keys(SENT)) expect(next.seen[0]!.headers).not.toHaveProperty(name);
  });
});
