import { systemClock } from '@inmesh/core';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, expect, it } from 'vitest';
import { ApiError, KubeApi, Unreadable } from './api.ts';

let server: Server | undefined;
let api: KubeApi | undefined;
const sockets = new Set<Socket>();
afterEach(() => {
  api?.close();
  for (const socket of sockets) socket.destroy();
  server?.close();
});

async function asking(listener: RequestListener, { prefix = '', timeoutMs = 300 } = {}): Promise<KubeApi> {
  const started = createServer(listener);
  server = started;
  started.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
  const url = new URL(`http://127.0.0.1:${(started.address() as AddressInfo).port}${prefix}`);
  const credentials = () => Promise.resolve({ headers: { authorization: 'Bearer t' }, tls: {} });
  api = new KubeApi({ server: url, from: 'test', namespace: 'shop', credentials }, systemClock, timeoutMs);
  return api;
}

const watched = (from: KubeApi): Promise<{ readonly events: unknown[]; readonly error: Error | undefined }> => {
  const events: unknown[] = [];
  return from.watch('/w', { onEvents: (some) => void events.push(...some) }).then(
    () => ({ events, error: undefined }),
    (error: Error) => ({ events, error }),
  );
};

it('asks below the path of the server, with credentials, and unpacks', async () => {
  const asked: unknown[] = [];
  const client = await asking(
    (request, response) => {
      asked.push([request.url, request.headers.authorization, request.headers['accept-encoding']]);
      response.setHeader('content-encoding', 'gzip');
      response.end(gzipSync('{"items":[]}'));
    },
    { prefix: '/k8s/clusters/c1/' },
  );
  expect(await client.get('/api/v1/pods?limit=5')).toEqual({ items: [] });
  expect(asked).toEqual([['/k8s/clusters/c1/api/v1/pods?limit=5', 'Bearer t', 'gzip']]);
});

it('says what the server said, and when it wants to be asked again', async () => {
  const client = await asking((_request, response) => {
    response.writeHead(429, { 'retry-after': '7' });
    response.end('{"kind":"Status","message":"too many requests, please try again later"}');
  });
  const error = await client.get('/').catch((reason: unknown) => reason as ApiError);
  expect(error).toMatchObject({ status: 429, retryAfterMs: 7000, message: 'answered 429: too many requests, please try again later' });
});

it('asks once more where the server closed an idle connection just then', async () => {
  let count = 0;
  const client = await asking((request, response) => {
    count += 1;
    if (count === 2) request.socket.resetAndDestroy();
    else response.end('{}');
  });
  await client.get('/1');
  expect(await client.get('/2')).toEqual({});
  expect(count).toBe(3);
});

it('gives up on a server that does not begin, or stops in the middle', async () => {
  const client = await asking((request, response) => {
    if (request.url === '/half') response.writeHead(200, { 'content-length': '100' }).write('{');
  });
  await expect(client.get('/none')).rejects.toThrow('did not answer within 300 ms');
  await expect(client.get('/half')).rejects.toThrow('stopped in the middle of an answer');
});

it('puts events together, however they are cut, and letters of several bytes', async () => {
  const lines = Buffer.from('{"a":"ü€😀"}\n{"b":1}\n\n{"c":"half');
  const client = await asking((_request, response) => {
    response.writeHead(200);
    void (async () => {
      for (const byte of lines) {
        response.write(Buffer.from([byte]));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      response.end();
    })();
  });
  // Half an event at the end is none.
  expect(await watched(client)).toEqual({ events: [{ a: 'ü€😀' }, { b: 1 }], error: undefined });
});

it('tells what cannot be read from what was cut off', async () => {
  let count = 0;
  const client = await asking((request, response) => {
    count += 1;
    response.writeHead(200);
    if (count === 1) response.write('{"a":1}\n<html>\n');
    else response.write('{"a":1}\n{"b', () => request.socket.resetAndDestroy());
  });
  const garbage = await watched(client);
  expect(garbage.error).toBeInstanceOf(Unreadable);
  expect(garbage.error!.message).toBe('sent an event that is not JSON: <html>');
  const cut = await watched(client);
  expect(cut.events).toEqual([{ a: 1 }]);
  expect(cut.error).toBeInstanceOf(ApiError);
  expect(cut.error).not.toBeInstanceOf(Unreadable);
});

it('refuses events without an end', async () => {
  const client = await asking((_request, response) => {
    const chunk = 'x'.repeat(2 ** 20);
    const write = (): void => {
      if (!response.destroyed) response.write(chunk, () => setImmediate(write));
    };
    write();
  });
  expect((await watched(client)).error?.message).toMatch(/event of more than \d+ characters/);
});

it('ends what is under way when it is closed, and asks nothing more', async () => {
  const client = await asking((_request, response) => response.writeHead(200).flushHeaders());
  const under = watched(client);
  await new Promise((resolve) => setTimeout(resolve, 50));
  client.close();
  expect((await under).error).toBeInstanceOf(ApiError);
  await expect(client.get('/')).rejects.toThrow('closed');
});
