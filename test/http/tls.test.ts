import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createSecureServer, type ServerOptions } from 'node:https';
import { createSecureServer as createSecureHttp2Server, createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { createDevCa, type DevSvid } from '@inmesh/identity/dev';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { destinationRule, meshOf, serviceEntry, type TestMesh, virtualService } from '../support/mesh.ts';
import { type Answer, upstream } from '../support/upstream.ts';

const HOST = 'vault.example.com';
const left: AsyncDisposable[] = [];
let folder: string;
const ca = createDevCa();
let server: DevSvid;
let client: DevSvid;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-tls-'));
  server = ca.issue({ serviceAccount: 'vault', hosts: [HOST] });
  client = ca.issue({ serviceAccount: 'client' });
  for (const [name, text] of Object.entries({ 'ca.pem': ca.roots, 'client.pem': client.certificate, 'client.key': client.privateKey }))
    writeFileSync(join(folder, name), text);
});

afterAll(() => rmSync(folder, { recursive: true }));

afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function secure(answer: Answer, options: ServerOptions = {}) {
  const made = await upstream(answer, (listener) => {
    const secured = createSecureServer({ cert: server.certificate, key: server.privateKey, ...options }, listener);
    // Every call gets a connection of its own: what is tested is the handshake.
    secured.maxRequestsPerSocket = 1;
    return secured as never;
  });
  left.push(made);
  return made;
}

async function mesh(yaml: string): Promise<TestMesh> {
  const made = await meshOf(yaml);
  left.push(made);
  return made;
}

const tell: Answer = (request, response) => {
  const socket = request.socket as TLSSocket;
  response.end(
    JSON.stringify({ sni: socket.servername, peer: socket.getPeerCertificate().subjectaltname ?? null, host: request.headers.host }),
  );
};

const virtual = (authority: string) =>
  virtualService(HOST, `- rewrite: { authority: ${authority} }\n  route: [{ destination: { host: ${HOST} } }]`);
const tls = (text: string) => destinationRule(HOST, `trafficPolicy: { tls: { ${text} } }`);

