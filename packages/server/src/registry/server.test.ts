import { request as requestHttp } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RegistryServer, type RegistryServerOptions, startRegistry } from './server.ts';

let servers: RegistryServer[];
beforeEach(() => (servers = []));
afterEach(() => Promise.all(servers.map((server) => server.close())));

async function open(options: RegistryServerOptions = {}): Promise<RegistryServer> {
  const server = await startRegistry({ port: 0, heartbeatMs: 100, ...options });
  servers.push(server);
  return server;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

function ask(
  server: RegistryServer,
  method: string,
  path: string,
  { body, headers = {} }: { body?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = requestHttp({ host: '127.0.0.1', port: server.port, method, path, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text })); // prettier-ignore
      response.on('error', reject);
    });
    request.on('error', reject).end(body);
  });
}
const put = (server: RegistryServer, id: string, fields: object = {}): Promise<Answer> =>
  ask(server, 'PUT', `/v1/registrations/${id}`, { body: JSON.stringify({ service: 'reviews', ports: { http: 9080 }, ...fields }) });

/** What a stream said within a while. */
function listen(
  server: RegistryServer,
  path: string,
  headers: Record<string, string> = {},
): { readonly text: () => string; readonly close: () => void } {
  let text = '';
  const request = requestHttp({ host: '127.0.0.1', port: server.port, path, headers: { accept: 'text/event-stream', ...headers }, agent: false }, (response) =>
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('error', () => {}),
  ); // prettier-ignore
  request.on('error', () => {}).end();
  return { text: () => text, close: () => void request.destroy() };
}
const events = (text: string): string[] => [...text.matchAll(/^event: (.*)$/gm)].map(([, event]) => event!);

describe('the registry over HTTP', () => {
  it('registers, shows, renews and forgets', async () => {
    const server = await open();
    expect(await put(server, 'a')).toMatchObject({ status: 201 });
    expect(JSON.parse((await put(server, 'a', { weight: 2 })).text)).toMatchObject({
      id: 'a',
      outcome: 'changed',
      index: 2,
      service: 'reviews.default.svc.cluster.local',
    });
    expect(JSON.parse((await ask(server, 'GET', '/v1/registrations/a')).text)).toMatchObject({
      id: 'a',
      member: { address: '127.0.0.1', weight: 2 },
    });
    expect((await ask(server, 'POST', '/v1/registrations/a/renew')).status).toBe(204);
    expect((await ask(server, 'DELETE', '/v1/registrations/a')).status).toBe(204);
    for (const [method, path] of [
      ['DELETE', 'a'],
      ['POST', 'a/renew'],
      ['GET', 'a'],
    ])
      expect((await ask(server, method!, `/v1/registrations/${path!}`)).status).toBe(404);
  });

  it.each([
    ['GET', '/', 404],
    ['GET', '/v1', 404],
    ['GET', '/v2/services', 404],
    ['GET', '/v1/services/a/b', 404],
    ['POST', '/v1/services', 405],
    ['DELETE', '/v1/watch', 405],
    ['GET', '/v1/watch', 400],
    ['PUT', '/v1/registrations/%2e%2e%2fetc', 400],
    ['PUT', '/v1/registrations/%', 400],
    ['PUT', '/v1/registrations/__proto__', 400],
    ['PUT', `/v1/registrations/${'a'.repeat(300)}`, 400],
    ['PUT', '/v1/registrations/', 400],
    ['PUT', '/v1/registrations/a', 400],
  ])('%s %s is %i', async (method, path, status) => {
    const server = await open();
    const answer = await ask(server, method, path, { body: method === 'PUT' ? '{' : undefined });
    expect(answer.status).toBe(status);
    expect((JSON.parse(answer.text) as { error: string }).error).not.toBe('');
  });

  it('reads no more of a body than a registration can have, and not for longer than it should take', async () => {
    const server = await open();
    expect(await put(server, 'a', { labels: { x: 'x'.repeat(70_000) } })).toMatchObject({ status: 413 });
    expect(server.registrations).toBe(0);
  });

  it('takes so many registrations and no more; those that are there go on', async () => {
    const server = await open({ maxRegistrations: 2 });
    await put(server, 'a');
    await put(server, 'b');
    expect(await put(server, 'c')).toMatchObject({ status: 507 });
    expect(await put(server, 'b', { weight: 2 })).toMatchObject({ status: 200 });
  });

  it('answers those who poll with 304 until something changed', async () => {
    const server = await open();
    await put(server, 'a');
    for (const path of [
      '/v1/services',
      '/v1/services/reviews.default.svc.cluster.local',
      '/v1/watch?service=reviews.default.svc.cluster.local&catalog',
    ]) {
      const { status, headers } = await ask(server, 'GET', path);
      expect(status).toBe(200);
      const again = (): Promise<Answer> => ask(server, 'GET', path, { headers: { 'if-none-match': String(headers['etag']) } });
      expect(await again()).toMatchObject({ status: 304, text: '' });
      await put(server, 'a', { weight: path.length });
      expect(await again()).toMatchObject({ status: 200 });
    }
  });

  it('shows people a page, in which nothing a machine says is more than text', async () => {
    const server = await open();
    expect((await put(server, 'a', { workload: '<script>alert(1)</script>"><img src=x>' })).status).toBe(201);
    const { headers, text } = await ask(server, 'GET', '/v1/services', { headers: { accept: 'text/html' } });
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': expect.stringContaining("default-src 'none'") as string,
    });
    expect(text).toContain('&lt;script&gt;');
    expect(text).not.toMatch(/<script|<img/);
  });

  it('counts for Prometheus', async () => {
    const server = await open();
    await put(server, 'a');
    await ask(server, 'POST', '/v1/registrations/a/renew');
    const { text } = await ask(server, 'GET', '/metrics');
    expect(text).toMatch(/^inmesh_registry_registrations 1$/m);
    expect(text).toMatch(/^inmesh_registry_renewals_total 1$/m);
  });
});

