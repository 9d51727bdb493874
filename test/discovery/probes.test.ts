import { createServer as createHttp, type RequestListener } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer as createTcp, type AddressInfo, type Server } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import { healthChecks } from '@inmesh/discovery';
import { type Endpoint, systemClock } from '@inmesh/core';
import { createDevCa } from '@inmesh/identity/dev';
import type { Probe } from '@inmesh/policy';
import { HealthImplementation } from 'grpc-health-check';
import { afterAll, describe, expect, it } from 'vitest';

const cleanups: (() => unknown)[] = [];
afterAll(async () => {
  for (const clean of cleanups) await clean();
});

async function listening<S extends Server>(server: S, path?: string): Promise<S> {
  cleanups.push(() => server.close());
  await new Promise<void>((resolve) => (path === undefined ? server.listen(0, '127.0.0.1', resolve) : server.listen(path, resolve)));
  return server;
}
const portOf = (server: Server): number => (server.address() as AddressInfo).port;
const http = async (listener: RequestListener): Promise<number> => portOf(await listening(createHttp(listener)));

/** What one question to an endpoint comes to: its health after a single answer. */
async function health(ask: Probe['ask'], endpoint: Partial<Endpoint> = {}): Promise<string> {
  const probe: Probe = { initialDelayMs: 0, timeoutMs: 300, periodMs: 40, successThreshold: 1, failureThreshold: 1, ask };
  const one = { address: 'x', host: '127.0.0.1', port: 1, health: 'healthy', probe, ...endpoint } as Endpoint;
  let changed = (): void => {};
  const news = new Promise<void>((resolve) => (changed = resolve));
  const watch = healthChecks().follow(() => changed(), { clock: systemClock, random: () => 0 });
  watch.judge([one]);
  await Promise.race([news, pause(600)]);
  const [judged] = watch.judge([one]);
  watch.close();
  return judged!.health;
}

const get = (port: number, more: object = {}): Probe['ask'] => ({
  kind: 'http',
  port,
  path: '/healthz',
  host: null,
  tls: false,
  headers: [],
  ...more,
});

describe('httpGet', () => {
  it.each([
    [200, 'healthy'],
    [302, 'healthy'],
    [399, 'healthy'],
    [404, 'unhealthy'],
    [503, 'unhealthy'],
  ])('answered with %i is %s', async (status, expected) => {
    const port = await http((_, response) => response.writeHead(status, { location: '/elsewhere' }).end('x'));
    expect(await health(get(port))).toBe(expected);
  });

  it('asks for the path, with the host and the headers of the probe', async () => {
    const port = await http((request, response) => {
      const { url, headers } = request;
      response.writeHead(url === '/healthz' && headers.host === 'api.test' && headers['x-probe'] === 'yes' ? 200 : 500).end();
    });
    expect(await health(get(port, { host: 'api.test', headers: [['x-probe', 'yes']] }))).toBe('healthy');
    expect(await health(get(port, { headers: [['x-probe', 'yes']] }))).toBe('unhealthy');
  });

  it('does not wait for a body without an end, nor for an answer that does not come', async () => {
    const endless = await http((_, response) => void response.writeHead(200).write('x'));
    expect(await health(get(endless))).toBe('healthy');
    const silent = await http(() => {});
    expect(await health(get(silent))).toBe('unhealthy');
    const garbage = portOf(await listening(createTcp((socket) => socket.on('error', () => {}).end('\u0000\u0001 nonsense\r\n\r\n'))));
    expect(await health(get(garbage))).toBe('unhealthy');
  });

  it('over TLS does not look at the certificate', async () => {
    const { certificate, privateKey } = createDevCa().issue({ namespace: 'default', serviceAccount: 'web' });
    const server = await listening(createHttps({ cert: certificate, key: privateKey }, (_, response) => response.end()));
    expect(await health(get(portOf(server), { tls: true }))).toBe('healthy');
    expect(await health(get(portOf(server)))).toBe('unhealthy');
  });

  it('asks over the Unix socket of an endpoint that is one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'inmesh-probe-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'app.sock');
    await listening(
      createHttp((_, response) => response.end()),
      path,
    );
    expect(await health(get(80), { host: path, port: 0 })).toBe('healthy');
    expect(await health(get(80), { host: `${path}.gone`, port: 0 })).toBe('unhealthy');
  });
});

describe('tcpSocket', () => {
  it('is healthy where a connection can be made', async () => {
    const server = await listening(createTcp((socket) => socket.on('error', () => {})));
    const port = portOf(server);
    expect(await health({ kind: 'tcp', port })).toBe('healthy');
    await new Promise((resolve) => server.close(resolve));
    expect(await health({ kind: 'tcp', port })).toBe('unhealthy');
  });
});

describe('grpc', () => {
  it('asks grpc.health.v1 for the server, or for one service of it', async () => {
    const server = new GrpcServer();
    const implementation = new HealthImplementation({ '': 'SERVING', 'shop.Ratings': 'NOT_SERVING' });
    implementation.addToServer(server);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    cleanups.push(() => server.forceShutdown());
    const grpc = (service: string): Probe['ask'] => ({ kind: 'grpc', port, service });
    expect(await health(grpc(''))).toBe('healthy');
    expect(await health(grpc('shop.Ratings'))).toBe('unhealthy');
    expect(await health(grpc('shop.Unknown'))).toBe('unhealthy');
    implementation.setStatus('shop.Ratings', 'SERVING');
    expect(await health(grpc('shop.Ratings'))).toBe('healthy');
    expect(await health({ kind: 'grpc', port: null, service: '' }, { port })).toBe('healthy');
  });

  it('is not healthy where nobody speaks gRPC, or nothing at all', async () => {
    expect(await health({ kind: 'grpc', port: await http((_, response) => response.end()), service: '' })).toBe('unhealthy');
    const silent = portOf(await listening(createTcp((socket) => socket.on('error', () => {}))));
    expect(await health({ kind: 'grpc', port: silent, service: '' })).toBe('unhealthy');
    expect(await health({ kind: 'grpc', port: 1, service: '' })).toBe('unhealthy');
  });
});
