import { spawnSync } from 'node:child_process';
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Admin, type AdminOptions, type ExplainQuery, startAdmin } from './admin.ts';

let admin: Admin | undefined;
afterEach(() => admin?.close());

async function start(options: Partial<AdminOptions> = {}): Promise<Admin> {
  admin = await startAdmin({
    port: 0,
    metrics: { text: () => 'istio_build 1\n' },
    status: () => ({ version: 'v1', hash: 7n, clusters: new Map([['reviews', new Set(['10.0.0.1:80'])]]), deadline: Infinity }),
    snapshot: () => ({ hosts: [] }),
    ready: () => true,
    ...options,
  });
  return admin;
}

interface Got {
  readonly status: number;
  readonly type: string | undefined;
  readonly allow: string | undefined;
  readonly body: string;
}

function get(path: string, { method = 'GET', host }: { method?: string; host?: string } = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const headers = host === undefined ? {} : { host };
    request(`${admin!.url}${path}`, { method, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode!, type: response.headers['content-type'], allow: response.headers.allow, body }),
      );
    })
      .on('error', reject)
      .end();
  });
}

describe('shows', () => {
  it('metrics as Prometheus text', async () => {
    await start();
    expect(await get('/metrics')).toMatchObject({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: 'istio_build 1\n' });
  });

  it('status and snapshot as JSON, whatever they hold', async () => {
    await start();
    const status = await get('/status?pretty');
    expect(status).toMatchObject({ status: 200, type: 'application/json; charset=utf-8' });
    expect(JSON.parse(status.body)).toEqual({ version: 'v1', hash: '7', clusters: { reviews: ['10.0.0.1:80'] }, deadline: 'Infinity' });
    expect(JSON.parse((await get('/snapshot')).body)).toEqual({ hosts: [] });
  });

  it('readiness in the status', async () => {
    let ready = false;
    await start({ ready: () => ready });
    expect(await get('/ready')).toMatchObject({ status: 503, body: '{\n  "ready": false\n}\n' });
    ready = true;
    expect(await get('/ready')).toMatchObject({ status: 200 });
  });

  it('an index of what there is', async () => {
    await start();
    const { body } = await get('/');
    for (const path of ['/metrics', '/ready', '/status', '/snapshot']) expect(body).toContain(path);
    expect(body).not.toContain('/explain');
  });

  it('explanations', async () => {
    await start({ explain: async (query: ExplainQuery) => ({ asked: query }) });
    const { body } = await get('/explain?method=post&url=http%3A%2F%2Freviews%2F7%3Fa%3Db&header=End-User:%20jason&header=x:a:b');
    expect(JSON.parse(body)).toEqual({
      asked: { method: 'POST', url: 'http://reviews/7?a=b', headers: [['end-user', 'jason'], ['x', 'a:b']] },
    }); // prettier-ignore
    // As people write it: only the first question mark ends the path.
    expect((await get('/explain?url=http://reviews/7?a=b&header=c:d')).body).toContain('http://reviews/7?a=b');
    expect(await get('/explain')).toMatchObject({ status: 400, body: expect.stringContaining('name the URL to explain') });
    expect(await get('/explain?url=reviews')).toMatchObject({ status: 400, body: expect.stringContaining('"reviews" is not a whole URL') });
    expect(await get('/explain?url=http://a/&header=x')).toMatchObject({
      status: 400,
      body: expect.stringContaining('"x" is not a header'),
    });
    expect((await get('/')).body).toContain('/explain');
  });
});

describe('refuses', () => {
  it('other methods and unknown paths, saying what there is', async () => {
    await start();
    expect(await get('/status', { method: 'POST' })).toMatchObject({
      status: 405,
      allow: 'GET',
      body: expect.stringContaining('POST is not served'),
    });
    expect(await get('/stats')).toMatchObject({
      status: 404,
      body: expect.stringContaining('/stats is not served here; there are /, /metrics'),
    });
    expect(await get('/explain?url=http://a/')).toMatchObject({ status: 404 });
  });

  it('names of others that point here, as rebound DNS does', async () => {
    await start({ allowedHosts: ['Admin.Internal'] });
    for (const host of ['evil.example', 'evil.example:80', 'localhost.evil.example', '127.0.0.1.evil.example', 'xlocalhost']) {
      expect(await get('/status', { host }), host).toMatchObject({ status: 403, body: expect.stringContaining('admin.allowedHosts') });
    }
    for (const host of ['localhost', 'LOCALHOST:15000', '127.0.0.1', '10.1.2.3:80', '[::1]:80', '[::1]', 'admin.internal:1']) {
      expect(await get('/status', { host }), host).toMatchObject({ status: 200 });
    }
  });

  it('a port in use, naming the option', async () => {
    const { port } = await start();
    const second = startAdmin({ port, metrics: { text: () => '' }, status: () => ({}), snapshot: () => ({}), ready: () => true });
    await expect(second).rejects.toMatchObject({
      code: 'MISUSE',
      message: expect.stringContaining(`port ${port} of 127.0.0.1 is in use: set admin.port`),
    });
    await expect(start({ host: '203.0.113.1' })).rejects.toThrow('set admin.host');
  });
});

it('answers 500 when a page throws, and goes on', async () => {
  const fails = (): never => {
    throw new Error('no snapshot yet');
  };
  await start({ snapshot: fails, metrics: { text: fails }, explain: () => Promise.reject(new Error('too deep')) });
  expect(await get('/snapshot')).toMatchObject({ status: 500, body: '/snapshot failed: no snapshot yet\n' });
  expect(await get('/metrics')).toMatchObject({ status: 500 });
  expect(await get('/explain?url=http://a/')).toMatchObject({ status: 500, body: '/explain failed: too deep\n' });
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  await admin!.close();
  await start({ status: () => circle });
  expect(await get('/status')).toMatchObject({ status: 500 });
  expect(await get('/ready')).toMatchObject({ status: 200 });
});

it('survives what is no HTTP, and peers that leave', async () => {
  const { port } = await start();
  await new Promise<void>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('\0\0 nonsense\r\n\r\n'));
    socket.on('close', () => resolve()).on('error', () => {}).resume();
  }); // prettier-ignore
  await new Promise<void>((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write('GET /status HTTP/1.1\r\nhost: localhost\r\n\r\n');
      socket.resetAndDestroy();
    });
    socket.on('close', () => resolve());
  });
  expect(await get('/ready')).toMatchObject({ status: 200 });
});

it('closes at once, with connections open', async () => {
  const { port } = await start();
  const socket = connect(port, '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  const ended = new Promise((resolve) => socket.on('close', resolve));
  socket.on('error', () => {}).resume();
  await admin!.close();
  await ended;
});

it('keeps no process alive', () => {
  const program = `
    import { startAdmin } from ${JSON.stringify(new URL('./admin.ts', import.meta.url).href)};
    await startAdmin({ port: 0, metrics: { text: () => '' }, status: () => ({}), snapshot: () => ({}), ready: () => true });
    console.log('listening');`;
  const { stdout, status, signal } = spawnSync(process.execPath, ['--conditions=@inmesh/source', '--input-type=module', '-e', program], {
    timeout: 10_000,
    encoding: 'utf8',
  });
  expect({ stdout, status, signal }).toEqual({ stdout: 'listening\n', status: 0, signal: null });
}, 15_000);
