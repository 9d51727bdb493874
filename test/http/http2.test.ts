import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream, constants } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { meshOf, serviceEntry, virtualService, type TestMesh } from '../support/mesh.ts';

const HOST = 'shop.example.com';
const URL_OF = `http://${HOST}/`;
const ROUTE = `route: [{ destination: { host: ${HOST} } }]`;

const left: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of left.splice(0).reverse()) await end();
});

type Streams = (stream: ServerHttp2Stream, headers: Record<string, unknown>, count: number) => void;

async function http2(
  onStream: Streams,
): Promise<{ port: number; sessions: Set<ServerHttp2Session>; server: Http2Server; opened: () => number }> {
  const server = createServer();
  const sessions = new Set<ServerHttp2Session>();
  let opened = 0;
  let streams = 0;
  server.on('session', (session) => {
    opened += 1;
    sessions.add(session);
    session.on('close', () => sessions.delete(session)).on('error', () => {});
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    onStream(stream, headers, (streams += 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  left.push(async () => {
    for (const session of sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, sessions, server, opened: () => opened };
}

async function mesh(port: number, http = `- retries: { attempts: 0 }\n  ${ROUTE}`): Promise<TestMesh> {
  const made = await meshOf(serviceEntry(HOST, [port], { protocol: 'HTTP2' }) + virtualService(HOST, http));
  left.push(() => made.close({ graceMs: 500 }));
  return made;
}

describe('streams of one connection', () => {
  it('are told the authority that was asked for', async () => {
    const { port } = await http2((stream, headers) => {
      stream.respond({ ':status': 200 });
      stream.end(String(headers[':authority']));
    });
    const shop = await mesh(port);
    expect((await shop.request(URL_OF)).text()).toBe(HOST);
    expect((await shop.request(`http://${HOST}/`, { headers: { host: `${HOST}:80` } })).text()).toBe(`${HOST}:80`);
  });

  it('live on when one of them is aborted', async () => {
    const { port, opened } = await http2((stream) => {
      setTimeout(() => {
        if (stream.destroyed) return;
        stream.respond({ ':status': 200 });
        stream.end('ok');
      }, 60);
    });
    const shop = await mesh(port);
    const control = new AbortController();
    const calls = Array.from({ length: 20 }, (_, index) => shop.request(URL_OF, index === 7 ? { signal: control.signal } : {}));
    setTimeout(() => control.abort(new Error('only this one')), 30);
    const ends = await Promise.allSettled(calls);
    expect(ends.map(({ status }, index) => (status === 'rejected' ? index : -1)).filter((index) => index >= 0)).toEqual([7]);
    expect(ends.every((end) => end.status === 'rejected' || end.value.status === 200)).toBe(true);
    expect(shop.status().callsInFlight).toBe(0);
    expect(opened()).toBeLessThan(20);
  });

  it('that are refused are sent again, that break are not unless the policy says so', async () => {
    const refusing = await http2((stream, _headers, count) => {
      if (count === 1) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });
    const willing = await mesh(refusing.port, `- retries: { attempts: 2, retryOn: refused-stream, backoff: 1ms }\n  ${ROUTE}`);
    expect((await willing.request(URL_OF, { method: 'POST', body: 'once' })).status).toBe(200);
    let count = 0;
    const breaking = await http2((stream) => {
      count += 1;
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
    const strict = await mesh(breaking.port, `- retries: { attempts: 2, retryOn: refused-stream, backoff: 1ms }\n  ${ROUTE}`);
    const answer = await strict.request(URL_OF, { method: 'POST', body: 'once' });
    expect([answer.status, answer.headers['x-inmesh-flags'], count]).toEqual([503, 'UR', 1]);
    expect(strict.status().callsInFlight).toBe(0);
  });

  it('outlive a graceful GOAWAY, and later calls find a new connection', async () => {
    const { port, sessions, opened } = await http2((stream) => {
      setTimeout(() => {
        if (stream.destroyed) return;
        stream.respond({ ':status': 200 });
        stream.end('ok');
      }, 80);
    });
    const shop = await mesh(port);
    const calls = Array.from({ length: 10 }, () => shop.request(URL_OF));
    await sleep(40);
    for (const session of sessions) session.goaway(constants.NGHTTP2_NO_ERROR);
    const answers = await Promise.all(calls);
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    const before = opened();
    expect((await shop.request(URL_OF)).status).toBe(200);
    expect(opened()).toBeGreaterThan(before);
  });

  it('are at most sent once where the connection breaks', async () => {
    let seen = 0;
    const { port, sessions } = await http2(() => {
      seen += 1;
    });
    const shop = await mesh(port);
    const calls = Array.from({ length: 10 }, () => shop.request(URL_OF, { method: 'POST', body: 'once' }));
    await expect.poll(() => seen).toBe(10);
    for (const session of sessions) session.destroy();
    const answers = await Promise.all(calls);
    expect(answers.map(({ status, headers }) => [status, headers['x-inmesh-flags']])).toEqual(Array(10).fill([503, 'UC']));
    await sleep(100);
    expect(seen).toBe(10);
    expect(shop.status().callsInFlight).toBe(0);
  });

  it('that are given up never pass for whole requests', async () => {
    const seen: string[] = [];
    const { port } = await http2((stream) => {
      stream
        .on('data', () => seen.push('part'))
        .on('end', () => seen.push('end'))
        .on('close', () => seen.push('close'));
    });
    const shop = await mesh(port, `- timeout: 300ms\n  retries: { attempts: 0 }\n  ${ROUTE}`);
    const upload = (): AsyncGenerator<Uint8Array> =>
      (async function* () {
        yield Buffer.from('the first of many');
        await new Promise(() => {});
      })();
    const control = new AbortController();
    const aborted = shop.request(URL_OF, { method: 'POST', body: upload(), signal: control.signal });
    await expect.poll(() => seen).toEqual(['part']);
    control.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    await expect.poll(() => seen).toEqual(['part', 'close']);
    expect((await shop.request(URL_OF, { method: 'POST', body: upload() })).status).toBe(504);
    await expect.poll(() => seen).toEqual(['part', 'close', 'part', 'close']);
    expect(shop.status().callsInFlight).toBe(0);
  });

  it('do not stay open where the answer comes before the request has said everything', async () => {
    const open = new Set<ServerHttp2Stream>();
    const { port } = await http2((stream, _headers, count) => {
      open.add(stream);
      stream.on('close', () => open.delete(stream));
      stream.once('data', () => stream.respond({ ':status': count === 1 ? 503 : 200 }, { endStream: true }));
    });
    const shop = await mesh(port, `- retries: { attempts: 1, retryOn: 5xx, backoff: 1ms }\n  ${ROUTE}`);
    const { promise: never } = Promise.withResolvers<void>();
    const body = (async function* () {
      yield Buffer.from('the first of many');
      await never;
    })();
    // The first try is repeated, the second answers: neither has read the whole body.
    expect((await shop.request(URL_OF, { method: 'POST', body })).status).toBe(200);
    await expect.poll(() => open.size).toBe(0);
    expect(shop.status().callsInFlight).toBe(0);
  });

  it('cut in the middle of an answer error its body', async () => {
    const { port } = await http2((stream) => {
      stream.respond({ ':status': 200 });
      stream.write('half');
      setTimeout(() => stream.destroy(new Error('broken')), 30);
    });
    const shop = await mesh(port);
    const answer = await shop.request(URL_OF, { stream: true });
    await expect(answer.stream!.toArray()).rejects.toMatchObject({ code: 'STREAM_RESET' });
    expect(shop.status().callsInFlight).toBe(0);
  });
});
