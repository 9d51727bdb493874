import { createServer, type Socket } from 'node:net';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { request } from 'undici';
import { Notes, type Reactions } from '../support/handler.ts';
import { destinationRule, meshOf, serviceEntry, virtualService, type TestMesh } from '../support/mesh.ts';
import { rawUpstream, say, upstream } from '../support/upstream.ts';

const HOST = 'shop.example.com';
const URL_OF = `http://${HOST}/`;
const ROUTE = `route: [{ destination: { host: ${HOST} } }]`;

const left: AsyncDisposable[] = [];
function later<T extends AsyncDisposable>(one: T): T {
  left.push(one);
  return one;
}
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** A server of bytes: `talk` is called with each connection's data. */
async function wire(talk: (socket: Socket, text: string) => void) {
  const open = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    open.add(socket);
    socket.on('close', () => open.delete(socket)).on('error', () => {});
    socket.on('data', (data) => talk(socket, data.toString('latin1')));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return later({
    port,
    open,
    get connections() {
      return connections;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

const counted = (mesh: TestMesh): number =>
  [...mesh.metrics().matchAll(/^istio_requests_total\{[^}]*\} (\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0);

/** One call with a handler of ours; checks what must hold of every ending. */
async function call(
  mesh: TestMesh,
  reactions: Reactions = {},
  options: { method?: string; body?: unknown; path?: string } = {},
): Promise<Notes> {
  const before = counted(mesh);
  const notes = new Notes(reactions);
  mesh.dispatcher.dispatch({ origin: `http://${HOST}`, path: '/', method: 'GET', ...options } as never, notes);
  await Promise.race([notes.over, sleep(5000).then(() => Promise.reject(new Error(`not settled: ${notes.heard.join(' ')}`)))]);
  await sleep(30);
  expect(notes.heard.filter((event) => event === 'end' || event === 'error')).toHaveLength(1);
  expect(['end', 'error']).toContain(notes.heard.at(-1));
  expect(mesh.status().callsInFlight).toBe(0);
  expect(counted(mesh) - before).toBe(1);
  return notes;
}

const plain = async (talk: (socket: Socket, text: string) => void, http = `- ${ROUTE}`): Promise<TestMesh> => {
  const server = await wire(talk);
  return later(await meshOf(serviceEntry(HOST, [server.port]) + virtualService(HOST, http)));
};
const NO_RETRY = `- retries: { attempts: 0 }\n  ${ROUTE}`;

describe('every ending is one ending', () => {
  it.each<[string, string, string, string[]]>([
    ['an empty body', 'GET', 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', ['start', 'headers', 'end']],
    ['HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n', ['start', 'headers', 'end']],
    ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', ['start', 'headers', 'end']],
    ['304', 'GET', 'HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n', ['start', 'headers', 'end']],
    [
      'early hints',
      'GET',
      'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
      ['start', '103', 'headers', 'data', 'end'],
    ],
    [
      'trailers',
      'GET',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n',
      ['start', 'headers', 'data', 'end'],
    ],
  ])('%s', async (_, method, answer, heard) => {
    const mesh = await plain((socket) => void socket.write(answer));
    expect((await call(mesh, {}, { method })).heard).toEqual(heard);
  });

  it.each<[string, string, string | null]>([
    ['no HTTP at all', 'nonsense\r\n\r\n', 'UPE'],
    ['headers beyond all bounds', `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(200_000)}\r\n\r\n`, 'UPE'],
    ['a connection that closes', '', 'UC'],
  ])('%s becomes a local answer', async (_, answer, flag) => {
    const mesh = await plain((socket) => void socket.end(answer), NO_RETRY);
    const notes = await call(mesh);
    expect(notes.heard.at(-1)).toBe('end');
    expect(mesh.metrics()).toContain(`response_flags="${flag}"`);
  });

  it('a body cut short, and one longer than it said', async () => {
    const cut = await plain((socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'), NO_RETRY);
    expect((await call(cut)).heard.slice(-2)).toEqual(['data', 'error']);
    // Its status had gone to the caller; the flag says how it ended.
    expect(cut.metrics()).toMatch(/response_code="200"[^}]*response_flags="UC"/);
  });

  it.each(['start', 'headers', 'data'] as const)('abort inside on %s', async (moment) => {
    const mesh = await plain((socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'));
    const notes = await call(mesh, { [moment]: (controller: { abort(error: Error): void }) => controller.abort(new Error('enough')) });
    expect(notes.error?.message).toBe('enough');
  });

  it.each(['start', 'headers', 'data'] as const)('abort inside on %s of a local answer', async (moment) => {
    const mesh = later(
      await meshOf(serviceEntry(HOST, [1]) + virtualService(HOST, '- directResponse: { status: 200, body: { string: fixed } }')),
    );
    const notes = await call(mesh, { [moment]: (controller: { abort(error: Error): void }) => controller.abort(new Error('enough')) });
    expect(notes.error?.message).toBe('enough');
  });

  it.each(['start', 'headers', 'data'] as const)('a handler that throws on %s', async (moment) => {
    const mesh = await plain((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok');
      setTimeout(() => socket.write('ok'), 20);
    });
    const notes = await call(mesh, {
      [moment]: () => {
        throw new Error('a bug of the application');
      },
    });
    expect(notes.error?.message).toBe('a bug of the application');
  });

  it.each(['start', 'headers', 'data'] as const)('a handler that throws on %s of a local answer', async (moment) => {
    const mesh = later(
      await meshOf(serviceEntry(HOST, [1]) + virtualService(HOST, '- directResponse: { status: 200, body: { string: fixed } }')),
    );
    const notes = await call(mesh, {
      [moment]: () => {
        throw new Error('a bug of the application');
      },
    });
    expect(notes.error?.message).toBe('a bug of the application');
  });

  it('abort during an injected delay, during backoff, and in the queue of a pool', async () => {
    const delayed = later(
      await meshOf(
        serviceEntry(HOST, [1]) + virtualService(HOST, `- fault: { delay: { fixedDelay: 60s, percentage: { value: 100 } } }\n  ${ROUTE}`),
      ),
    );
    const soon: Reactions = { start: (controller) => void setTimeout(() => controller.abort(new Error('enough')), 20) };
    expect((await call(delayed, soon)).error?.message).toBe('enough');
    const refused = later(
      await meshOf(
        serviceEntry(HOST, [1]) + virtualService(HOST, `- retries: { attempts: 3, retryOn: connect-failure, backoff: 60s }\n  ${ROUTE}`),
      ),
    );
    expect((await call(refused, soon)).error?.message).toBe('enough');
  });
});

describe('a handler that pauses', () => {
  const headThenBody = (socket: Socket): void => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok');
    setTimeout(() => socket.write('ok'), 20);
  };

  it('at the headers is told nothing until it resumes, and then everything', async () => {
    const mesh = await plain(headThenBody);
    const notes = await call(mesh, {
      headers: (controller) => {
        controller.pause();
        setTimeout(() => controller.resume(), 60);
      },
    });
    expect(notes.body).toBe('okok');
  });

  it('before the headers is told no data until it resumes', async () => {
    const mesh = await plain((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n');
      setTimeout(() => socket.write('okok'), 20);
    });
    let paused = true;
    let early = 0;
    const notes = await call(mesh, {
      start: (controller) => {
        controller.pause();
        setTimeout(() => {
          paused = false;
          controller.resume();
        }, 100);
      },
      data: () => {
        if (paused) early += 1;
      },
    });
    expect([notes.body, early]).toEqual(['okok', 0]);
  });

  it('at every chunk gets all of a large body in order', async () => {
    const big = Buffer.alloc(1_000_000, 'abcdefghij');
    const server = later(await upstream((_, response) => response.end(big)));
    const mesh = later(await meshOf(serviceEntry(HOST, [server.port])));
    const notes = await call(mesh, {
      data: (controller) => {
        controller.pause();
        setImmediate(() => controller.resume());
      },
    });
    expect(notes.body === big.toString()).toBe(true);
  });

  it('and throws when it is told the rest hears its own error', async () => {
    const mesh = await plain((socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'));
    const notes = await call(mesh, {
      headers: (controller) => {
        controller.pause();
        setTimeout(() => controller.resume(), 20);
      },
      data: () => {
        throw new Error('a bug of the application');
      },
    });
    expect(notes.error?.message).toBe('a bug of the application');
  });

  it('for ever still ends at the deadline when the whole answer has come', async () => {
    const mesh = await plain(
      (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
      `- timeout: 150ms\n  ${ROUTE}`,
    );
    const notes = await call(mesh, { headers: (controller) => controller.pause() });
    expect(notes.error).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(mesh.metrics()).toMatch(/response_code="200"[^}]*response_flags="UT"/);
  });

  it('for ever still ends at the deadline', async () => {
    const mesh = await plain(headThenBody, `- timeout: 150ms\n  ${ROUTE}`);
    const notes = await call(mesh, { headers: (controller) => controller.pause() });
    expect(notes.error).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });
});

describe('unwanted answers', () => {
  it('that never end free their connection soon', async () => {
    let asked = 0;
    const server = await wire((socket) => {
      asked += 1;
      socket.write(asked === 1 ? 'HTTP/1.1 503 No\r\ncontent-length: 100\r\n\r\nhalf' : 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
    const mesh = later(
      await meshOf(
        serviceEntry(HOST, [server.port]) + virtualService(HOST, `- retries: { attempts: 1, retryOn: 5xx, backoff: 1ms }\n  ${ROUTE}`),
      ),
    );
    expect((await mesh.request(URL_OF)).status).toBe(200);
    await expect.poll(() => server.open.size, { timeout: 3000 }).toBe(1);
    const [cluster] = mesh.status().snapshot.clusters;
    expect(cluster!.active).toBe(0);
  });
});

describe('request bodies', () => {
  it('that cannot be opened reject, and break nothing', async () => {
    const server = later(await upstream(say('ok')));
    const mesh = later(await meshOf(serviceEntry(HOST, [server.port])));
    await expect(mesh.request(URL_OF, { method: 'POST', body: createReadStream('/does/not/exist') })).rejects.toMatchObject({
      code: 'ENOENT',
    });
    const delayed = later(
      await meshOf(
        serviceEntry(HOST, [server.port]) +
          virtualService(HOST, `- fault: { delay: { fixedDelay: 50ms, percentage: { value: 100 } } }\n  ${ROUTE}`),
      ),
    );
    await expect(delayed.request(URL_OF, { method: 'POST', body: createReadStream('/does/not/exist') })).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });

  it('of a refused call are closed', async () => {
    const mesh = later(await meshOf(serviceEntry(HOST, [1]) + virtualService(HOST, '- directResponse: { status: 403 }')));
    const body = Readable.from(['never', 'read']);
    const answer = await mesh.request(URL_OF, { method: 'POST', body });
    expect(answer.status).toBe(403);
    await expect.poll(() => body.destroyed).toBe(true);
  });

  it('of every kind reach a host outside the mesh untouched', async () => {
    const outside = later(await upstream(say('ok')));
    const mesh = later(await meshOf(serviceEntry(HOST, [1])));
    for (const body of [new Blob(['text']).stream(), Readable.from(['te', 'xt']), 'text', Buffer.from('text')]) {
      const answer = await request(`http://127.0.0.1:${outside.port}/`, {
        dispatcher: mesh.dispatcher,
        method: 'POST',
        body: body as never,
      });
      expect([answer.statusCode, await answer.body.text()]).toEqual([200, 'ok']);
    }
    expect(outside.seen.map(({ body }) => body)).toEqual(['text', 'text', 'text', 'text']);
  });

  it('of a bad call fail as with bare undici', async () => {
    const mesh = await plain((socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'));
    const { dispatcher } = mesh;
    for (const [options, code] of [
      [{ headers: { 'x-bad': 'a\r\nb: c' } }, 'UND_ERR_INVALID_ARG'],
      [{ headers: { 'x bad': 'a' } }, 'UND_ERR_INVALID_ARG'],
      [{ method: 'GE T' }, 'UND_ERR_INVALID_ARG'],
      [{ method: 'POST', body: 'abc', headers: { 'content-length': '5' } }, 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH'],
      [{ method: 'POST', body: 5 }, 'UND_ERR_INVALID_ARG'],
      [{ headers: { 'transfer-encoding': 'chunked' } }, 'UND_ERR_INVALID_ARG'],
      [{ headers: { expect: '100-continue' } }, 'UND_ERR_NOT_SUPPORTED'],
    ] as const) {
      const ours = await request(URL_OF, { dispatcher, ...(options as object) }).then(
        () => 'fine',
        (error: { code?: string }) => error.code,
      );
      expect([options, ours]).toEqual([options, code]);
    }
    expect(mesh.status().callsInFlight).toBe(0);
    for (const bad of [
      { origin: `http://${HOST}`, method: 'GET' },
      { origin: `http://${HOST}`, path: 'no slash', method: 'GET' },
      { origin: undefined, path: '/', method: 'GET' },
      { origin: 'nonsense', path: '/', method: 'GET' },
    ]) {
      const notes = new Notes();
      dispatcher.dispatch(bad as never, notes);
      await notes.over;
      expect(notes.error).toMatchObject({ code: 'UND_ERR_INVALID_ARG' });
    }
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('go to mirrors without harm to the call they were made of', async () => {
    const real = later(await upstream(say('real')));
    for (const mirrorTalks of [
      (socket: Socket) => void socket.end('HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'),
      undefined,
    ]) {
      const dark = mirrorTalks === undefined ? { port: 1 } : await wire(mirrorTalks);
      const mesh = later(
        await meshOf(
          serviceEntry(HOST, [real.port]) +
            serviceEntry('dark.example.com', [dark.port]) +
            virtualService(HOST, `- ${ROUTE}\n  mirrors: [{ destination: { host: dark.example.com } }]`),
        ),
      );
      const body = (async function* () {
        for (let i = 0; i < 6; i += 1) {
          await sleep(20);
          yield Buffer.alloc(40_000, String(i));
        }
      })();
      const answer = await mesh.request(URL_OF, { method: 'POST', body });
      expect(answer.status).toBe(200);
      expect(real.seen.at(-1)!.body.length).toBe(240_000);
    }
  });

  it('larger than is kept reach the upstream whole, however fast a mirror reads', async () => {
    const real = later(
      await rawUpstream((incoming, response) => {
        let size = 0;
        incoming.pause();
        setTimeout(() => incoming.resume(), 300);
        incoming.on('data', (chunk: Buffer) => (size += chunk.length));
        incoming.on('end', () => response.end(String(size)));
      }),
    );
    const dark = later(await upstream(say('dark')));
    const mesh = later(
      await meshOf(
        serviceEntry(HOST, [real.port]) +
          serviceEntry('dark.example.com', [dark.port]) +
          virtualService(HOST, `- ${ROUTE}\n  mirrors: [{ destination: { host: dark.example.com } }]`),
      ),
    );
    const body = Readable.from(
      (function* () {
        for (let i = 0; i < 400; i += 1) yield Buffer.alloc(64 * 1024);
      })(),
    );
    const answer = await mesh.request(URL_OF, { method: 'POST', body });
    expect(answer.text()).toBe(String(400 * 64 * 1024));
    await sleep(50);
    // A copy is whole or no copy.
    expect(dark.seen.every((seen) => seen.body.length === 400 * 64 * 1024)).toBe(true);
  });

  it('that end after the answer are never sent to a mirror as if they were whole', async () => {
    const quick = await wire((socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'));
    const dark = later(await upstream(say('dark')));
    const mesh = later(
      await meshOf(
        serviceEntry(HOST, [quick.port]) +
          serviceEntry('dark.example.com', [dark.port]) +
          virtualService(HOST, `- ${ROUTE}\n  mirrors: [{ destination: { host: dark.example.com } }]`),
      ),
    );
    const body = (async function* () {
      yield Buffer.from('first');
      await sleep(100);
      yield Buffer.from('second');
    })();
    expect((await mesh.request(URL_OF, { method: 'POST', body })).status).toBe(200);
    await sleep(200);
    expect(dark.seen.filter((seen) => seen.body !== 'firstsecond')).toEqual([]);
  });
});

describe('mirrors', () => {
  it('whose answers never end are left at the deadline, and no copy is counted as a call', async () => {
    const real = later(await upstream(say('real')));
    const dark = await wire((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
      const drip = setInterval(() => socket.write('2\r\nhi\r\n'), 10);
      socket.on('close', () => clearInterval(drip));
    });
    const mesh = later(
      await meshOf(
        serviceEntry(HOST, [real.port]) +
          serviceEntry('dark.example.com', [dark.port]) +
          virtualService(HOST, `- timeout: 200ms\n  ${ROUTE}\n  mirrors: [{ destination: { host: dark.example.com } }]`),
      ),
    );
    for (let i = 0; i < 3; i += 1) expect((await mesh.request(URL_OF)).text()).toBe('real');
    await expect.poll(() => dark.connections).toBe(3);
    expect(counted(mesh)).toBe(3);
    await expect.poll(() => dark.open.size, { timeout: 2000 }).toBe(0);
    expect(mesh.status().snapshot.clusters.map(({ active }) => active)).toEqual([0, 0]);
  });
});

describe('pools', () => {
  it('keep calls that wait in them through a change of settings and an endpoint that leaves', async () => {
    const slow = later(await upstream((_request, response) => void setTimeout(() => response.end('ok'), 30)));
    const other = later(await upstream(say('ok')));
    const limited = (ms: number) =>
      destinationRule(
        HOST,
        `trafficPolicy: { connectionPool: { tcp: { connectTimeout: ${ms}ms }, http: { maxRequestsPerConnection: 3 } } }`,
      );
    const mesh = later(await meshOf(serviceEntry(HOST, [slow.port]) + limited(1000) + virtualService(HOST, NO_RETRY)));
    const calls = Array.from({ length: 300 }, () => mesh.request(URL_OF));
    await sleep(20);
    mesh.set(serviceEntry(HOST, [slow.port]) + limited(2000) + virtualService(HOST, NO_RETRY));
    await sleep(20);
    mesh.set(serviceEntry(HOST, [other.port]) + limited(2000) + virtualService(HOST, NO_RETRY));
    expect((await Promise.all(calls)).filter(({ status }) => status !== 200)).toEqual([]);
    expect(slow.seen.length + other.seen.length).toBe(300);
    await expect.poll(() => slow.open.size).toBe(0);
  });
});