describe('streams', () => {
  it('tell what is asked for, then changes; whoever comes back is told what he missed', async () => {
    const server = await open();
    await put(server, 'a');
    const first = listen(server, '/v1/watch?service=reviews.default.svc.cluster.local&service=nobody.test&catalog');
    await expect.poll(() => events(first.text())).toEqual(['hello', 'service', 'service', 'catalog', 'current']);
    expect(first.text()).toContain('{"service":"nobody.test","version":1,"members":null}');
    await put(server, 'b');
    await put(server, 'x', { service: 'other.test' });
    // One round or two, as fast as it went; the catalog is the same with one member more.
    await expect.poll(() => events(first.text()).slice(5).filter((event) => event !== 'current')).toEqual(['service', 'catalog']); // prettier-ignore
    await expect.poll(() => events(first.text()).at(-1)).toBe('current');
    const id = [...first.text().matchAll(/^id: (.*)$/gm)].at(-1)![1]!;
    first.close();
    const watch = '/v1/watch?service=reviews.default.svc.cluster.local';
    const same = listen(server, watch, { 'last-event-id': id });
    await expect.poll(() => events(same.text())).toEqual(['hello', 'current']);
    same.close();
    await ask(server, 'DELETE', '/v1/registrations/b');
    for (const [query, headers] of [
      ['', { 'last-event-id': id }],
      ['', { 'last-event-id': 'other-epoch:99' }],
      ['', { 'last-event-id': `${id.split(':')[0]}:999` }],
      ['&fresh=reviews.default.svc.cluster.local', { 'last-event-id': id.replace(/\d+$/, '4') }],
    ] as const) {
      const stream = listen(server, watch + query, headers);
      await expect.poll(() => events(stream.text())).toEqual(['hello', 'service', 'current']);
      stream.close();
    }
  });

  it('beat while there is no news', async () => {
    const server = await open();
    const stream = listen(server, '/v1/watch?catalog');
    await pause(550);
    expect(stream.text().split(': \n\n').length - 1).toBeGreaterThan(2);
    stream.close();
  });

  it('to a reader that does not read hold no more than one round, and are given up', async () => {
    const server = await open();
    const labels = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`label-${index}`, 'x'.repeat(60)]));
    for (let index = 0; index < 300; index += 1) expect((await put(server, `m${index}`, { labels })).status).toBe(201);
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(
      'GET /v1/watch?service=reviews.default.svc.cluster.local HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n',
    );
    socket.pause();
    const streams = async (): Promise<string> => /^inmesh_registry_streams (\d)$/m.exec((await ask(server, 'GET', '/metrics')).text)![1]!;
    await expect.poll(streams).toBe('1');
    const before = process.memoryUsage().rss;
    // A megabyte each time: what nobody reads piles up nowhere.
    for (let change = 0; change < 150; change += 1) {
      await put(server, 'm0', { weight: change + 1 });
      await pause(5);
    }
    await expect.poll(streams, { timeout: 20_000 }).toBe('0');
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20);
    socket.destroy();
  }, 40_000);
});

describe('who may', () => {
  it('without a token nobody but this machine, and no page of a browser that was led here by a name', async () => {
    await expect(startRegistry({ port: 0, host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'MISUSE',
      message: expect.stringContaining('token') as string,
    });
    const server = await open();
    for (const [host, status] of [
      ['localhost:1', 200],
      ['127.0.0.1', 200],
      ['[::1]:80', 200],
      ['evil.example.com', 403],
    ] as const)
      expect((await ask(server, 'GET', '/v1/services', { headers: { host } })).status, host).toBe(status);
  });

  it('with tokens whoever shows one, and everybody may ask whether it lives', async () => {
    await expect(startRegistry({ port: 0, tokens: [''] })).rejects.toMatchObject({ code: 'MISUSE' });
    const server = await open({ tokens: ['secret', 'next'] });
    const status = async (authorization?: string, path = '/v1/services'): Promise<number> =>
      (await ask(server, 'GET', path, { headers: authorization === undefined ? {} : { authorization } })).status;
    expect([await status('Bearer secret'), await status('bearer next')]).toEqual([200, 200]);
    for (const wrong of [undefined, '', 'Bearer', 'Bearer ', 'Bearer wrong', 'Basic secret', 'secret', 'Bearer secret next'])
      expect(await status(wrong), wrong).toBe(401);
    expect([await status(undefined, '/metrics'), await status(undefined, '/healthz')]).toEqual([401, 200]);
  });
});
