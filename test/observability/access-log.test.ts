import { credentials } from '@grpc/grpc-js';
import type { MeshEvent, Observer } from '@inmesh/core';
import { createDevCa, devCertificates } from '@inmesh/identity/dev';
import type { AccessLogFormat, AccessLogRule } from '@inmesh/policy';
import { accessLogs } from '@inmesh/telemetry';
import type { CreateMeshOptions } from 'inmesh';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { echo, echoClient } from '../support/echo-grpc.ts';
import { destinationRule, meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';
import { denyPaths, listening } from '../support/raw.ts';
import { say, upstream } from '../support/upstream.ts';

const HOST = 'reviews.example.com';
const ROUTE = `route: [{ destination: { host: ${HOST} } }]`;

const left: (() => unknown)[] = [];
afterEach(async () => {
  for (const leave of left.splice(0).reverse()) await leave();
});

type Line = Record<string, unknown>;

interface Logged {
  readonly mesh: TestMesh;
  readonly folder: string;
  /** Ends the mesh, and reads what it logged of the calls it made (`client`) or received. */
  lines(side: 'client' | 'server'): Promise<readonly Line[]>;
  text(file: string): Promise<string>;
}

const JSON_LINES: AccessLogFormat = { kind: 'json', fields: null, omitEmptyValues: false };

interface LogOptions extends CreateMeshOptions {
  readonly format?: AccessLogFormat;
  readonly filter?: string | null;
  /** Default: a file for each side. */
  readonly path?: string;
  readonly onLog?: (event: MeshEvent) => void;
}

/** A mesh with logs of both sides, as the policy would have asked for them. */
async function logging(
  yaml: string,
  { format = JSON_LINES, filter = null, path, onLog = () => {}, ...options }: LogOptions = {},
): Promise<Logged> {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-access-'));
  const workload = { name: 'web', namespace: 'default', labels: {}, locality: { region: '', zone: '', subzone: '' }, network: '', cluster: '', serviceAccount: 'web', node: '' }; // prettier-ignore
  const logs = accessLogs({ workload, onEvent: onLog });
  const rules = (side: string): readonly AccessLogRule[] => [
    { provider: 'test', sink: { kind: 'file', path: path ?? join(folder, `${side}.log`), format }, filter },
  ];
  const observer: Observer = {
    route: (info) => logs.route({ ...info, telemetry: { ...info.telemetry, accessLogs: rules('client') } }),
    inbound: (info) => logs.inbound!({ ...info, telemetry: { ...info.telemetry, accessLogs: rules('server') } }),
    event: (event) => logs.event(event),
  };
  const mesh = await meshOf(yaml, { identity: false, ...options, observers: [observer], workload });
  left.push(async () => {
    await mesh.close({ graceMs: 100 });
    rmSync(folder, { recursive: true });
  });
  const text = async (file: string): Promise<string> => {
    await mesh.close({ graceMs: 500 });
    await logs.close();
    return readFileSync(join(folder, file), 'utf8');
  };
  const lines = async (side: string): Promise<readonly Line[]> =>
    (await text(`${side}.log`)).trim().split('\n').map((line) => JSON.parse(line) as Line); // prettier-ignore
  return { mesh, folder, text, lines };
}

const one = async (logged: Logged, side: 'client' | 'server' = 'client'): Promise<Line> => {
  const lines = await logged.lines(side);
  expect(lines).toHaveLength(1);
  return lines[0]!;
};

describe('of a call that is made', () => {
  it('what was asked, what came, where from', async () => {
    await using server = await upstream(say('hello there', 200, { 'x-shard': '3' }));
    const logged = await logging(serviceEntry(HOST, [server.port]) + virtualService(HOST, `- name: all\n  ${ROUTE}`));
    const before = Date.now();
    const answer = await logged.mesh.fetch(`http://${HOST}/ratings/7?verbose=1`, {
      method: 'POST',
      body: 'four',
      headers: { 'user-agent': 'test/1', 'x-request-id': 'id-7', 'x-forwarded-for': '203.0.113.7' },
    });
    expect(await answer.text()).toBe('hello there');
    const line = await one(logged);
    expect(line).toMatchObject({
      method: 'POST', path: '/ratings/7?verbose=1', protocol: 'HTTP/1.1', response_code: 200, response_flags: '-',
      response_code_details: 'via_upstream', connection_termination_details: null, bytes_received: 4, bytes_sent: 11,
      x_forwarded_for: '203.0.113.7', user_agent: 'test/1', request_id: 'id-7', authority: HOST, upstream_host: `127.0.0.1:${server.port}`,
      upstream_cluster: `outbound|80||${HOST}`, route_name: 'all', upstream_transport_failure_reason: null,
      downstream_local_address: null, downstream_remote_address: null, requested_server_name: null, upstream_local_address: null,
    }); // prettier-ignore
    expect(Object.keys(line)).toHaveLength(24);
    expect(line['upstream_service_time']).toMatch(/^\d+$/);
    expect(line['duration']).toBeTypeOf('number');
    expect(Math.abs(Date.parse(String(line['start_time'])) - before)).toBeLessThan(1000);
  });

  it("in Istio's text", async () => {
    await using server = await upstream(say('hello'));
    const logged = await logging(serviceEntry(HOST, [server.port]), { format: { kind: 'text', format: null, omitEmptyValues: false } });
    await (await logged.mesh.fetch(`http://${HOST}/`, { headers: { 'user-agent': 'test/1' } })).text();
    expect(await logged.text('client.log')).toMatch(
      new RegExp(
        `^\\[[-0-9]{10}T[0-9:.]{12}Z\\] "GET / HTTP/1\\.1" 200 - via_upstream - "-" 0 5 \\d+ \\d+ "-" "test/1" "[-0-9a-f]{36}" ` +
          `"${HOST}" "127\\.0\\.0\\.1:${server.port}" outbound\\|80\\|\\|${HOST} - - - - \\S+\\n$`,
      ),
    );
  });

  it('404 where no route matches', async () => {
    const logged = await logging(serviceEntry(HOST, [1]) + virtualService(HOST, `- match: [{ uri: { prefix: /a } }]\n  ${ROUTE}`));
    expect((await logged.mesh.fetch(`http://${HOST}/b`)).status).toBe(404);
    expect(await one(logged)).toMatchObject({
      response_code: 404,
      response_flags: 'NR',
      response_code_details: 'route_not_found',
      upstream_host: null,
      upstream_cluster: null,
    });
  });

  it('503 where nobody listens: to whom, and why', async () => {
    await using server = await upstream(say(''));
    await server.kill();
    const logged = await logging(serviceEntry(HOST, [server.port]) + virtualService(HOST, `- retries: { attempts: 0 }\n  ${ROUTE}`));
    expect((await logged.mesh.fetch(`http://${HOST}/`)).status).toBe(503);
    expect(await one(logged)).toMatchObject({
      response_code: 503,
      response_flags: 'UF',
      response_code_details: 'upstream_reset_before_response_started{remote_connection_failure}',
      upstream_transport_failure_reason: expect.stringContaining('ECONNREFUSED') as string,
      upstream_host: `127.0.0.1:${server.port}`,
      upstream_service_time: null,
    });
  });

  it('504 where the answer takes too long', async () => {
    await using server = await upstream((_request, response) => void setTimeout(() => response.end(), 2000).unref());
    const logged = await logging(serviceEntry(HOST, [server.port]) + virtualService(HOST, `- timeout: 100ms\n  ${ROUTE}`));
    expect((await logged.mesh.fetch(`http://${HOST}/`)).status).toBe(504);
    const line = await one(logged);
    expect(line).toMatchObject({ response_code: 504, response_flags: 'UT', response_code_details: 'upstream_response_timeout' });
    expect(line['duration']).toBeGreaterThanOrEqual(99);
  });

  it('a reset after headers is one after the answer began', async () => {
    await using server = await upstream((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half', () => response.destroy());
    });
    const logged = await logging(serviceEntry(HOST, [server.port]));
    const answer = await logged.mesh.fetch(`http://${HOST}/`);
    await expect(answer.text()).rejects.toThrow();
    expect(await one(logged)).toMatchObject({
      response_code: 200,
      response_flags: 'UC',
      response_code_details: 'upstream_reset_after_response_started{connection_termination}',
      bytes_sent: 4,
    });
  });

  it('nothing was sent to a caller who left', async () => {
    await using server = await upstream((_request, response) => void setTimeout(() => response.end(), 2000).unref());
    const logged = await logging(serviceEntry(HOST, [server.port]));
    await expect(logged.mesh.fetch(`http://${HOST}/`, { signal: AbortSignal.timeout(100) })).rejects.toThrow();
    expect(await one(logged)).toMatchObject({
      response_code: 0,
      response_flags: 'DC',
      response_code_details: 'downstream_remote_disconnect',
    });
  });

  it('an injected fault', async () => {
    const fault = 'fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }';
    const logged = await logging(serviceEntry(HOST, [1]) + virtualService(HOST, `- ${fault}\n  ${ROUTE}`));
    expect((await logged.mesh.fetch(`http://${HOST}/`)).status).toBe(418);
    expect(await one(logged)).toMatchObject({ response_code: 418, response_flags: 'FI', response_code_details: 'fault_filter_abort' });
  });

  it('503 beyond a limit', async () => {
    await using server = await upstream((_request, response) => void setTimeout(() => response.end(), 300).unref());
    const rule = 'trafficPolicy: { connectionPool: { http: { http2MaxRequests: 1 } } }';
    const logged = await logging(serviceEntry(HOST, [server.port]) + destinationRule(HOST, rule) + virtualService(HOST, `- retries: { attempts: 0 }\n  ${ROUTE}`)); // prettier-ignore
    await Promise.all([1, 2].map(async () => (await logged.mesh.fetch(`http://${HOST}/`)).text()));
    const lines = await logged.lines('client');
    expect(lines.map((line) => [line['response_code'], line['response_flags'], line['response_code_details']])).toEqual([
      [503, 'UO', 'upstream_reset_before_response_started{overflow}'],
      [200, '-', 'via_upstream'],
    ]);
  });

  it('gRPC: HTTP/2, its status by name or number', async () => {
    const served = await echo('one');
    left.push(() => served.stop());
    const fields = {
      http: '%RESPONSE_CODE%',
      protocol: '%PROTOCOL%',
      path: '%REQ(:PATH)%',
      name: '%GRPC_STATUS%',
      number: '%GRPC_STATUS_NUMBER%',
    };
    const logged = await logging(serviceEntry('ratings.example.com', [served.port], { protocol: 'GRPC' }), {
      format: { kind: 'json', fields, omitEmptyValues: false },
    });
    const client = echoClient('mesh:///ratings.example.com', logged.mesh.grpc.credentials(), logged.mesh.grpc.options());
    left.push(() => client[Symbol.asyncDispose]());
    expect((await client.say('hello')).code).toBe(0);
    served.fail = { code: 5, times: 1 };
    expect((await client.say('hello')).code).toBe(5);
    const path = '/test.Echo/Say';
    expect(await logged.lines('client')).toEqual([
      { http: 200, protocol: 'HTTP/2', path, name: 'OK', number: 0 },
      { http: 200, protocol: 'HTTP/2', path, name: 'NotFound', number: 5 },
    ]);
  });

  it('a WebSocket, when it closes', async () => {
    const server = createServer();
    server.on('upgrade', (request, socket) => {
      const accept = createHash('sha1')
        .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64');
      socket.on('error', () => {});
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
      );
      // Whatever he says is his last word: a close frame comes back.
      socket.once('data', () => socket.end(Buffer.from([0x88, 0])));
    });
    const port = await listening(server);
    left.push(() => server.close());
    const logged = await logging(serviceEntry(HOST, [port]));
    const socket = new WebSocket(`ws://${HOST}/room?x=1`, { dispatcher: logged.mesh.dispatcher });
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    await sleep(120);
    const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
    socket.close();
    await closed;
    const line = await one(logged);
    expect(line).toMatchObject({
      method: 'GET',
      path: '/room?x=1',
      protocol: 'HTTP/1.1',
      response_code: 101,
      upstream_host: `127.0.0.1:${port}`,
    });
    expect(line['duration']).toBeGreaterThanOrEqual(119);
  });

  it('only where the filter holds', async () => {
    await using server = await upstream((request, response) => response.writeHead(request.url === '/bad' ? 500 : 200).end());
    const logged = await logging(serviceEntry(HOST, [server.port]), {
      filter: 'response.code >= 400 || request.url_path.startsWith("/seen")',
    });
    for (const path of ['/good', '/bad', '/seen/too']) await (await logged.mesh.fetch(`http://${HOST}${path}`)).text();
    expect((await logged.lines('client')).map(({ path }) => path)).toEqual(['/bad', '/seen/too']);
  });
});

