import { afterEach, describe, expect, it } from 'vitest';
import { request, fetch as undiciFetch, FormData } from 'undici';
import { Readable } from 'node:stream';
import { destinationRule, meshOf, serviceEntry, virtualService, type TestMesh } from '../support/mesh.ts';
import { rawUpstream, say, upstream, type Upstream, type Answer } from '../support/upstream.ts';

const left: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function server(answer: Answer): Promise<Upstream> {
  const made = await upstream(answer);
  left.push(made);
  return made;
}

async function mesh(yaml: string, options?: Parameters<typeof meshOf>[1]): Promise<TestMesh> {
  const made = await meshOf(yaml, options);
  left.push(made);
  return made;
}

const HOST = 'shop.example.com';
const URL_OF = (path = '/') => `http://${HOST}${path}`;

describe('a call through mesh.dispatcher', () => {
  it('reaches the service by its name, with its Host header, path, query and body', async () => {
    const shop = await server(say('hello'));
    const { dispatcher } = await mesh(serviceEntry(HOST, [shop.port]));
    const response = await request(URL_OF('/cart?x=1&y=%20'), {
      dispatcher,
      method: 'POST',
      body: 'two apples',
      headers: { 'X-Mixed': 'Case' },
    });
    expect(response.statusCode).toBe(200);
    expect(await response.body.text()).toBe('hello');
    expect(shop.seen).toHaveLength(1);
    expect(shop.seen[0]).toMatchObject({ method: 'POST', url: '/cart?x=1&y=%20', body: 'two apples' });
    expect(shop.seen[0]!.headers).toMatchObject({ host: HOST, 'x-mixed': 'Case' });
  });

  it('spreads calls over the endpoints', async () => {
    const servers = await Promise.all([server(say('a')), server(say('b')), server(say('c'))]);
    const { request: light } = await mesh(
      serviceEntry(
        HOST,
        servers.map(({ port }) => port),
      ),
    );
    for (let i = 0; i < 60; i += 1) await light(URL_OF());
    for (const { seen } of servers) expect(seen.length).toBeGreaterThan(5);
  });

  it('splits by weight and follows a new weight at once', async () => {
    const [v1, v2] = [await server(say('v1')), await server(say('v2'))];
    const policy = (first: number) =>
      serviceEntry(HOST, [
        { port: v1.port, labels: { version: 'v1' } },
        { port: v2.port, labels: { version: 'v2' } },
      ]) +
      destinationRule(HOST, 'subsets:\n- { name: v1, labels: { version: v1 } }\n- { name: v2, labels: { version: v2 } }') +
      virtualService(
        HOST,
        `- route:\n  - { destination: { host: ${HOST}, subset: v1 }, weight: ${first} }\n  - { destination: { host: ${HOST}, subset: v2 }, weight: ${100 - first} }`,
      );
    const shop = await mesh(policy(90));
    const count = async () => {
      let first = 0;
      for (let i = 0; i < 300; i += 1) if ((await shop.request(URL_OF())).text() === 'v1') first += 1;
      return first / 300;
    };
    expect(await count()).toBeGreaterThan(0.82);
    shop.set(policy(0));
    await expect.poll(async () => (await shop.request(URL_OF())).text()).toBe('v2');
    expect(await count()).toBe(0);
  });

  it('rewrites path, authority and headers on the way, and headers on the way back', async () => {
    const shop = await server(say('ok', 200, { 'x-internal': 'secret', 'x-kept': 'yes' }));
    const { dispatcher } = await mesh(
      serviceEntry(HOST, [shop.port]) +
        virtualService(
          HOST,
          `- match: [{ uri: { prefix: /old/ } }]
             rewrite: { uri: /new/, authority: inner.example.com }
             headers:
               request: { set: { x-tier: gold }, add: { x-seen: mesh }, remove: [x-drop] }
               response: { remove: [x-internal], set: { x-by: inmesh } }
             route: [{ destination: { host: ${HOST} } }]`,
        ),
    );
    const response = await request(URL_OF('/old/thing?q=1'), { dispatcher, headers: { 'x-drop': '1', 'x-seen': 'client' } });
    expect(response.headers).toMatchObject({ 'x-by': 'inmesh', 'x-kept': 'yes' });
    expect(response.headers).not.toHaveProperty('x-internal');
    await response.body.dump();
    const [seen] = shop.seen;
    expect(seen).toMatchObject({ url: '/new/thing?q=1' });
    expect(seen!.headers).toMatchObject({ host: 'inner.example.com', 'x-tier': 'gold', 'x-seen': 'client, mesh' });
    expect(seen!.headers).not.toHaveProperty('x-drop');
  });

  it('answers redirects, fixed answers and faults itself', async () => {
    const { dispatcher } = await mesh(
      serviceEntry(HOST, [1]) +
        virtualService(
          HOST,
          `- match: [{ uri: { exact: /moved } }]
             redirect: { uri: /here, redirectCode: 308 }
           - match: [{ uri: { exact: /teapot } }]
             directResponse: { status: 418, body: { string: short and stout } }
           - fault: { abort: { httpStatus: 555, percentage: { value: 100 } } }
             route: [{ destination: { host: ${HOST} } }]`,
        ),
    );
    const moved = await request(URL_OF('/moved?a=b'), { dispatcher });
    expect([moved.statusCode, moved.headers['location']]).toEqual([308, `http://${HOST}/here?a=b`]);
    await moved.body.dump();
    const teapot = await request(URL_OF('/teapot'), { dispatcher });
    expect([teapot.statusCode, await teapot.body.text()]).toEqual([418, 'short and stout']);
    const fault = await request(URL_OF('/'), { dispatcher });
    expect([fault.statusCode, await fault.body.text()]).toEqual([555, 'fault filter abort']);
  });

  it('turns refusals into ordinary answers with their flag', async () => {
    const { dispatcher } = await mesh(
      serviceEntry(HOST, [1]) +
        virtualService(
          HOST,
          `- match: [{ uri: { exact: /missing } }]
             route: [{ destination: { host: ${HOST}, subset: nobody } }]
           - match: [{ uri: { exact: /dead } }]
             route: [{ destination: { host: ${HOST} } }]
             retries: { attempts: 0 }`,
        ),
    );
    const outcome = async (path: string) => {
      const { statusCode, headers, body } = await request(URL_OF(path), { dispatcher });
      return [statusCode, headers['x-inmesh-flags'], (await body.text()).length > 0];
    };
    expect(await outcome('/missing')).toEqual([503, 'NC', true]);
    expect(await outcome('/dead')).toEqual([503, 'UF', true]);
    expect(await outcome('/elsewhere')).toEqual([404, 'NR', true]);
  });

  it('throws them instead where createMesh was told to', async () => {
    const { dispatcher, request: light } = await mesh(
      serviceEntry(HOST, [1]) + virtualService(HOST, `- match: [{ uri: { exact: /only } }]\n  route: [{ destination: { host: ${HOST} } }]`),
      { localReplies: 'throw' },
    );
    await expect(request(URL_OF('/'), { dispatcher })).rejects.toMatchObject({ name: 'MeshError', code: 'NO_ROUTE', status: 404 });
    await expect(light(URL_OF('/'))).rejects.toMatchObject({ code: 'NO_ROUTE' });
  });
});

