import {
  type ClientHttp2Session,
  connect as connectHttp2,
  constants,
  createServer as createHttp2Server,
  type Http2Server,
} from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { denyPaths, listening, talk } from '../support/raw.ts';

type Lines = Record<string, string>;

/** One answer, or the code the stream was reset with. */
interface Heard {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}

let mesh: TestMesh;
let server: Http2Server;
let port: number;
let session: ClientHttp2Session;
/** Paths that reached the program, by which way. */
let reached: string[];

const ask = (lines: Lines, end = true): Promise<Heard> =>
  new Promise((resolve) => {
    let headers: Record<string, unknown> = {};
    let body = '';
    const stream = session.request({ ':authority': 'shop', ...lines }, { endStream: false });
    stream.on('response', (answer) => (headers = answer));
    stream.on('data', (chunk: Buffer) => (body += chunk.toString()));
    stream.on('error', () => {});
    stream.on('close', () => resolve({ status: Number(headers[':status'] ?? 0), headers, body }));
    if (end) stream.end();
  });

beforeEach(async () => {
  reached = [];
  mesh = await meshOf(denyPaths('/secret'), { identity: false });
  server = createHttp2Server({ settings: { enableConnectProtocol: true } });
  server.on('stream', (_, headers) => reached.push(`stream ${headers[':path']}`));
  server.on('session', (one) => one.on('stream', (_: unknown, headers: Lines) => reached.push(`session ${headers[':path']}`)));
  server.on('request', (request, response) => {
    response.end(JSON.stringify({ url: request.url, headers: request.headers, raw: request.rawHeaders, policy: request.mesh?.policy }));
  });
  server.on('connect', (request, response) => response.end(`connected to ${request.authority} ${request.url ?? ''}`));
  mesh.attach(server);
  port = await listening(server);
  session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  await new Promise((resolve) => session.once('remoteSettings', resolve));
});
afterEach(async () => {
  session.destroy();
  server.close();
  await mesh.close({ graceMs: 100 });
});