describe('TLS to the upstream', () => {
  it('SIMPLE: an http call leaves as TLS, with the host as SNI, verified against the given CA', async () => {
    const vault = await secure(tell);
    const { request } = await mesh(serviceEntry(HOST, [vault.port]) + tls(`mode: SIMPLE, caCertificates: ${folder}/ca.pem`));
    expect((await request(`http://${HOST}/`)).json()).toEqual({ sni: HOST, peer: null, host: HOST });
  });

  it('SIMPLE: sni of the policy is sent instead', async () => {
    const vault = await secure(tell);
    const { request } = await mesh(
      serviceEntry(HOST, [vault.port]) +
        tls(`mode: SIMPLE, caCertificates: ${folder}/ca.pem, sni: other.example.com, subjectAltNames: ["${HOST}"]`),
    );
    expect((await request(`http://${HOST}/`)).json()).toMatchObject({ sni: 'other.example.com' });
  });

  it('SIMPLE: a server the CA did not sign, or with another name, is not talked to', async () => {
    const vault = await secure(tell);
    const system = await mesh(serviceEntry(HOST, [vault.port]) + tls('mode: SIMPLE'));
    const refused = await system.request(`http://${HOST}/`);
    expect([refused.status, refused.headers['x-inmesh-flags']]).toEqual([503, 'UF,URX']);
    const named = await mesh(
      serviceEntry(HOST, [vault.port]) + tls(`mode: SIMPLE, caCertificates: ${folder}/ca.pem, subjectAltNames: [other.example.com]`),
    );
    const wrong = await named.request(`http://${HOST}/`);
    expect(wrong.status).toBe(503);
    expect(wrong.text()).toContain('subjectAltNames');
    expect(vault.seen).toHaveLength(0);
  });

  it('SIMPLE: a CA file that is empty trusts nobody, not everybody', async () => {
    const vault = await secure(tell);
    writeFileSync(join(folder, 'empty.pem'), '');
    const before = getCACertificates('default');
    setDefaultCACertificates([ca.roots]);
    try {
      const open = await mesh(serviceEntry(HOST, [vault.port]) + tls('mode: SIMPLE'));
      expect((await open.request(`http://${HOST}/`)).status).toBe(200);
      const empty = await mesh(serviceEntry(HOST, [vault.port]) + tls(`mode: SIMPLE, caCertificates: ${folder}/empty.pem`));
      expect((await empty.request(`http://${HOST}/`)).status).toBe(503);
      expect(vault.seen).toHaveLength(1);
    } finally {
      setDefaultCACertificates(before);
    }
  });

  it('SIMPLE: an address is verified as such', async () => {
    const own = ca.issue({ serviceAccount: 'vault', hosts: ['127.0.0.1'] });
    const byAddress = await secure(tell, { cert: own.certificate, key: own.privateKey });
    const byName = await secure(tell);
    const statusOf = async (port: number): Promise<number> => {
      const { request } = await mesh(
        serviceEntry(HOST, [port]) + tls(`mode: SIMPLE, caCertificates: ${folder}/ca.pem`) + virtual('127.0.0.1'),
      );
      return (await request(`http://${HOST}/`)).status;
    };
    expect(await statusOf(byAddress.port)).toBe(200);
    expect(await statusOf(byName.port)).toBe(503);
  });

  it('SIMPLE: subjectAltNames accept a SPIFFE URI', async () => {
    const vault = await secure(tell);
    const { request } = await mesh(
      serviceEntry(HOST, [vault.port]) +
        tls(`mode: SIMPLE, caCertificates: ${folder}/ca.pem, subjectAltNames: ["spiffe://cluster.local/ns/default/sa/vault"]`),
    );
    expect((await request(`http://${HOST}/`)).status).toBe(200);
  });

  it('MUTUAL: shows the client certificate, and follows a renewal with new connections', async () => {
    const vault = await secure(tell, { ca: ca.roots, requestCert: true, rejectUnauthorized: true });
    const { request } = await mesh(
      serviceEntry(HOST, [vault.port]) +
        tls(`mode: MUTUAL, clientCertificate: ${folder}/client.pem, privateKey: ${folder}/client.key, caCertificates: ${folder}/ca.pem`),
    );
    expect((await request(`http://${HOST}/`)).json()).toMatchObject({ peer: 'URI:spiffe://cluster.local/ns/default/sa/client' });
    const renewed = ca.issue({ serviceAccount: 'renewed' });
    writeFileSync(join(folder, 'client.key'), renewed.privateKey);
    writeFileSync(join(folder, 'client.pem'), renewed.certificate);
    await expect
      .poll(async () => (await request(`http://${HOST}/`)).json())
      .toMatchObject({ peer: 'URI:spiffe://cluster.local/ns/default/sa/renewed' });
  });

  it('an https call to a service of the mesh is routed like any other, and verified like the bare client does', async () => {
    const vault = await secure(tell);
    const { request } = await mesh(serviceEntry(HOST, [vault.port], { port: 443, protocol: 'HTTPS' }));
    const answer = await request(`https://${HOST}/`);
    expect([answer.status, answer.headers['x-inmesh-flags']]).toEqual([503, 'UF,URX']);
    expect(answer.text()).toMatch(/self-signed|unable to verify|issuer/);
  });

  it('ISTIO_MUTUAL without a workload certificate is refused, never sent in the clear', async () => {
    const vault = await upstream(tell);
    left.push(vault);
    const { request } = await mesh(serviceEntry(HOST, [vault.port]) + tls('mode: ISTIO_MUTUAL'));
    const answer = await request(`http://${HOST}/`);
    expect(answer.status).toBe(503);
    expect(answer.text()).toContain('workload certificate');
    expect(vault.seen).toHaveLength(0);
  });
});

describe('HTTP/2 to the upstream', () => {
  it('without TLS, where the port says HTTP2', async () => {
    const streams: string[] = [];
    const http2 = createHttp2Server((request, response) => {
      streams.push(request.httpVersion);
      response.end('two');
    });
    await new Promise<void>((resolve) => http2.listen(0, '127.0.0.1', resolve));
    left.push({ [Symbol.asyncDispose]: async () => void http2.close() });
    const { request } = await mesh(serviceEntry(HOST, [(http2.address() as AddressInfo).port], { protocol: 'HTTP2' }));
    const answers = await Promise.all(Array.from({ length: 20 }, () => request(`http://${HOST}/`)));
    expect(answers.map((answer) => answer.text())).toEqual(Array.from({ length: 20 }, () => 'two'));
    expect(new Set(streams)).toEqual(new Set(['2.0']));
  });

  it('over TLS by ALPN', async () => {
    const versions: string[] = [];
    const http2 = createSecureHttp2Server({ cert: server.certificate, key: server.privateKey }, (request, response) => {
      versions.push(request.httpVersion);
      response.end('two');
    });
    await new Promise<void>((resolve) => http2.listen(0, '127.0.0.1', resolve));
    left.push({ [Symbol.asyncDispose]: async () => void http2.close() });
    const { request } = await mesh(
      serviceEntry(HOST, [(http2.address() as AddressInfo).port], { protocol: 'HTTP2' }) +
        tls(`mode: SIMPLE, caCertificates: ${folder}/ca.pem`),
    );
    expect((await request(`http://${HOST}/`)).text()).toBe('two');
    expect(versions).toEqual(['2.0']);
  });
});