describe('retries on the wire', () => {
  const policy = (ports: number[], retries: string) =>
    serviceEntry(HOST, ports) + virtualService(HOST, `- retries: ${retries}\n  route: [{ destination: { host: ${HOST} } }]`);

  it('repeat a 503 on another endpoint and hand over the good answer only', async () => {
    const bad = await server(say('no', 503));
    const good = await server(say('yes'));
    const { request: light } = await mesh(policy([bad.port, good.port], '{ attempts: 2, retryOn: "5xx" }'));
    for (let i = 0; i < 20; i += 1) expect((await light(URL_OF())).text()).toBe('yes');
    expect(bad.seen.length).toBeGreaterThan(0);
    expect(good.seen).toHaveLength(20);
  });

  it('hand over the last bad answer whole, flagged, when they are used up', async () => {
    const bad = await server(say('x'.repeat(200_000), 503));
    const shop = await mesh(policy([bad.port], '{ attempts: 2, retryOn: "5xx", backoff: 1ms }'));
    const response = await shop.request(URL_OF());
    expect([response.status, response.body.length, bad.seen.length]).toEqual([503, 200_000, 3]);
    expect(shop.metrics()).toMatch(/istio_requests_total\{[^}]*response_code="503"[^}]*response_flags="URX"[^}]*\} 1/);
  });

  it('send a string, a buffer, a FormData and a short stream again, each whole', async () => {
    let failures = 0;
    const flaky = await server((_request, response) => {
      failures += 1;
      response.statusCode = failures % 2 === 1 ? 503 : 200;
      response.end('done');
    });
    const { dispatcher } = await mesh(policy([flaky.port], '{ attempts: 1, retryOn: "5xx", backoff: 1ms }'));
    const form = new FormData();
    form.append('fruit', 'pear');
    const bodies = [() => 'apples', () => Buffer.from('apples'), () => Readable.from(['app', 'les'])];
    for (const body of bodies) {
      const response = await request(URL_OF(), { dispatcher, method: 'PUT', body: body() });
      expect([response.statusCode, await response.body.text()]).toEqual([200, 'done']);
    }
    const response = await request(URL_OF(), { dispatcher, method: 'POST', body: form });
    expect(response.statusCode).toBe(200);
    await response.body.dump();
    expect(flaky.seen.map(({ body }) => (body.includes('pear') ? 'form' : body))).toEqual([
      'apples',
      'apples',
      'apples',
      'apples',
      'apples',
      'apples',
      'form',
      'form',
    ]);
  });

  it('do not repeat a body over the cap: the first answer is the answer', async () => {
    const flaky = await server(say('busy', 503));
    const { dispatcher } = await mesh(policy([flaky.port], '{ attempts: 3, retryOn: "5xx", backoff: 1ms }'));
    const big = Readable.from(
      (function* () {
        for (let i = 0; i < 20; i += 1) yield Buffer.alloc(10_000, i);
      })(),
    );
    const response = await request(URL_OF(), { dispatcher, method: 'PUT', body: big });
    expect([response.statusCode, await response.body.text()]).toEqual([503, 'busy']);
    expect(flaky.seen.map(({ body }) => body.length)).toEqual([200_000]);
  });

  it('end a try at its own timeout and take another endpoint', async () => {
    const slow = await rawUpstream(() => {});
    left.push(slow);
    const quick = await server(say('quick'));
    const { request: light } = await mesh(policy([slow.port, quick.port], '{ attempts: 1, perTryTimeout: 60ms, retryOn: "reset" }'));
    const started = performance.now();
    for (let i = 0; i < 8; i += 1) expect((await light(URL_OF())).text()).toBe('quick');
    expect(performance.now() - started).toBeLessThan(3000);
  });
});

