import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, connect, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createDevCa } from '@inmesh/identity/dev';
import { destinationRule, meshOf, serviceEntry } from '../support/mesh.ts';
import { rawUpstream, say, upstream } from '../support/upstream.ts';

const HOST = 'shop.example.com';
const meshConfig = (spec: string) => `---\napiVersion: inmesh.dev/v1\nkind: MeshConfig\nmetadata: { name: default }\nspec: ${spec}\n`;

describe('connections', () => {
  it('to one endpoint are capped by default; calls beyond wait their turn', async () => {
    const slow = await rawUpstream((_request, response) => void setTimeout(() => response.end('ok'), 20));
    const mesh = await meshOf(serviceEntry(HOST, [slow.port]) + meshConfig('{ connectionsPerEndpoint: 8 }'));
    const answers = await Promise.all(Array.from({ length: 100 }, () => mesh.request(`http://${HOST}/`)));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(slow.connections).toBeLessThanOrEqual(8);
    await mesh.close();
    await slow.kill();
  });

  it('of a cold TLS pool under a burst do not starve it: every call is answered', { timeout: 30_000 }, async () => {
    const ca = createDevCa();
    const own = ca.issue({ serviceAccount: 'vault', hosts: [HOST] });
    const vault = await upstream(
      say('ok'),
      (listener) => createSecureServer({ cert: own.certificate, key: own.privateKey }, listener) as never,
    );
    const folder = mkdtempSync('/tmp/inmesh-cold-');
    writeFileSync(`${folder}/ca.pem`, ca.roots);
    const mesh = await meshOf(
      serviceEntry(HOST, [vault.port]) +
        destinationRule(HOST, `trafficPolicy: { tls: { mode: SIMPLE, caCertificates: ${folder}/ca.pem } }`),
    );
    const calls = 2000;
    const statuses: number[] = [];
    await Promise.all(
      Array.from({ length: calls }, async (_, index) => {
        // 2,000 calls a second, offered whether or not earlier ones were answered.
        await new Promise((resolve) => setTimeout(resolve, index / 2));
        statuses.push((await mesh.request(`http://${HOST}/`)).status);
      }),
    );
    expect(statuses.filter((status) => status === 200)).toHaveLength(calls);
    expect(vault.connections).toBeLessThanOrEqual(128);
    await mesh.close();
    await vault.kill();
    rmSync(folder, { recursive: true });
  });

  it('that idle are closed by us before the server would: no call meets a closing one', { timeout: 30_000 }, async () => {
    const { createServer: createHttpServer } = await import('node:http');
    const server = await upstream(say('ok'), (listener) => {
      const made = createHttpServer(listener);
      made.keepAliveTimeout = 1500;
      return made;
    });
    const mesh = await meshOf(
      serviceEntry(HOST, [server.port]) +
        `---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: none, namespace: default }\nspec:\n  hosts: [${HOST}]\n  http:\n  - retries: { attempts: 0 }\n    route: [{ destination: { host: ${HOST} } }]\n`,
    );
    // Pauses around the server's own limit, where a client that waits longer meets the race.
    for (const pause of [0, 1380, 1450, 1490, 1500, 1510, 1550]) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      expect((await mesh.request(`http://${HOST}/`)).status).toBe(200);
    }
    await mesh.close();
    await server.kill();
  });

  it('are recycled after maxRequestsPerConnection, and none is kept where it is 1', async () => {
    const server = await upstream(say('ok'));
    const mesh = await meshOf(
      serviceEntry(HOST, [server.port]) +
        destinationRule(HOST, 'trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } }'),
    );
    for (let i = 0; i < 5; i += 1) await mesh.request(`http://${HOST}/`);
    expect(server.connections).toBe(5);
    await mesh.close();
    await server.kill();
  });

  it('stay where they are when a new policy leaves their settings alone', async () => {
    const server = await upstream(say('ok'));
    const mesh = await meshOf(serviceEntry(HOST, [server.port]));
    // undici uses a connection again one turn of the event loop after its last answer.
    const turn = () => new Promise((resolve) => setTimeout(resolve, 10));
    await mesh.request(`http://${HOST}/`).then(turn);
    mesh.set(serviceEntry(HOST, [server.port]) + destinationRule(HOST, 'trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3 } }'));
    await mesh.request(`http://${HOST}/`).then(turn);
    expect(server.connections).toBe(1);
    mesh.set(
      serviceEntry(HOST, [server.port]) + destinationRule(HOST, 'trafficPolicy: { connectionPool: { tcp: { connectTimeout: 3s } } }'),
    );
    await mesh.request(`http://${HOST}/`);
    expect(server.connections).toBe(2);
    await expect.poll(() => server.open.size).toBe(1);
    await mesh.close();
    await expect.poll(() => server.open.size).toBe(0);
    await server.kill();
  });

  it('that come too late for the call they were opened for serve the next', async () => {
    const ca = createDevCa();
    const own = ca.issue({ serviceAccount: 'vault', hosts: [HOST] });
    const vault = await upstream(
      say('ok'),
      (listener) => createSecureServer({ cert: own.certificate, key: own.privateKey }, listener) as never,
    );
    let tunnels = 0;
    // A handshake that takes longer than the first call has.
    const slow = createServer((near) => {
      tunnels += 1;
      const far = connect(vault.port, '127.0.0.1');
      near.on('error', () => {}).on('close', () => far.destroy());
      far.on('error', () => {}).pipe(near);
      setTimeout(() => near.pipe(far), 150);
    });
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
    const folder = mkdtempSync('/tmp/inmesh-late-');
    writeFileSync(`${folder}/ca.pem`, ca.roots);
    const mesh = await meshOf(
      serviceEntry(HOST, [(slow.address() as AddressInfo).port]) +
        destinationRule(HOST, `trafficPolicy: { tls: { mode: SIMPLE, caCertificates: ${folder}/ca.pem } }`),
    );
    await expect(mesh.request(`http://${HOST}/`, { signal: AbortSignal.timeout(50) })).rejects.toThrow(/timeout/);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await mesh.request(`http://${HOST}/`)).status).toBe(200);
    expect(tunnels).toBe(1);
    await mesh.close();
    slow.close();
    await vault.kill();
    rmSync(folder, { recursive: true });
  });

  it('under one SNI are shared by all names a service is called by', async () => {
    const ca = createDevCa();
    const own = ca.issue({ serviceAccount: 'inner', hosts: ['inner.example.com'] });
    const vault = await upstream(
      say('ok'),
      (listener) => createSecureServer({ cert: own.certificate, key: own.privateKey }, listener) as never,
    );
    const folder = mkdtempSync('/tmp/inmesh-sni-');
    writeFileSync(`${folder}/ca.pem`, ca.roots);
    const mesh = await meshOf(
      serviceEntry(HOST, [vault.port]) +
        destinationRule(HOST, `trafficPolicy: { tls: { mode: SIMPLE, sni: inner.example.com, caCertificates: ${folder}/ca.pem } }`),
    );
    for (let i = 0; i < 10; i += 1) {
      const host = i % 2 === 0 ? HOST : `${HOST}.`;
      expect((await mesh.request(`http://${HOST}/`, { headers: { host } })).status).toBe(200);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(vault.connections).toBe(1);
    await mesh.close();
    await vault.kill();
    rmSync(folder, { recursive: true });
  });
});
