import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { cacheStores, interceptors, request } from 'undici';
import { Notes } from '../support/handler.ts';
import { destinationRule, meshOf, serviceEntry, virtualService } from '../support/mesh.ts';
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

describe('a service is found', () => {
  it.each([
    'http://shop.example.com/',
    'http://SHOP.Example.COM/',
    'http://shop.example.com:80/',
    'http://shop.example.com./',
    'http://user:secret@shop.example.com/',
  ])('as %s', async (url) => {
    const shop = later(await upstream(say('ok')));
    const mesh = later(await meshOf(serviceEntry(HOST, [shop.port])));
    expect((await mesh.request(url)).text()).toBe('ok');
    expect(await (await request(url, { dispatcher: mesh.dispatcher })).body.text()).toBe('ok');
  });

  it('by the Host header of the caller, whatever its case', async () => {
    const shop = later(await upstream(say('ok')));
    const mesh = later(await meshOf(serviceEntry(HOST, [shop.port])));
    for (const host of [HOST, 'Shop.Example.com', `${HOST}.`, `${HOST}:80`]) {
      const answer = await mesh.request('http://10.1.2.3/', { headers: { host } });
      expect([host, answer.status, shop.seen.at(-1)!.headers.host]).toEqual([host, 200, host]);
    }
  });

  it('with its query given apart, as undici allows, and an origin that is a URL', async () => {
    const shop = later(await upstream(say('ok')));
    const mesh = later(await meshOf(serviceEntry(HOST, [shop.port])));
    const notes = new Notes();
    mesh.dispatcher.dispatch({ origin: new URL(URL_OF), path: '/search', query: { q: 'a b&c', tag: ['x', 'y'] }, method: 'GET' }, notes);
    await notes.over;
    expect(shop.seen[0]!.url).toBe('/search?q=a%20b%26c&tag=x&tag=y');
  });

  it('on an IPv6 address and on a Unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'inmesh-unix-'));
    const socket = join(folder, 's.sock');
    const servers = [createServer((_, response) => response.end('six')), createServer((_, response) => response.end('unix'))] as const;
    await Promise.all([
      new Promise<void>((resolve) => servers[0].listen(0, '::1', resolve)),
      new Promise<void>((resolve) => servers[1].listen(socket, resolve)),
    ]);
    const { port } = servers[0].address() as { port: number };
    const entry = (host: string, endpoint: string) =>
      `---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: ${host.replaceAll('.', '-')}, namespace: default }\nspec:\n  hosts: [${host}]\n  location: MESH_INTERNAL\n  resolution: STATIC\n  ports: [{ number: 80, name: main, protocol: HTTP }]\n  endpoints: [${endpoint}]\n`;
    const mesh = later(
      await meshOf(
        entry('six.example.com', `{ address: "::1", ports: { main: ${port} } }`) +
          entry('unix.example.com', `{ address: "unix://${socket}" }`),
      ),
    );
    expect((await mesh.request('http://six.example.com/')).text()).toBe('six');
    expect((await mesh.request('http://unix.example.com/')).text()).toBe('unix');
    for (const server of servers) server.close();
    rmSync(folder, { recursive: true });
  });
});

describe("undici's interceptors on the dispatcher", () => {
  it('redirect, retry, dump and cache work as on a bare one', async () => {
    let asked = 0;
    const shop = later(
      await upstream((incoming, response) => {
        asked += 1;
        if (incoming.url === '/from') return void response.writeHead(302, { location: '/to' }).end();
        if (incoming.url === '/flaky' && asked % 2 === 1) return void response.writeHead(503).end();
        if (incoming.url === '/cached') response.setHeader('cache-control', 'max-age=60');
        response.end(incoming.url);
      }),
    );
    const mesh = later(await meshOf(serviceEntry(HOST, [shop.port]) + virtualService(HOST, `- retries: { attempts: 0 }\n  ${ROUTE}`)));
    const text = async (path: string, ...given: Parameters<typeof mesh.dispatcher.compose>) => {
      const { statusCode, body } = await request(`http://${HOST}${path}`, { dispatcher: mesh.dispatcher.compose(...given) });
      return [statusCode, await body.text()];
    };
    expect(await text('/from', interceptors.redirect({ maxRedirections: 2 }))).toEqual([200, '/to']);
    asked = 0;
    expect(await text('/flaky', interceptors.retry({ maxRetries: 2, minTimeout: 1 }))).toEqual([200, '/flaky']);
    expect(await text('/dumped', interceptors.dump({ maxSize: 1000 }))).toEqual([200, '']);
    const cache = interceptors.cache({ store: new cacheStores.MemoryCacheStore() });
    asked = 0;
    for (let i = 0; i < 3; i += 1) expect(await text('/cached', cache)).toEqual([200, '/cached']);
    expect(asked).toBe(1);
    expect(mesh.status().callsInFlight).toBe(0);
  });
});

describe('what is not wanted', () => {
  it('counts once for outlier detection, however large its body', async () => {
    const bad = later(
      await rawUpstream((_, response) => void response.writeHead(503, { 'content-length': 1_000_000 }).write(Buffer.alloc(1000))),
    );
    const good = later(await upstream(say('ok')));
    const mesh = later(
      await meshOf(
        serviceEntry(HOST, [bad.port, good.port]) +
          destinationRule(
            HOST,
            'trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN }, outlierDetection: { consecutive5xxErrors: 3, interval: 60s } }',
          ) +
          virtualService(HOST, `- retries: { attempts: 1, retryOn: 5xx, backoff: 1ms }\n  ${ROUTE}`),
      ),
    );
    for (let i = 0; i < 2; i += 1) expect((await mesh.request(URL_OF)).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(mesh.events.filter(({ type }) => type === 'endpoint.ejected')).toEqual([]);
    await expect.poll(() => bad.open.size).toBe(0);
  });

  it('leaves its connection for the next call when it is short', async () => {
    const bad = later(await upstream(say('busy', 503)));
    const mesh = later(
      await meshOf(
        serviceEntry(HOST, [bad.port]) + virtualService(HOST, `- retries: { attempts: 3, retryOn: 5xx, backoff: 20ms }\n  ${ROUTE}`),
      ),
    );
    expect((await mesh.request(URL_OF)).status).toBe(503);
    expect([bad.seen.length, bad.connections]).toEqual([4, 1]);
  });
});

describe('connections by name', () => {
  it('of one endpoint are bounded: many names share what there is', async () => {
    const server = later(await upstream(say('ok')));
    const mesh = later(
      await meshOf(
        `---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: { name: wild, namespace: default }\nspec:\n  hosts: ["*.wild.example.com"]\n  resolution: STATIC\n  ports: [{ number: 80, name: main, protocol: HTTP }]\n  endpoints: [{ address: 127.0.0.1, ports: { main: ${server.port} } }]\n`,
      ),
    );
    for (let i = 0; i < 20; i += 1) expect((await mesh.request(`http://h${i}.wild.example.com/`)).status).toBe(200);
    expect(server.connections).toBeLessThan(5);
  });
});