describe('time and the caller', () => {
  it('answers 504 UT when the whole call takes longer than its timeout', async () => {
    const slow = await rawUpstream(() => {});
    left.push(slow);
    const { dispatcher } = await mesh(
      serviceEntry(HOST, [slow.port]) + virtualService(HOST, `- timeout: 80ms\n  route: [{ destination: { host: ${HOST} } }]`),
    );
    const started = performance.now();
    const response = await request(URL_OF(), { dispatcher });
    expect([response.statusCode, response.headers['x-inmesh-flags']]).toEqual([504, 'UT']);
    await response.body.dump();
    expect(performance.now() - started).toBeGreaterThan(60);
    await expect.poll(() => slow.open.size).toBe(0);
  });

  it('errors the body if the timeout strikes in the middle of it', async () => {
    const dripping = await rawUpstream((_request, response) => {
      response.writeHead(200);
      response.write('some');
    });
    left.push(dripping);
    const { dispatcher } = await mesh(
      serviceEntry(HOST, [dripping.port]) + virtualService(HOST, `- timeout: 100ms\n  route: [{ destination: { host: ${HOST} } }]`),
    );
    const response = await request(URL_OF(), { dispatcher });
    expect(response.statusCode).toBe(200);
    await expect(response.body.text()).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  it("lets the caller's abort through, frees the connection, and counts it", async () => {
    const slow = await rawUpstream(() => {});
    left.push(slow);
    const shop = await mesh(serviceEntry(HOST, [slow.port]));
    const control = new AbortController();
    const call = request(URL_OF(), { dispatcher: shop.dispatcher, signal: control.signal });
    await expect.poll(() => slow.open.size).toBe(1);
    control.abort(new Error('changed my mind'));
    await expect(call).rejects.toThrow('changed my mind');
    await expect.poll(() => slow.open.size).toBe(0);
    expect(shop.status().callsInFlight).toBe(0);
    expect(shop.metrics()).toMatch(/response_code="0"[^}]*response_flags="DC"/);
  });

  it('leaves at once when aborted while waiting for a connection', async () => {
    const slow = await rawUpstream(() => {});
    left.push(slow);
    const shop = await mesh(
      serviceEntry(HOST, [slow.port]) + destinationRule(HOST, 'trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } }'),
    );
    const first = new AbortController();
    const held = shop.request(URL_OF(), { signal: first.signal });
    await expect.poll(() => slow.open.size).toBe(1);
    const second = new AbortController();
    const waiting = shop.request(URL_OF(), { signal: second.signal });
    const began = performance.now();
    second.abort(new Error('too long'));
    await expect(waiting).rejects.toThrow('too long');
    expect(performance.now() - began).toBeLessThan(50);
    first.abort(new Error('enough'));
    await expect(held).rejects.toThrow('enough');
    expect(shop.status().callsInFlight).toBe(0);
  });
});

describe('bodies stream', () => {
  it('down: a slow reader slows the server', async () => {
    let sent = 0;
    const source = await rawUpstream((_request, response) => {
      const push = () => {
        while (sent < 64 * 1024 * 1024) {
          sent += 64 * 1024;
          if (!response.write(Buffer.alloc(64 * 1024))) return void response.once('drain', push);
        }
        response.end();
      };
      push();
    });
    left.push(source);
    const { dispatcher } = await mesh(serviceEntry(HOST, [source.port]));
    const response = await request(URL_OF(), { dispatcher });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(sent).toBeLessThan(16 * 1024 * 1024);
    let got = 0;
    for await (const chunk of response.body) got += (chunk as Buffer).length;
    expect(got).toBe(64 * 1024 * 1024);
  });

  it('up: a slow server slows the source', async () => {
    const { promise: go, resolve: release } = Promise.withResolvers<void>();
    let received = 0;
    const sink = await rawUpstream((incoming, response) => {
      incoming.pause();
      void go.then(() => {
        incoming.on('data', (chunk: Buffer) => (received += chunk.length));
        incoming.on('end', () => response.end('thanks'));
        incoming.resume();
      });
    });
    left.push(sink);
    let produced = 0;
    const source = (function* () {
      for (let i = 0; i < 1000; i += 1) {
        produced += 64 * 1024;
        yield Buffer.alloc(64 * 1024);
      }
    })();
    const { dispatcher } = await mesh(serviceEntry(HOST, [sink.port]));
    const call = request(URL_OF(), { dispatcher, method: 'PUT', body: Readable.from(source) });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(produced).toBeLessThan(16 * 1024 * 1024);
    release();
    expect(await (await call).body.text()).toBe('thanks');
    expect(received).toBe(64_000 * 1024);
  });

  it('and an answer may begin before the request has ended', async () => {
    const echo = await rawUpstream((incoming, response) => {
      response.writeHead(200);
      incoming.pipe(response);
    });
    left.push(echo);
    const { dispatcher } = await mesh(serviceEntry(HOST, [echo.port]));
    const { promise: more, resolve: release } = Promise.withResolvers<void>();
    const body = Readable.from(
      (async function* () {
        yield Buffer.from('first ');
        await more;
        yield Buffer.from('second');
      })(),
    );
    const response = await request(URL_OF(), { dispatcher, method: 'POST', body });
    const iterator = response.body[Symbol.asyncIterator]();
    expect(String((await iterator.next()).value)).toBe('first ');
    release();
    expect(String((await iterator.next()).value)).toBe('second');
  });
});

describe('hosts outside the mesh', () => {
  it('are passed through untouched under ALLOW_ANY, and counted', async () => {
    const outside = await server(say('outside'));
    const shop = await mesh(serviceEntry(HOST, [1]));
    const response = await request(`http://127.0.0.1:${outside.port}/x`, { dispatcher: shop.dispatcher, headers: { 'X-Cased': 'kept' } });
    expect(await response.body.text()).toBe('outside');
    expect(outside.seen[0]!.rawHeaders).toContain('X-Cased');
    expect(shop.metrics()).toMatch(/destination_service_name="PassthroughCluster"[^}]*response_code="200"/);
    await expect(request('http://127.0.0.1:1/', { dispatcher: shop.dispatcher })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('are refused with 502 under REGISTRY_ONLY', async () => {
    const outside = await server(say('outside'));
    const { dispatcher } = await mesh(
      `${serviceEntry(HOST, [1])}---\napiVersion: inmesh.dev/v1\nkind: MeshConfig\nmetadata: { name: default }\nspec: { outboundTrafficPolicy: { mode: REGISTRY_ONLY } }\n`,
    );
    const response = await request(`http://127.0.0.1:${outside.port}/`, { dispatcher });
    expect(response.statusCode).toBe(502);
    expect(await response.body.text()).toContain('REGISTRY_ONLY');
    expect(outside.seen).toHaveLength(0);
  });
});

describe('mirrors', () => {
  it('send a copy whose answer nobody waits for', async () => {
    const [real, copy] = [await server(say('real')), await server(say('copy', 500))];
    const shop = await mesh(
      serviceEntry(HOST, [real.port]) +
        serviceEntry('dark.example.com', [copy.port]) +
        virtualService(HOST, `- route: [{ destination: { host: ${HOST} } }]\n  mirrors: [{ destination: { host: dark.example.com } }]`),
    );
    const response = await shop.fetch(URL_OF('/pay'), { method: 'POST', body: 'ten' });
    expect(await response.text()).toBe('real');
    await expect.poll(() => copy.seen.length).toBe(1);
    expect(copy.seen[0]).toMatchObject({ method: 'POST', url: '/pay', body: 'ten' });
    expect(real.seen[0]).toMatchObject({ body: 'ten' });
    expect(shop.status().callsInFlight).toBe(0);
  });
});

describe("undici's own fetch", () => {
  it('works on the dispatcher', async () => {
    const shop = await server(say('hello'));
    const { dispatcher } = await mesh(serviceEntry(HOST, [shop.port]));
    const response = await undiciFetch(URL_OF('/f'), { dispatcher });
    expect(await response.text()).toBe('hello');
  });
});
