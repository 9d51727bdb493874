import { type HttpBindings, serve as serveHono } from '@hono/node-server';
import { once } from 'node:events';
import dns from 'node:dns';
import express from 'express';
import Fastify from 'fastify';
import { Hono } from 'hono';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { InboundMesh } from 'inmesh';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { denyPaths, get, listening, peerAuthentication, statusOf, talk } from '../support/raw.ts';

const left: (() => unknown)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const leave of left.splice(0).reverse()) await leave();
});

async function meshUnder(yaml: string): Promise<TestMesh> {
  const mesh = await meshOf(yaml, { identity: false });
  left.push(() => mesh.close({ graceMs: 100 }));
  return mesh;
}

async function serve(listener: RequestListener | Server): Promise<(target: string, ...lines: string[]) => Promise<string>> {
  const server = typeof listener === 'function' ? createServer(listener) : listener;
  const port = await listening(server);
  left.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return async (target, ...lines) => {
    const heard = await talk(port, get(target, ['Connection: close', ...lines]), 500);
    return `${statusOf(heard)} ${heard.split('\r\n\r\n')[1]}`;
  };
}

const principals = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: yes, namespace: default }
spec: { action: ALLOW, rules: [{ from: [{ source: { notPrincipals: ["cluster.local/ns/a/sa/b"] } }] }] }
`;

describe('on a server the mesh is not attached to, mesh.express()', () => {
  it('enforces rules over requests, and says once what it cannot see', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const mesh = await meshUnder(denyPaths('/secret'));
    const app = express();
    app.use(mesh.express(), (request, response) => void response.send(`${request.url} ${request.originalUrl} ${request.mesh!.policy}`));
    const ask = await serve(app);
    expect(await ask('/a/../secret')).toBe('403 RBAC: access denied');
    expect(await ask('/a/../b?c')).toBe('200 /b?c /b?c ');
    expect(warned.mock.calls).toEqual([[expect.stringContaining('use mesh.attach(server)'), { code: 'INMESH_UNATTACHED' }]]);
  });

  it('judges the whole path where it is mounted below one', async () => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const mesh = await meshUnder(denyPaths('/api/secret'));
    const app = express();
    app.use('/api', mesh.express(), (request, response) => void response.send(`${request.url} of ${request.originalUrl}`));
    const ask = await serve(app);
    expect(await ask('/api/secret')).toBe('403 RBAC: access denied');
    expect(await ask('/api/secret?x')).toBe('403 RBAC: access denied');
    expect(await ask('/api/open?x=1')).toBe('200 /open?x=1 of /api/open?x=1');
    // The router has chosen by the path as it came.
    expect(await ask('/api/x/../secret')).toMatch(/^400 Bad Request: a router has read the path before it was normalized/);
  });

  it.each([
    ['a port is STRICT', peerAuthentication('STRICT')],
    ['a rule asks who calls', principals],
  ])('refuses everything where %s, and so do a listener, Fastify without a server and a fetch handler', async (_, yaml) => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const mesh = await meshUnder(yaml);
    const app = express();
    app.use(mesh.express(), (_request, response) => void response.send('program'));
    expect(await (await serve(app))('/')).toBe('403 RBAC: access denied');
    expect(await (await serve(mesh.listener((_request, response) => response.end('program'))))('/')).toBe('403 RBAC: access denied');
    const fastify = Fastify();
    await fastify.register(mesh.fastify);
    fastify.get('/', () => 'program');
    expect((await fastify.inject('/')).statusCode).toBe(403);
    expect((await mesh.fetchHandler(() => new Response('program'))(new Request('http://shop/'))).status).toBe(403);
  });

  it('does nothing more on a server that is attached', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const mesh = await meshUnder(principals);
    const app = express();
    app.use('/api', mesh.express(), (_request, response) => void response.send('program'));
    expect(await (await serve(mesh.createServer(app)))('/api/x/../y')).toBe('200 program');
    expect(warned).not.toHaveBeenCalled();
  });
});

describe('mesh.listener', () => {
  it('shows a handler the request after the rules', async () => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const mesh = await meshUnder(denyPaths('/secret'));
    const ask = await serve(mesh.listener((request, response) => response.end(`${request.url} ${String(request.headers['x-envoy-a'])}`)));
    expect(await ask('/x/../secret')).toBe('403 RBAC: access denied');
    expect(await ask('/x/../b', 'x-envoy-a: 1')).toBe('200 /b undefined');
  });
});

describe('the Fastify plug-in', () => {
  it('holds for requests that never came through a server, in every scope', async () => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const mesh = await meshUnder(denyPaths('/in/secret'));
    const app = Fastify();
    await app.register(mesh.fastify);
    await app.register((scope) => {
      scope.get('/*', (request) => `${request.url} ${(request as { mesh?: InboundMesh }).mesh?.policy}`);
      return Promise.resolve();
    }, { prefix: '/in' }); // prettier-ignore
    expect((await app.inject('/in/secret')).statusCode).toBe(403);
    expect((await app.inject('/in/open?x')).body).toBe('/in/open?x ');
    expect((await app.inject('/in/%6fpen')).statusCode).toBe(400);
    expect((await app.inject({ url: '/in/open', headers: { 'x-envoy-a': '1' } })).statusCode).toBe(200);
  });

  it('guards every server that Fastify makes for localhost, and hands an upgrade from one to another judged once', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    // Here localhost may be one address only.
    vi.spyOn(dns, 'lookup').mockImplementation(((name: string, _: object, done: (error: null, found: object[]) => void) => {
      const found = name === 'localhost' ? ['127.0.0.1', '127.0.0.2'] : [name];
      done(null, found.map((address) => ({ address, family: 4 }))); // prettier-ignore
    }) as unknown as typeof dns.lookup);
    const mesh = await meshUnder(denyPaths('/secret'));
    const app = Fastify();
    await app.register(mesh.fastify);
    app.get('/*', (request) => request.url);
    const upgraded: string[] = [];
    app.server.on('upgrade', (request, socket) => {
      upgraded.push(request.url!);
      socket.resume();
      socket.end('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n');
    });
    await app.listen({ port: 0, host: 'localhost' });
    left.push(() => app.close());
    const addresses = app.addresses() as AddressInfo[];
    expect(addresses.map(({ address }) => address).toSorted()).toEqual(['127.0.0.1', '127.0.0.2']);
    for (const { address, port } of addresses) {
      const ask = async (target: string, ...lines: string[]) => statusOf(await talk(port, get(target, lines), 200, address));
      expect(await ask('/x/../secret')).toBe(403);
      expect(await ask('/%6fpen')).toBe(200);
      expect(await ask('/secret', 'Upgrade: x', 'Connection: upgrade')).toBe(403);
      expect(await ask('/%6fpen', 'Upgrade: x', 'Connection: upgrade')).toBe(101);
    }
    expect(upgraded).toEqual(['/open', '/open']);
    const counted = () => mesh.metrics().match(/istio_requests_total\{[^}]*response_code="101"[^}]*\} (\d+)/)?.[1];
    await vi.waitFor(() => expect(counted()).toBe('2'));
    expect(warned).not.toHaveBeenCalled();
  });
});

const denyHeader = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-header, namespace: default }
spec: { action: DENY, rules: [{ when: [{ key: "request.headers[x-role]", values: [admin] }] }, { when: [{ key: "request.headers[x-envoy-role]", values: [admin] }] }] }
`;

