import express from 'express';
import Fastify from 'fastify';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { meshOf, type TestMesh } from '../support/mesh.ts';

/** A policy that denies what the advisories were about, under a path normalization. */
const policy = (normalization: string, rules: string) => `---
apiVersion: inmesh.dev/v1
kind: MeshConfig
metadata: { name: mesh }
spec: { pathNormalization: { normalization: ${normalization} } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no, namespace: default }
spec:
  action: DENY
  rules: ${rules}
`;
const denyPaths = (...paths: string[]) => JSON.stringify([{ to: [{ operation: { paths } }] }]);
const denyHosts = (...hosts: string[]) => JSON.stringify([{ to: [{ operation: { hosts } }] }]);
const denyHeader = (name: string, value: string) => JSON.stringify([{ when: [{ key: `request.headers[${name}]`, values: [value] }] }]);

/** What the program behind the mesh was asked, if it was. */
let seen: { url: string; names: string[]; host: string | undefined } | undefined;
const namesSeen = (): readonly string[] => seen?.names ?? [];
/** Names of headers, wherever the program may read them. */
const note = (request: IncomingMessage) => {
  const { headers, headersDistinct, rawHeaders } = request;
  const raw = rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase());
  seen = { url: request.url!, names: [...raw, ...Object.keys(headers), ...Object.keys(headersDistinct)], host: headers.host };
};

const servers: Record<string, (mesh: TestMesh) => Promise<Server>> = {
  'http.Server': (mesh) =>
    Promise.resolve(
      mesh.createServer((request: IncomingMessage, response: ServerResponse) => {
        note(request);
        response.end('program');
      }),
    ),
  Express: (mesh) => {
    const app = express();
    app.use((request, response) => {
      note(request);
      response.send('program');
    });
    return Promise.resolve(mesh.createServer(app));
  },
  Fastify: async (mesh) => {
    const app = Fastify();
    await app.register(mesh.fastify);
    app.all('/*', (request, reply) => {
      note(request.raw);
      return reply.send('program');
    });
    await app.ready();
    return app.server;
  },
};

/** Bytes on a socket, and the status of the first answer; 0: closed without one. */
const send = (port: number, bytes: string): Promise<number> =>
  new Promise((resolve) => {
    let heard = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      if (heard.includes('\r\n\r\n')) socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(Number(/^HTTP\/1\.[01] (\d{3})/.exec(heard)?.[1] ?? 0)));
  });

const request = (target: string, headers: readonly string[] = [], { host = 'shop', method = 'GET', version = '1.1' } = {}) =>
  [`${method} ${target} HTTP/${version}`, ...(host === '' ? [] : [`Host: ${host}`]), ...headers, 'Connection: close', '', ''].join('\r\n');

interface Row {
  /** Row of the table of bypass classes, and its advisory. */
  readonly what: string;
  readonly rules: string;
  readonly mode?: string;
  readonly bytes: string;
  readonly status: number;
  /** Path the program must have seen. */
  readonly url?: string;
}

