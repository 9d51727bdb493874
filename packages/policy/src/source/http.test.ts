import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { httpSource, type HttpSourceOptions } from './http.ts';
import type { SourceUpdate } from './source.ts';

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** Timers wait here until the test lets the shortest, or those of a length, pass. */
function fakePace(random = 0.5) {
  const timers = new Set<{ ms: number; callback: () => void }>();
  return {
    timers,
    waits: () => [...timers].map(({ ms }) => ms),
    fire: (matches: (ms: number) => boolean = () => true) => {
      const timer = [...timers].find(({ ms }) => matches(ms));
      if (timer === undefined) throw new Error(`no such timer among ${[...timers].map(({ ms }) => ms).join(', ')}`);
      timers.delete(timer);
      timer.callback();
    },
    after: (ms: number, callback: () => void) => {
      const timer = { ms, callback };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    random: () => random,
  };
}

/** Recognizable among the waits between polls. */
const TIMEOUT = 77;

let server: Server;
let url: string;
let requests: IncomingMessage[];
let answer: Answer;
let close: () => void = () => {};

async function listen(port = 0): Promise<void> {
  server = createServer((request, response) => {
    requests.push(request);
    answer(response, request);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mesh`;
}

beforeEach(async () => {
  requests = [];
  await listen();
});
afterEach(async () => {
  close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** Serves a text with its ETag, and 304 to who has it. */
const serving =
  (text: string, etag = `"${text}"`): Answer =>
  (response, request) => {
    if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else response.writeHead(200, { etag, 'content-type': 'application/yaml' }).end(text);
  };

function follow(options: HttpSourceOptions = {}, random = 0.5) {
  const pace = fakePace(random);
  const told: SourceUpdate[] = [];
  const watch = httpSource(url, { pace, timeoutMs: TIMEOUT, ...options }).watch((update) => told.push(update));
  close = () => watch.close();
  /** A poll is over when the next one is planned. */
  const rested = (): Promise<void> =>
    vi.waitFor(() => expect(pace.waits().filter((ms) => ms !== TIMEOUT)).toHaveLength(1), { timeout: 4000, interval: 2 });
  const poll = async (): Promise<void> => {
    pace.fire((ms) => ms !== TIMEOUT);
    await rested();
  };
  return { pace, told, rested, poll, texts: () => told.map((update) => (update.ok ? update.texts[0]!.text : update.reason)) };
}

describe('polling', () => {
  it('asks with the ETag, and a 304 says nothing', async () => {
    answer = serving('one');
    const { rested, poll, told } = follow();
    await rested();
    await poll();
    await poll();
    expect(told).toEqual([{ ok: true, texts: [{ file: url, text: 'one' }], version: 'one' }]);
    expect(requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"one"', '"one"']);
    answer = serving('two');
    await poll();
    expect(told[1]).toMatchObject({ ok: true, version: 'two' });
  });

  it('uses Last-Modified where there is no ETag, and stops at equal content where there is neither', async () => {
    answer = (response) => response.writeHead(200, { 'last-modified': 'Tue, 01 Jul 2025 00:00:00 GMT' }).end('one');
    const { rested, poll, told } = follow();
    await rested();
    answer = (response) => response.writeHead(200).end('one');
    await poll();
    await poll();
    expect(requests.map(({ headers }) => headers['if-modified-since'])).toEqual([undefined, 'Tue, 01 Jul 2025 00:00:00 GMT', undefined]);
    expect(told).toHaveLength(1);
  });

  it.each([
    [0, 4000],
    [0.5, 5000],
    [0.999, 5998],
  ])('waits 5 s ± 20 %%: chance %d gives %d ms', async (random, ms) => {
    answer = serving('one');
    const { rested, pace } = follow({}, random);
    await rested();
    expect(Math.round(pace.waits()[0]!)).toBe(ms);
  });

  it('keeps one connection', async () => {
    answer = serving('one');
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => sockets.add(socket));
    const { rested, poll } = follow();
    await rested();
    for (let round = 0; round < 5; round += 1) await poll();
    expect(sockets.size).toBe(1);
  });

  it('asks again at once if the kept connection was closed as it was used', async () => {
    answer = serving('one');
    const { rested, poll, told } = follow();
    await rested();
    // What a server does whose keep-alive ends at this moment: it drops the connection on the request.
    let dropped = 0;
    answer = (response, request) => {
      if ((dropped += 1) === 1) request.socket.resetAndDestroy();
      else serving('two')(response, request);
    };
    await poll();
    expect(told).toMatchObject([{ version: 'one' }, { version: 'two' }]);
  });

  it('unpacks gzip, and sends its headers, which may change', async () => {
    answer = (response, request) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(`token ${request.headers['authorization']}`));
    let token = 0;
    const { rested, poll, texts } = follow({ headers: () => ({ authorization: `${(token += 1)}` }) });
    await rested();
    await poll();
    expect(texts()).toEqual(['token 1', 'token 2']);
    expect(requests[0]!.headers).toMatchObject({ 'accept-encoding': 'gzip', accept: expect.stringContaining('application/yaml') });
  });

  it('follows a redirect on the same origin, never to another', async () => {
    answer = (response, request) => {
      if (request.url === '/mesh') response.writeHead(302, { location: '/v7' }).end();
      else serving('seven')(response, request);
    };
    const { rested, poll, texts, told } = follow();
    await rested();
    answer = (response) => response.writeHead(302, { location: 'http://evil.example/' }).end();
    await poll();
    expect(texts()).toEqual(['seven', expect.stringContaining('redirect to another origin, http://evil.example')]);
    expect(told[1]).toMatchObject({ transient: false });
  });
});

describe('a failure', () => {
  const good = serving('good');
  it.each<[string, Answer, string, boolean, HttpSourceOptions?]>([
    ['500', (response) => response.writeHead(500).end('database gone\nstack…'), 'answered 500: database gone', true],
    ['404', (response) => response.writeHead(404).end(), 'answered 404, which is not taken for an empty mesh', false],
    ['403', (response) => response.writeHead(403).end(), 'answered 403', false],
    ['204', (response) => response.writeHead(204).end(), 'answered 204', false],
    ['an empty 200', (response) => response.writeHead(200).end(' \n'), 'answered with an empty body', false],
    ['a login page', (response) => response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<html>'), 'answered with text/html', false],
    ['a truncated body', (response) => { response.writeHead(200, { 'content-length': 100 }).write('good: half'); setImmediate(() => response.destroy()); }, 'cut off', true],
    ['a truncated chunked body', (response) => { response.writeHead(200).write('good: half'); setTimeout(() => response.destroy(), 20); }, 'cut off', true],
    ['a connection that ends', (response) => response.socket!.end(), 'cannot be reached: socket hang up', true],
    ['broken gzip', (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('not gzip'), 'cannot be unpacked', true],
    ['an oversize body', (response) => response.writeHead(200).end('x'.repeat(2000)), 'more than the 1000 bytes', false, { maxBytes: 1000 }],
    ['a small body that unpacks to a large one', (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(1e6))), 'more than the 1000 bytes', false, { maxBytes: 1000 }],
  ])('is %s, told once; the last good document is told again when all is well', async (_, bad, reason, transient, options) => {
    answer = good;
    const { rested, poll, told } = follow(options);
    await rested();
    answer = bad;
    await poll();
    await poll();
    expect(told.slice(1)).toEqual([{ ok: false, reason: expect.stringContaining(reason), transient }]);
    answer = good;
    await poll();
    expect(told.slice(2)).toMatchObject([{ ok: true, version: 'good' }]);
  }); // prettier-ignore

  it('ends with the same document told again, also by a server without ETags', async () => {
    const plain: Answer = (response) => response.writeHead(200).end('one');
    answer = plain;
    const { rested, poll, texts } = follow();
    await rested();
    answer = (response) => response.writeHead(500).end();
    await poll();
    answer = plain;
    await poll();
    await poll();
    expect(texts()).toEqual(['one', `${url}: answered 500`, 'one']);
  });

  it('is a server that hangs, after timeoutMs, be it before the headers or in the body', async () => {
    answer = () => {};
    const { pace, rested, told } = follow();
    await vi.waitFor(() => expect(requests).toHaveLength(1));
    pace.fire((ms) => ms === TIMEOUT);
    await rested();
    expect(told).toEqual([{ ok: false, reason: `${url}: no whole answer within ${TIMEOUT} ms`, transient: true }]);
    answer = (response) => response.writeHead(200).write('half');
    pace.fire();
    await vi.waitFor(() => expect(requests).toHaveLength(2));
    pace.fire((ms) => ms === TIMEOUT);
    await rested();
    expect(told).toHaveLength(1);
  });

  it('is a server that is away; it is found again on the same port', async () => {
    answer = good;
    const { rested, poll, texts } = follow();
    await rested();
    const { port } = server.address() as AddressInfo;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await poll();
    expect(texts()[1]).toContain('cannot be reached: connect ECONNREFUSED');
    await listen(port);
    await poll();
    expect(texts()[2]).toBe('good');
  });

  it('backs off with full jitter from 0.5 s to 60 s, and starts over after a success', async () => {
    answer = (response) => response.writeHead(500).end();
    const { rested, poll, pace } = follow({}, 1);
    const waits: number[] = [];
    await rested();
    for (let round = 0; round < 9; round += 1) {
      waits.push(pace.waits()[0]!);
      await poll();
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    answer = good;
    await poll();
    answer = (response) => response.writeHead(500).end();
    await poll();
    expect(pace.waits()).toEqual([500]);
  });

  it('obeys Retry-After in seconds and as a date by the clock of the server', async () => {
    answer = (response) => response.writeHead(503, { 'retry-after': '30' }).end();
    const { rested, poll, pace } = follow({}, 0);
    await rested();
    expect(pace.waits()).toEqual([30_000]);
    answer = (response) =>
      response.writeHead(503, { date: 'Tue, 01 Jul 2025 00:00:00 GMT', 'retry-after': 'Tue, 01 Jul 2025 00:00:45 GMT' }).end();
    await poll();
    expect(pace.waits()).toEqual([45_000]);
  });
});

it('names itself without its secrets', () => {
  expect(httpSource('https://me:secret@policy.internal/mesh?token=abc').name).toBe('https://policy.internal/mesh?token=…');
});

it('refuses other schemes', () => {
  expect(() => httpSource('ftp://policy.internal/mesh')).toThrow('only http and https');
});

it('closed in the middle of an answer says nothing more and leaves no timer', async () => {
  answer = (response) => response.writeHead(200).write('half');
  const { pace, told } = follow();
  await vi.waitFor(() => expect(requests).toHaveLength(1));
  const ended = new Promise((resolve) => requests[0]!.socket.on('close', resolve));
  close();
  await ended;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(told).toEqual([]);
  expect(pace.timers.size).toBe(0);
});