describe('a fetch-style handler', () => {
  const shown = (request: Request & { mesh?: InboundMesh }, ...rest: string[]) =>
    Response.json({ url: request.url, a: request.headers.get('x-envoy-a'), principal: request.mesh!.principal?.uri, client: request.mesh!.clientAddress, rest }); // prettier-ignore

  it('is asked only what the rules allow, by the path they saw', async () => {
    const mesh = await meshUnder(denyPaths('/secret') + denyHeader);
    const handler = mesh.fetchHandler(shown);
    const ask = async (url: string, init: RequestInit = {}) => {
      const response = await handler(new Request(url, init), 'env');
      return { status: response.status, body: await response.text() };
    };
    expect(await ask('http://shop/secret')).toEqual({ status: 403, body: 'RBAC: access denied' });
    expect((await ask('http://shop/%73ecret?x')).status).toBe(403);
    expect((await ask('http://shop/', { headers: { 'x-role': 'admin' } })).status).toBe(403);
    // Taken away before any rule looks.
    expect((await ask('http://shop/', { headers: { 'x-envoy-role': 'admin' } })).status).toBe(200);
    const allowed = await ask('http://shop/%6fpen?x=%41', { headers: { 'x-envoy-a': '1' }, method: 'POST', body: 'b' });
    expect(allowed.status).toBe(200);
    expect(JSON.parse(allowed.body)).toEqual({ url: 'http://shop/open?x=%41', a: null, client: '', rest: ['env'] });
    expect((await ask('http://shop/', { headers: { host: 'other' } })).status).toBe(400);
    expect((await ask('http://shop/', { headers: { host: 'a@shop' } })).status).toBe(400);
    expect((await ask('http://shop/', { headers: { host: 'shop:80' } })).status).toBe(200);
    expect(mesh.status().callsInFlight).toBe(0);
  });

  it('hears of the peer from its adapter', async () => {
    const mesh = await meshUnder(principals);
    const principal = (sa: string) => ({
      uri: `spiffe://cluster.local/ns/a/sa/${sa}`,
      trustDomain: 'cluster.local',
      namespace: 'a',
      serviceAccount: sa,
    });
    const handler = mesh.fetchHandler(shown, (_, who: string) => ({ principal: principal(who), remoteAddress: '10.0.0.9' }));
    expect((await handler(new Request('http://shop/'), 'b')).status).toBe(403);
    const allowed = await handler(new Request('http://shop/'), 'c');
    expect(await allowed.json()).toMatchObject({ principal: 'spiffe://cluster.local/ns/a/sa/c', client: '10.0.0.9' });
  });

  it('that fails fails as without a mesh, and the deadline of a caller ends the wait for one that does not answer', async () => {
    const mesh = await meshUnder(denyPaths('/secret'));
    const throws = mesh.fetchHandler(() => Promise.reject(new Error('the program')));
    await expect(throws(new Request('http://shop/'))).rejects.toThrow('the program');
    const silent = mesh.fetchHandler(() => new Promise<Response>(() => {}));
    expect((await silent(new Request('http://shop/', { headers: { 'x-inmesh-deadline': '30' } }))).status).toBe(504);
    expect(mesh.status().callsInFlight).toBe(0);
  });
});

describe('Hono', () => {
  it('is served by its fetch-style handler, and under its Node server by attach', async () => {
    const app = new Hono<{ Bindings: HttpBindings }>();
    // Of an attached server the request of Node is what the mesh knows.
    app.get('/who', ({ req, env, text }) => text(((req.raw as { mesh?: InboundMesh }).mesh ?? env.incoming.mesh)?.policy ?? 'nobody'));
    app.get('/secret', (context) => context.text('the secret'));
    const mesh = await meshUnder(denyPaths('/secret'));
    const fetchStyle = serveHono({ fetch: mesh.fetchHandler((request) => app.fetch(request)), port: 0, hostname: '127.0.0.1' });
    const attached = serveHono({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' });
    mesh.attach(attached as Server);
    for (const server of [fetchStyle, attached]) {
      if (!server.listening) await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const ask = async (path: string): Promise<[number, string]> => {
        const answer = await fetch(`http://127.0.0.1:${port}${path}`);
        return [answer.status, await answer.text()];
      };
      expect(await ask('/%73ecret')).toEqual([403, 'RBAC: access denied']);
      expect(await ask('/who')).toEqual([200, '']);
    }
    for (const server of [fetchStyle, attached]) await new Promise((resolve) => server.close(resolve));
  });
});
