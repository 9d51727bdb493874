import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'undici';
import { meshOf, serviceEntry, virtualService } from '../support/mesh.ts';

const HOST = 'chat.example.com';
const left: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of left.splice(0).reverse()) await close();
});

/** The smallest WebSocket server: shakes hands, sends each short text back. */
async function echo(): Promise<{ port: number; seen: string[]; sockets: Set<Socket> }> {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((_request, response) => void response.writeHead(426).end());
  server.on('upgrade', (request, socket: Socket) => {
    seen.push(`${request.url} ${String(request.headers['x-tier'] ?? '')}`);
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
    );
    socket.on('data', (frame: Buffer) => {
      if ((frame[0]! & 0x0f) === 8) return void socket.end(Buffer.from([0x88, 0]));
      const length = frame[1]! & 0x7f;
      const mask = frame.subarray(2, 6);
      const text = Buffer.from(frame.subarray(6, 6 + length).map((byte, index) => byte ^ mask[index % 4]!));
      socket.write(Buffer.concat([Buffer.from([0x81, length]), text]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  left.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen, sockets };
}

describe('a WebSocket over the dispatcher', () => {
  it('is routed like any call, outlives the route’s timeout, and counts as one active call until it closes', async () => {
    const chat = await echo();
    const mesh = await meshOf(
      serviceEntry(HOST, [chat.port]) +
        virtualService(
          HOST,
          `- match: [{ uri: { prefix: /old } }]
             rewrite: { uri: /new }
             timeout: 150ms
             headers: { request: { set: { x-tier: gold } } }
             route: [{ destination: { host: ${HOST} } }]`,
        ),
    );
    left.push(() => mesh.close({ graceMs: 100 }));
    const socket = new WebSocket(`ws://${HOST}/old/room`, { dispatcher: mesh.dispatcher });
    const heard: string[] = [];
    socket.addEventListener('message', ({ data }) => heard.push(String(data)));
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', reject);
    });
    await new Promise((resolve) => setTimeout(resolve, 400));
    socket.send('still here');
    await expect.poll(() => heard).toEqual(['still here']);
    expect(chat.seen).toEqual(['/new/room gold']);
    expect(mesh.status().callsInFlight).toBe(1);
    expect(mesh.status().snapshot.clusters.find(({ active }) => active === 1)).toBeDefined();
    socket.close();
    await expect.poll(() => mesh.status().callsInFlight).toBe(0);
    expect(mesh.metrics()).toMatch(/istio_requests_total\{[^}]*response_code="101"[^}]*\} 1/);
  });

  it('fails as its API does when nobody is there', async () => {
    const mesh = await meshOf(serviceEntry(HOST, [1]));
    left.push(() => mesh.close({ graceMs: 100 }));
    const socket = new WebSocket(`ws://${HOST}/`, { dispatcher: mesh.dispatcher });
    await new Promise((resolve) => socket.addEventListener('error', resolve));
    await expect.poll(() => mesh.status().callsInFlight).toBe(0);
  });
});