const rows: readonly Row[] = [
  { what: 'dot segments (CVE-2019-9901)', rules: denyPaths('/private'), bytes: request('/info/../private'), status: 403 },
  { what: 'encoded dot segments', rules: denyPaths('/private'), bytes: request('/public/%2e%2E/private'), status: 403 },
  { what: 'encoded dot segments, twice', rules: denyPaths('/private'), bytes: request('/public/%2E/%2E%2E/private'), status: 403 },
  { what: 'two slashes merged (CVE-2021-31920)', rules: denyPaths('/admin'), mode: 'MERGE_SLASHES', bytes: request('//admin'), status: 403 },
  { what: 'two slashes kept by BASE, and kept for the program', rules: denyPaths('/admin'), bytes: request('//admin'), status: 200, url: '//admin' },
  { what: 'escaped slash (CVE-2021-29492)', rules: denyPaths('/admin/*'), mode: 'DECODE_AND_MERGE_SLASHES', bytes: request('/admin%2fx'), status: 403 },
  { what: 'escaped backslash', rules: denyPaths('/admin/*'), mode: 'DECODE_AND_MERGE_SLASHES', bytes: request('/admin%5cx'), status: 403 },
  { what: 'backslash', rules: denyPaths('/app/admin'), bytes: request('/app\\admin'), status: 403 },
  { what: 'backslash and dots', rules: denyPaths('/admin'), bytes: request('/app\\..\\admin'), status: 403 },
  { what: 'fragment (CVE-2021-39156)', rules: denyPaths('/user/profile'), bytes: request('/user/profile#section1'), status: 403 },
  { what: 'query on an exact path (CVE-2020-8595)', rules: denyPaths('/protected'), bytes: request('/protected?x'), status: 403 },
  { what: 'host in capitals (CVE-2021-39155)', rules: denyHosts('secret.com'), bytes: request('/', [], { host: 'Secret.com' }), status: 403 },
  { what: 'host with a port: no match, as in Istio (ISTIO-SECURITY-2021-008)', rules: denyHosts('secret.com'), bytes: request('/', [], { host: 'secret.com:8080' }), status: 200 },
  { what: 'host with a dot at its end', rules: denyHosts('secret.com'), bytes: request('/', [], { host: 'secret.com.' }), status: 403 },
  { what: 'two Host lines', rules: denyHosts('secret.com'), bytes: request('/', ['Host: secret.com']), status: 400 },
  { what: 'absolute form for another host than Host', rules: denyHosts('evil'), bytes: request('http://evil/secret'), status: 400 },
  { what: 'absolute form: the path is taken out of it', rules: denyPaths('/secret'), bytes: request('http://shop/a/../secret'), status: 403 },
  { what: 'absolute form that is allowed reaches the program as a path', rules: denyPaths('/secret'), bytes: request('http://shop/a/../b?c'), status: 200, url: '/b?c' },
  { what: 'HTTP/1.0 without Host', rules: JSON.stringify([{ to: [{ operation: { notHosts: ['shop'], paths: ['/x'] } }] }]), bytes: request('/', [], { host: '', version: '1.0' }), status: 400 },
  { what: 'a user in the authority', rules: denyHosts('a.com'), bytes: request('/', [], { host: 'a.com@evil' }), status: 400 },
  { what: 'NUL in a header (CVE-2019-9900)', rules: denyHeader('x-foo', '*baz'), bytes: request('/', ['x-foo: bar\0baz']), status: 400 },
  { what: 'white space behind a value (CVE-2019-18802)', rules: denyHeader('x-foo', 'bar'), bytes: request('/', ['x-foo: bar  \t']), status: 403 },
  { what: 'a header twice (CVE-2020-25017, CVE-2026-26308)', rules: denyHeader('x-role', 'admin'), bytes: request('/', ['x-role: user', 'x-role: admin']), status: 403 },
  { what: 'a list in one line', rules: denyHeader('x-role', 'admin'), bytes: request('/', ['x-role: user,admin']), status: 403 },
  { what: 'a name with an underscore does not reach the program', rules: denyHeader('x-role', 'admin'), bytes: request('/', ['x_role: admin']), status: 200 },
  { what: 'two Authorization lines', rules: denyPaths('/x'), bytes: request('/', ['authorization: a', 'authorization: b']), status: 400 },
  { what: 'headers that only a proxy may set are taken away (CVE-2023-27487)', rules: denyPaths('/secret'), bytes: request('/public', ['x-envoy-original-path: /x', 'X-Forwarded-Client-Cert: URI=spiffe://a/b', 'X-Inmesh-Flags: UH', 'x-kept: 1']), status: 200 },
  { what: 'a list of hop-by-hop headers takes none from the rules', rules: denyHeader('x-user', 'mallory'), bytes: request('/', ['x-user: mallory', 'Connection: x-user']), status: 403 },
  { what: 'a header named __proto__ is one of many', rules: denyHeader('x-role', 'admin'), bytes: request('/', ['__proto__: x', 'constructor: y']), status: 200 },
  { what: 'a header named __proto__ hides no other', rules: denyHeader('x-role', 'admin'), bytes: request('/', ['__proto__: x', 'x-role: admin']), status: 403 },
  { what: 'bytes that are no UTF-8 pass as they are', rules: denyPaths('/x'), bytes: request('/', ['x-b: \xff\xfe']), status: 200 },
  { what: 'line break in a value (CVE-2023-27493)', rules: denyPaths('/x'), bytes: request('/', ['x-b: a\rb']), status: 400 },
  { what: 'smuggling: length and chunks', rules: denyPaths('/x'), bytes: request('/', ['content-length: 4', 'transfer-encoding: chunked'], { method: 'POST' }), status: 400 },
  { what: 'space before a colon', rules: denyPaths('/x'), bytes: request('/', ['x-a : b']), status: 400 },
  { what: 'a folded line', rules: denyPaths('/x'), bytes: request('/', ['x-a: b', ' c']), status: 400 },
  { what: 'a method in small letters', rules: denyPaths('/x'), bytes: request('/', [], { method: 'get' }), status: 400 },
  { what: 'a method no rule names', rules: JSON.stringify([{ to: [{ operation: { methods: ['GET', 'POST'] } }] }]), bytes: request('/', [], { method: 'PATCH' }), status: 200 },
  { what: 'HEAD is not GET', rules: JSON.stringify([{ to: [{ operation: { methods: ['HEAD'] } }] }]), bytes: request('/', [], { method: 'HEAD' }), status: 403 },
  { what: 'a star is a target of OPTIONS only', rules: denyPaths('/x'), bytes: request('*'), status: 400 },
  { what: 'OPTIONS of a star is judged', rules: JSON.stringify([{ to: [{ operation: { methods: ['OPTIONS'] } }] }]), bytes: request('*', [], { method: 'OPTIONS' }), status: 403 },
  { what: 'a preflight is judged (documented by Istio)', rules: denyPaths('/x'), bytes: request('/x', ['origin: http://a', 'access-control-request-method: GET'], { method: 'OPTIONS' }), status: 403 },
  { what: 'absolute form without a path asks for the root', rules: denyPaths('/'), bytes: request('http://shop'), status: 403 },
  { what: 'absolute form with a user', rules: denyPaths('/x'), bytes: request('http://a@shop/'), status: 400 },
  { what: 'a Host that is empty', rules: denyPaths('/x'), bytes: request('/', ['Host:'], { host: '' }), status: 400 },
  { what: 'a Host with a path', rules: denyPaths('/x'), bytes: request('/', [], { host: 'shop/x' }), status: 400 },
  { what: 'a bare line feed', rules: denyPaths('/x'), bytes: `GET / HTTP/1.1\nHost: shop\n\n`, status: 400 },
  { what: 'two lengths', rules: denyPaths('/x'), bytes: request('/', ['content-length: 4', 'content-length: 5'], { method: 'POST' }), status: 400 },
  { what: 'a deadline twice', rules: denyPaths('/x'), bytes: request('/', ['x-inmesh-deadline: 50', 'x-inmesh-deadline: 5000']), status: 400 },
  { what: 'a deadline that has passed', rules: denyPaths('/x'), bytes: request('/', ['x-inmesh-deadline: 0']), status: 504 },
  { what: 'a timeout of gRPC beyond all numbers (CVE-2021-28682)', rules: denyPaths('/x'), bytes: request('/', ['grpc-timeout: 99999999H']), status: 200 },
  { what: 'a template and a star (CVE-2025-46821)', rules: denyPaths('/store/{*}/cart'), bytes: request('/store/a*b/cart'), status: 403 },
  { what: 'a template and a bracket', rules: denyPaths('/store/{*}/cart'), bytes: request('/store/a[b]/cart'), status: 403 },
  { what: 'plaintext and a denial of everybody without identity (ISTIO-SECURITY-2021-004)', rules: JSON.stringify([{ from: [{ source: { notPrincipals: ['*'] } }] }]), bytes: request('/'), status: 403 },
  { what: 'nested escapes', rules: denyPaths('/admin'), bytes: request('/%2%65%2%65/admin'), status: 200, url: '/%252e%252e/admin' },
  { what: 'more headers than Node reads (CVE-2026-47774)', rules: denyPaths('/x'), bytes: request('/', Array(900).fill('cookie: crumb=of-many')), status: 431 },
  { what: 'NUL in a path', rules: denyPaths('/x'), bytes: request('/admin%00'), status: 400 },
  { what: 'mode NONE leaves the path alone', rules: denyPaths('/admin'), mode: 'NONE', bytes: request('/app/../admin'), status: 200, url: '/app/../admin' },
  { what: 'the path of the program is the one that was judged', rules: denyPaths('/x'), bytes: request('/a/./b/../c'), status: 200, url: '/a/c' },
]; // prettier-ignore

