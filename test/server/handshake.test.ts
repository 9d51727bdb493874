import type { Identity } from '@inmesh/core';
import { createDevCa, type DevCa } from '@inmesh/identity/dev';
import type { RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { meshOf, type TestMesh } from '../support/mesh.ts';
import { denyPaths, get, listening, peerAuthentication, statusOf, talk } from '../support/raw.ts';

const left: (() => unknown)[] = [];
afterEach(async () => {
  for (const leave of left.splice(0).reverse()) await leave();
});

const ca = createDevCa();
const stranger = createDevCa();
const svid = (from: DevCa, serviceAccount = 'client', ttlMs = 3_600_000): ConnectionOptions => {
  const { certificate: cert, privateKey: key } = from.issue({ serviceAccount, ttlMs });
  return { cert, key };
};

/** A certificate of `from`, and whom it believes; `push` is a rotation. */
function rotating(from: DevCa, roots: () => string = () => from.roots) {
  const issue = (): Identity => {
    const issued = from.issue({ serviceAccount: 'server' });
    return { ...issued, bundles: new Map([[from.trustDomain, roots()]]), crl: '', version: String(Math.random()) };
  };
  let push = (): void => {};
  return {
    source: {
      name: 'test',
      watch: (onChange: (state: { state: 'ready'; identity: Identity }) => void) => {
        push = () => onChange({ state: 'ready', identity: issue() });
        push();
        return { close: () => {} };
      },
    },
    rotate: () => push(),
  };
}

const whoami: RequestListener = (request, response) => response.end(String(request.mesh!.principal?.uri));

async function serve(mode: string, handler = whoami, believed = rotating(ca)) {
  const mesh: TestMesh = await meshOf(mode === '' ? '' : peerAuthentication(mode), { identity: believed.source });
  const { port, close, server } = await mesh.listen(handler, { port: 0, host: '127.0.0.1' });
  left.push(() => mesh.close({ graceMs: 100 }), () => close({ graceMs: 100 })); // prettier-ignore
  return { mesh, port, server, rotate: believed.rotate };
}

/** A connection as openssl's s_client makes it, and what is heard on it; 'closed': no handshake, or no answer. */
async function call(port: number, options: ConnectionOptions, request = get('/', ['Connection: close'])): Promise<string> {
  const socket = open(port, options);
  let heard = '';
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  socket.once('secureConnect', () => socket.write(request));
  await new Promise((resolve) => socket.once('close', resolve));
  return heard === '' ? 'closed' : `${statusOf(heard)} ${heard.split('\r\n\r\n')[1]}`;
}

function open(port: number, options: ConnectionOptions): TLSSocket {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  socket.on('error', () => {});
  return socket;
}

const CLIENT = '200 spiffe://cluster.local/ns/default/sa/client';
const NOBODY = '200 undefined';

describe('by its first byte and the mode of its port a connection', () => {
  it.each<[string, Record<string, string>]>([
    ['STRICT', { mutual: CLIENT, tls: 'closed', foreign: 'closed', expired: 'closed', plain: '0' }],
    ['PERMISSIVE', { mutual: CLIENT, tls: NOBODY, foreign: 'closed', expired: 'closed', plain: '200' }],
    // No mode at all is PERMISSIVE, as in Istio.
    ['', { mutual: CLIENT, tls: NOBODY, foreign: 'closed', expired: 'closed', plain: '200' }],
    ['DISABLE', { mutual: 'closed', tls: 'closed', foreign: 'closed', expired: 'closed', plain: '200' }],
  ])('is let in under "%s" as that says', async (mode, expected) => {
    const { port } = await serve(mode);
    const old = svid(ca, 'client', 1000);
    const plain = await talk(port, get('/', ['Connection: close']), 500);
    await sleep(1100);
    expect({
      mutual: await call(port, svid(ca)),
      tls: await call(port, {}),
      foreign: await call(port, svid(stranger)),
      expired: await call(port, old),
      plain: String(statusOf(plain)),
    }).toEqual(expected);
  });

  it('is never downgraded: no TLS before 1.2, no weak cipher, none of the session before', async () => {
    const { port } = await serve('STRICT');
    expect(await call(port, { ...svid(ca), minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })).toBe('closed');
    expect(await call(port, { ...svid(ca), maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' })).toBe('closed');
    expect(await call(port, { ...svid(ca), maxVersion: 'TLSv1.2' })).toBe(CLIENT);
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = open(port, { ...svid(ca), maxVersion });
      let session: Buffer | undefined;
      first.on('session', (one: Buffer) => (session = one));
      first.once('secureConnect', () => first.write(get('/')));
      await new Promise((resolve) => first.once('data', resolve));
      session ??= first.getSession();
      first.destroy();
      const second = open(port, { ...svid(ca), maxVersion, session: session! });
      await new Promise((resolve) => second.once('secureConnect', resolve));
      expect(second.isSessionReused()).toBe(false);
      second.destroy();
    }
  });

  it.each(['istio', 'istio-http/1.1', 'http/1.1'])('may ask for %s', async (protocol) => {
    const { port } = await serve('STRICT');
    const socket = open(port, { ...svid(ca), ALPNProtocols: ['x', protocol] });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    expect(socket.alpnProtocol).toBe(protocol);
    socket.destroy();
  });

  it('that says garbage, half a handshake, or nothing harms nobody', async () => {
    const { port, server } = await serve('STRICT');
    for (const bytes of ['\x16\x03\x01\x00\x05hello', '\x16', '\x16\x03\x01', '\0', 'GET']) {
      const socket = connectTcp(port, '127.0.0.1', () => socket.end(bytes, 'latin1'));
      socket.on('error', () => {}).resume();
      await new Promise((resolve) => socket.once('close', resolve));
    }
    const silent = connectTcp(port, '127.0.0.1', () => silent.end());
    silent.resume();
    await new Promise((resolve) => silent.once('close', resolve));
    expect(await call(port, svid(ca))).toBe(CLIENT);
    await sleep(50);
    expect(await new Promise((resolve) => server.getConnections((_, count) => resolve(count)))).toBe(0);
  });

  it('obeys a mode that changed a moment ago', async () => {
    const { mesh, port } = await serve('PERMISSIVE');
    expect(statusOf(await talk(port, get('/', ['Connection: close'])))).toBe(200);
    mesh.set(peerAuthentication('STRICT'));
    expect(await talk(port, get('/', ['Connection: close']))).toBe('');
  });
});

describe('a connection whose caller is not believed any more', () => {
  /** Roots that the server believes; without the client's from some moment on. */
  const believing = () => {
    let roots = ca.roots;
    return { ...rotating(ca, () => roots), forget: () => (roots = stranger.roots) };
  };

  it('ends at once when nothing is under way, and cannot come again', async () => {
    const believed = believing();
    const { port, rotate } = await serve('STRICT', whoami, believed);
    const socket = open(port, svid(ca));
    socket.once('secureConnect', () => socket.write(get('/')));
    await new Promise((resolve) => socket.once('data', resolve));
    rotate();
    await sleep(100);
    expect(socket.destroyed).toBe(false);
    believed.forget();
    rotate();
    await new Promise((resolve) => socket.once('close', resolve));
    expect(await call(port, svid(ca))).toBe('closed');
  });

  it('ends behind the answer that is under way, and takes no other call', async () => {
    const believed = believing();
    const { port, rotate } = await serve('STRICT', (_, response) => void sleep(200).then(() => response.end('late')), believed);
    const socket = open(port, svid(ca));
    let heard = '';
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    socket.once('secureConnect', () => socket.write(get('/')));
    await sleep(100);
    believed.forget();
    rotate();
    socket.write(get('/'));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(heard).toMatch(/^HTTP\/1.1 200 .*connection: close.*\r\n\r\nlate$/is);
  });

  it('ends behind an answer that had begun, too, and refuses what is asked behind it', async () => {
    const believed = believing();
    const { port, rotate } = await serve('STRICT', (_, response) => {
      response.write('be');
      void sleep(200).then(() => response.end('gun'));
    }, believed); // prettier-ignore
    const socket = open(port, svid(ca));
    let heard = '';
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    socket.once('secureConnect', () => socket.write(get('/')));
    await sleep(100);
    believed.forget();
    rotate();
    socket.write(get('/'));
    const began = performance.now();
    await new Promise((resolve) => socket.once('close', resolve));
    expect(performance.now() - began).toBeLessThan(2000);
    expect([...heard.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status)).toEqual(['200', '403']);
  });

  it('by the end of its certificate ends behind its next answer', async () => {
    const { port } = await serve('STRICT');
    const socket = open(port, svid(ca, 'client', 1000));
    const ask = () =>
      new Promise<string>((resolve) => {
        socket.once('data', (chunk: Buffer) => resolve(chunk.toString()));
        socket.write(get('/'));
      });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    expect(await ask()).toMatch(/keep-alive/i);
    await sleep(1100);
    expect(await ask()).toMatch(/^HTTP\/1.1 200 .*connection: close/is);
    await new Promise((resolve) => socket.once('close', resolve));
  });
});

describe('a server of node:https', () => {
  it('keeps its own TLS; a certificate it asked for counts for what it proves', async () => {
    const mesh = await meshOf(denyPaths('/secret'), { identity: rotating(ca).source });
    const { certificate: cert, privateKey: key } = ca.issue({ serviceAccount: 'server' });
    const server = createHttpsServer({ cert, key, requestCert: true, rejectUnauthorized: false }, whoami);
    mesh.attach(server);
    const port = await listening(server);
    left.push(() => mesh.close({ graceMs: 100 }), () => server.close(), () => server.closeAllConnections()); // prettier-ignore
    expect(await call(port, svid(ca))).toBe(CLIENT);
    expect(await call(port, svid(stranger))).toBe(NOBODY);
    expect(await call(port, {})).toBe(NOBODY);
    expect(await call(port, svid(ca), get('/x/../secret', ['Connection: close']))).toBe('403 RBAC: access denied');
    mesh.set(peerAuthentication('STRICT'));
    expect(await call(port, svid(ca))).toBe(CLIENT);
    expect(await call(port, {})).toBe('403 mutual TLS is required');
  });
});