describe('of a call that comes in', () => {
  async function serving(handler: RequestListener, yaml = denyPaths('/secret'), options: LogOptions = {}) {
    const logged = await logging(yaml, options);
    const { port, close } = await logged.mesh.listen(handler, { port: 0, host: '127.0.0.1' });
    left.push(() => close({ graceMs: 100 }));
    return { logged, port };
  }

  it('who asked, what, and what he was told', async () => {
    const { logged, port } = await serving((_request, response) => {
      response.setHeader('x-shard', '3');
      response.end('hello');
    });
    const answer = await fetch(`http://127.0.0.1:${port}/a?b=c`, { method: 'POST', body: 'four', headers: { 'user-agent': 'test/1' } });
    expect(await answer.text()).toBe('hello');
    const line = await one(logged, 'server');
    expect(line).toMatchObject({
      method: 'POST', path: '/a?b=c', protocol: 'HTTP/1.1', response_code: 200, response_flags: '-', response_code_details: 'via_upstream',
      bytes_received: 4, user_agent: 'test/1', authority: `127.0.0.1:${port}`, upstream_host: `127.0.0.1:${port}`,
      upstream_cluster: `inbound|${port}||`, downstream_local_address: `127.0.0.1:${port}`, requested_server_name: null,
    }); // prettier-ignore
    expect(line['downstream_remote_address']).toMatch(/^127\.0\.0\.1:\d{4,5}$/);
  });

  it('403 names the policy that refused', async () => {
    const { logged, port } = await serving((_request, response) => response.end());
    expect((await fetch(`http://127.0.0.1:${port}/secret`)).status).toBe(403);
    expect(await one(logged, 'server')).toMatchObject({
      response_code: 403,
      response_flags: '-',
      response_code_details: expect.stringMatching(
        /^rbac_access_denied_matched_policy\[ns\[default\]-policy\[[^\]]+\]-rule\[0\]\]$/,
      ) as string,
      upstream_host: null,
    });
  });

  it('403 where no ALLOW rule matches', async () => {
    const allow = `---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: some, namespace: default }
spec: { action: ALLOW, rules: [{ to: [{ operation: { paths: [/open] } }] }] }
`;
    const { logged, port } = await serving((_request, response) => response.end(), allow);
    await fetch(`http://127.0.0.1:${port}/other`);
    expect(await one(logged, 'server')).toMatchObject({
      response_code: 403,
      response_code_details: 'rbac_access_denied_matched_policy[none]',
    });
  });

  it('401 says what is wrong with the token', async () => {
    const jwt = `---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: jwt, namespace: default }
spec: { jwtRules: [{ issuer: me, jwks: '{"keys":[]}' }] }
`;
    const { logged, port } = await serving((_request, response) => response.end(), jwt);
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { authorization: 'Bearer nonsense' } });
    const why = (await answer.text()).trim();
    expect(await one(logged, 'server')).toMatchObject({
      response_code: 401,
      response_code_details: `jwt_authn_access_denied{${why.replaceAll(' ', '_')}}`,
    });
  });

  it('nothing was sent to a caller who left', async () => {
    const { logged, port } = await serving(() => {});
    await expect(fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(100) })).rejects.toThrow();
    await sleep(50);
    expect(await one(logged, 'server')).toMatchObject({
      response_code: 0,
      response_flags: 'DC',
      response_code_details: 'downstream_remote_disconnect',
    });
  });

  it('headers of the answer, however the program wrote them', async () => {
    const format: AccessLogFormat = { kind: 'text', format: '%RESP(X-ONE)% %RESP(SET-COOKIE)% %RESP(X-NONE)%', omitEmptyValues: false };
    const { logged, port } = await serving(
      (request, response) => {
        if (request.url === '/set') response.setHeader('X-One', '1').setHeader('set-cookie', ['a=1', 'b=2']).end();
        else response.writeHead(200, { 'X-One': '1', 'Set-Cookie': ['a=1', 'b=2'] }).end();
      },
      denyPaths('/secret'),
      { format },
    );
    for (const path of ['/set', '/write']) await fetch(`http://127.0.0.1:${port}${path}`);
    expect(await logged.text('server.log')).toBe('1 a=1,b=2 -\n1 a=1,b=2 -\n');
  });

  it('by mutual TLS: both ends say who the other is', async () => {
    const ca = createDevCa();
    const fields = {
      down: '%DOWNSTREAM_PEER_URI_SAN%', own: '%DOWNSTREAM_LOCAL_URI_SAN%', up: '%UPSTREAM_PEER_URI_SAN%', sni: '%REQUESTED_SERVER_NAME%',
      mtls: '%CEL(connection.mtls)%', code: '%RESPONSE_CODE%',
    }; // prettier-ignore
    const as = (serviceAccount: string) => ({
      identity: devCertificates(ca, { namespace: 'default', serviceAccount }),
      format: { kind: 'json', fields, omitEmptyValues: true } as AccessLogFormat,
    });
    const { logged: server, port } = await serving((_request, response) => response.end('ok'), '', as('web'));
    const entry = serviceEntry(HOST, []).replace('  endpoints:\n', `  endpoints: [{ address: 127.0.0.1, ports: { main: ${port} }, serviceAccount: web, labels: { security.istio.io/tlsMode: istio } }]\n`); // prettier-ignore
    const client = await logging(entry, as('web'));
    expect((await client.mesh.fetch(`http://${HOST}/`)).status).toBe(200);
    const uri = 'spiffe://cluster.local/ns/default/sa/web';
    expect(await one(client)).toEqual({ up: uri, mtls: 'true', code: 200 });
    expect(await one(server, 'server')).toMatchObject({ down: uri, own: uri, mtls: 'true', code: 200 });
  });

  it('gRPC', async () => {
    const fields = { protocol: '%PROTOCOL%', status: '%GRPC_STATUS(SNAKE_STRING)%', kind: '%RESP(CONTENT-TYPE)%' };
    const logged = await logging('', { format: { kind: 'json', fields, omitEmptyValues: false } });
    const served = await echo('one', { server: logged.mesh.grpc.server() });
    const client = echoClient(`127.0.0.1:${served.port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    await client.say('hello');
    served.fail = { code: 14, times: 1 };
    await client.say('hello');
    await client[Symbol.asyncDispose]();
    served.stop();
    expect(await logged.lines('server')).toEqual([
      { protocol: 'HTTP/2', status: 'OK', kind: 'application/grpc+proto' },
      { protocol: 'HTTP/2', status: 'UNAVAILABLE', kind: 'application/grpc+proto' },
    ]);
  });
});

it('a log that was moved away goes on in a new file', async () => {
  await using server = await upstream(say('hello'));
  const logged = await logging(serviceEntry(HOST, [server.port]));
  const file = join(logged.folder, 'client.log');
  await (await logged.mesh.fetch(`http://${HOST}/1`)).text();
  await expect.poll(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'), { timeout: 5000 }).toBe(true);
  renameSync(file, `${file}.1`);
  for (const path of ['/2', '/3']) await (await logged.mesh.fetch(`http://${HOST}${path}`)).text();
  expect((await logged.lines('client')).map(({ path }) => path)).toEqual(['/2', '/3']);
  expect(readFileSync(`${file}.1`, 'utf8')).toContain('"/1"');
});

it('a disk that is full costs no call: what is lost is told and counted', async () => {
  await using server = await upstream(say('hello'));
  const format: AccessLogFormat = { kind: 'text', format: null, omitEmptyValues: false };
  const events: MeshEvent[] = [];
  const logged = await logging(serviceEntry(HOST, [server.port]), { format, path: '/dev/full', onLog: (event) => events.push(event) });
  for (const path of ['/1', '/2', '/3']) expect((await logged.mesh.fetch(`http://${HOST}${path}`)).status).toBe(200);
  await expect.poll(() => events, { timeout: 5000 }).toHaveLength(1);
  expect(events[0]).toMatchObject({
    type: 'log.failed',
    log: '/dev/full',
    reason: expect.stringContaining('ENOSPC') as string,
    dropped: 3,
  });
});

it('what waits when the process ends is written then, to files and to the standard output', () => {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-access-'));
  left.push(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'access.log');
  const program = `
    import { accessLogs } from '@inmesh/telemetry';
    import { testEndedCall, testWorkload } from '@inmesh/core/testing';
    const to = (path) => ({ provider: 'test', filter: null, sink: { kind: 'file', path, format: { kind: 'text', format: '%RESPONSE_CODE%', omitEmptyValues: false } } });
    const accessLogRules = ['/dev/stdout', ${JSON.stringify(file)}].map(to);
    const route = accessLogs({ workload: testWorkload() }).route({ side: 'client', telemetry: { accessLogs: accessLogRules } });
    route.ended(testEndedCall({ status: 503 }));
    process.exit(3);
  `;
  const { status, stdout } = spawnSync(process.execPath, ['--conditions=@inmesh/source', '--input-type=module', '-e', program], {
    cwd: join(import.meta.dirname, '../..'),
    encoding: 'utf8',
  });
  expect([status, stdout, readFileSync(file, 'utf8')]).toEqual([3, '503\n', '503\n']);
});