describe.each(Object.keys(servers))('hostile requests to %s', (kind) => {
  let mesh: TestMesh;
  let server: Server;
  let port: number;
  beforeAll(async () => {
    mesh = await meshOf('', { identity: false });
    server = await servers[kind]!(mesh);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as AddressInfo);
  });
  afterAll(async () => {
    server.close();
    await mesh.close({ graceMs: 100 });
  });

  it.each(rows)('$what: $status', async ({ rules, mode = 'BASE', bytes, status, url }) => {
    mesh.set(policy(mode, rules));
    seen = undefined;
    expect(await send(port, bytes)).toBe(status);
    if (status !== 200) expect(seen).toBeUndefined();
    if (url !== undefined) expect(seen!.url).toBe(url);
    for (const name of namesSeen()) expect(name).not.toMatch(/^x-envoy-|^x-inmesh-(?!deadline)|^x-forwarded-client-cert$|_/);
  });
});

describe('what is no request to a handler', () => {
  it('an upgrade listener of the program cannot be reached unauthorised, however and whenever it was added', async () => {
    const mesh = await meshOf(policy('BASE', denyPaths('/secret')), { identity: false });
    const reached: string[] = [];
    const hosts: (string | undefined)[] = [];
    const welcome = (request: IncomingMessage, socket: Duplex) => {
      reached.push(request.url!);
      hosts.push(request.headers.host);
      socket.end('HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n');
    };
    const server = createServer((_, response) => response.end('program'));
    server.on('upgrade', welcome);
    mesh.attach(server);
    server.once('upgrade', welcome);
    server.prependListener('upgrade', welcome);
    server.on('connect', welcome);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const upgrade = ['Upgrade: echo', 'Connection: Upgrade'];
    const ask = (path: string) => send(port, [`GET ${path} HTTP/1.1`, 'Host: shop', ...upgrade, '', 'early data'].join('\r\n'));
    expect([await ask('/secret'), await ask('/a/../secret'), await ask('/open/../x')]).toEqual([403, 403, 101]);
    expect(new Set(reached)).toEqual(new Set(['/x']));
    expect(await send(port, 'CONNECT shop:443 HTTP/1.1\r\nHost: other\r\n\r\n')).toBe(101);
    expect(hosts.at(-1)).toBe('shop:443');
    expect(await send(port, 'CONNECT a@shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n')).toBe(400);
    mesh.set(policy('BASE', JSON.stringify([{ to: [{ operation: { methods: ['CONNECT'] } }] }])));
    expect(await send(port, 'CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\nGET /secret HTTP/1.1\r\nHost: shop\r\n\r\n')).toBe(403);
    expect(reached.length).toBe(4);
    server.close();
    await mesh.close({ graceMs: 100 });
  });
});