describe('streams of HTTP/2', () => {
  it('are judged before any listener, of the server or of its session', async () => {
    expect((await ask({ ':path': '/a/../secret' })).status).toBe(403);
    expect((await ask({ ':path': '/secret#x' })).status).toBe(403);
    const allowed = await ask({ ':path': '/a/../b?c' });
    expect(allowed.status).toBe(200);
    expect(JSON.parse(allowed.body)).toMatchObject({ url: '/b?c', policy: '' });
    expect(reached.toSorted()).toEqual(['session /b?c', 'stream /b?c']);
  });

  it('have one authority', async () => {
    expect((await ask({ ':path': '/', host: 'other' })).status).toBe(400);
    expect((await ask({ ':path': '/', host: 'shop' })).status).toBe(200);
    // nghttp2 resets the stream before we see it.
    expect((await ask({ ':path': '/', ':authority': 'a@shop' })).status).toBe(0);
  });

  it('lose what nobody outside may say, in every form', async () => {
    const { body } = await ask({
      ':path': '/',
      'x-envoy-original-path': '/x',
      'x-forwarded-client-cert': 'URI=spiffe://a/b',
      x_role: 'a',
      'x-kept': '1',
    });
    const { headers, raw } = JSON.parse(body) as { headers: Lines; raw: string[] };
    for (const name of ['x-envoy-original-path', 'x-forwarded-client-cert', 'x_role']) {
      expect(headers).not.toHaveProperty(name);
      expect(raw).not.toContain(name);
    }
    expect(headers).toMatchObject({ ':path': '/', 'x-kept': '1' });
    expect(raw).toContain('x-kept');
  });

  it('refuse gRPC in its own words', async () => {
    const { status, headers, body } = await ask({ ':path': '/secret', ':method': 'POST', 'content-type': 'application/grpc+proto' });
    expect({ status, body }).toEqual({ status: 200, body: '' });
    expect(headers).toMatchObject({ 'content-type': 'application/grpc', 'grpc-status': '7', 'grpc-message': 'RBAC: access denied' });
    const web = await ask({ ':path': '/secret', ':method': 'POST', 'content-type': 'application/grpc-web+proto' });
    expect(web.status).toBe(403);
    const twice = await ask({ ':path': '/', ':method': 'POST', 'content-type': 'application/grpc', host: 'other' });
    expect(twice.headers).toMatchObject({ ':status': 200, 'grpc-status': '13' });
  });

  it('may be tunnels, and WebSockets inside a stream, which are judged as well', async () => {
    expect((await ask({ ':method': 'CONNECT', ':authority': 'shop:443' })).body).toBe('connected to shop:443 ');
    const socket = { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http' };
    expect((await ask({ ...socket, ':path': '/x/../chat' })).body).toBe('connected to shop /chat');
    expect((await ask({ ...socket, ':path': '/x/../secret' })).status).toBe(403);
    expect(reached).not.toContain('stream /secret');
    mesh.set(denyPaths('/x') + denyConnect);
    expect((await ask({ ':method': 'CONNECT', ':authority': 'shop:443' })).status).toBe(403);
  });

  it('are refused without a body to HEAD, and whatever is still being sent', async () => {
    expect(await ask({ ':path': '/secret', ':method': 'HEAD' })).toMatchObject({ status: 403, body: '' });
    expect((await ask({ ':path': '/secret', ':method': 'POST' }, false)).status).toBe(403);
    expect((await ask({ ':path': '/' })).status).toBe(200);
  });

  it('that their caller resets in anger end no process', async () => {
    for (const path of ['/secret', '/']) {
      const stream = session.request({ ':path': path, ':method': 'POST' }, { endStream: false });
      stream.on('error', () => {});
      stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
    }
    await sleep(50);
    expect((await ask({ ':path': '/' })).status).toBe(200);
  });

  it('that nobody listens to yet end no process either', async () => {
    const lone = createHttp2Server();
    const begun: string[] = [];
    lone.on('stream', (_, headers) => begun.push(headers[':path']!));
    mesh.attach(lone);
    const caller = connectHttp2(`http://127.0.0.1:${await listening(lone)}`);
    const stream = caller.request({ ':path': '/', ':method': 'POST' }, { endStream: false });
    stream.on('error', () => {});
    await vi.waitUntil(() => begun.length === 1);
    stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
    await sleep(100);
    expect(mesh.status().callsInFlight).toBe(0);
    caller.destroy();
    lone.close();
  });

  it('end at their deadline', async () => {
    server.removeAllListeners('request');
    server.on('request', (_, response) => {
      void sleep(150).then(() => {
        response.setHeader('late', '1');
        response.end('late');
      });
    });
    expect(await ask({ ':path': '/', 'x-inmesh-deadline': '40' })).toMatchObject({ status: 0, body: '' });
    await sleep(200);
    expect((await ask({ ':path': '/' })).body).toBe('late');
  });

  it.each<[string, string[], Lines | undefined]>([
    ['an empty path', [':path', ''], undefined],
    ['two methods', [':path', '/', ':method', 'POST'], undefined],
    ['no path', [], undefined],
    ['a path without a slash', [':path', 'secret'], undefined],
  ])('with %s reach nobody', async (_, lines) => {
    const heard = await talk(port, frames([':method', 'GET', ':scheme', 'http', ':authority', 'shop', ...lines]), 300);
    expect(reached).toEqual([]);
    expect(heard).not.toContain('"url"');
  });

  it('with a scheme in odd letters are judged as any', async () => {
    await talk(port, frames([':method', 'GET', ':scheme', 'HtTp', ':authority', 'shop', ':path', '/secret']), 300);
    expect(reached).toEqual([]);
  });
});

const denyConnect = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-tunnels, namespace: default }
spec: { action: DENY, rules: [{ to: [{ operation: { methods: [CONNECT] } }] }] }
`;

/** A connection with one request, written by hand: header lines as literals that are not indexed (RFC 7541 §6.2.2). */
function frames(lines: readonly string[]): string {
  const literal = (text: string): string => String.fromCharCode(text.length) + text;
  let block = '';
  for (let at = 0; at < lines.length; at += 2) block += `\0${literal(lines[at]!)}${literal(lines[at + 1]!)}`;
  const frame = (type: number, flags: number, stream: number, payload: string): string =>
    String.fromCharCode(0, payload.length >> 8, payload.length & 255, type, flags, 0, 0, 0, stream) + payload;
  // SETTINGS, then HEADERS with END_STREAM and END_HEADERS.
  return `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${frame(4, 0, 0, '')}${frame(1, 5, 1, block)}`;
}
