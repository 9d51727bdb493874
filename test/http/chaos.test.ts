import { createServer, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Notes } from '../support/handler.ts';
import { meshOf, serviceEntry, virtualService } from '../support/mesh.ts';

const HOST = 'shop.example.com';

/** Chance that can be had again. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

/** Everything a server does wrong, in bytes. */
const MANNERS: readonly ((socket: Socket) => void)[] = [
  (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
  (socket) => void socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n'),
  (socket) => void socket.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n'),
  (socket) => void socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n${'x'.repeat(300_000)}`),
  (socket) => void socket.write('HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy'),
  (socket) => void socket.write(`HTTP/1.1 503 Busy\r\ncontent-length: 300000\r\n\r\n${'x'.repeat(1000)}`),
  (socket) => void socket.write('HTTP/1.1 503 Busy\r\ncontent-length: 400\r\n\r\nnever ends'),
  (socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'),
  (socket) => void socket.end('nonsense\r\n\r\n'),
  (socket) => void socket.destroy(),
  (socket) => void socket.resetAndDestroy(),
  () => {},
  (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok');
    setTimeout(() => void socket.write('ok'), 15);
  },
  (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n');
    setTimeout(() => void socket.resetAndDestroy(), 10);
  },
  (socket) => void socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil I close', () => void socket.end()),
];

async function badServer(random: () => number) {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket)).on('error', () => {});
    let seen = '';
    socket.on('data', (data) => {
      seen += data.toString('latin1');
      if (!seen.includes('\r\n\r\n')) return;
      seen = '';
      MANNERS[Math.floor(random() * MANNERS.length)]!(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as { port: number }).port, open, close: () => server.close() };
}

const BODIES: readonly (() => unknown)[] = [
  () => null,
  () => 'text',
  () => Buffer.alloc(1000),
  () => new Blob(['blob']),
  () => new Blob(['stream']).stream(),
  () => Readable.from(['a', 'b', 'c']),
  () => Readable.from((function* () { for (let i = 0; i < 5; i += 1) yield Buffer.alloc(50_000); })()), // prettier-ignore
  () => (async function* () { yield Buffer.from('slow'); await sleep(10); yield Buffer.from('body'); })(), // prettier-ignore
  () => (async function* () { yield Buffer.from('bad'); await sleep(1); throw new Error('the source failed'); })(), // prettier-ignore
];

it.each([1, 2, 3])('whatever servers, callers and operators do, every call ends once and is counted once (seed %i)', async (seed) => {
  const random = seeded(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const servers = await Promise.all([badServer(random), badServer(random), badServer(random), badServer(random)]);
  const [one, two, three, dark] = servers;
  const policies = [
    `- timeout: 150ms\n  retries: { attempts: 2, perTryTimeout: 60ms, retryOn: "5xx,reset,connect-failure", backoff: 5ms }\n  mirrors: [{ destination: { host: dark.example.com } }]\n  route: [{ destination: { host: ${HOST} } }]`,
    `- timeout: 200ms\n  retries: { attempts: 0 }\n  fault: { delay: { fixedDelay: 20ms, percentage: { value: 30 } }, abort: { httpStatus: 418, percentage: { value: 10 } } }\n  route: [{ destination: { host: ${HOST} } }]`,
    `- timeout: 100ms\n  headers: { response: { set: { x-by: mesh } } }\n  route: [{ destination: { host: ${HOST} } }]`,
  ];
  const policy = (): string => {
    const ports = [one.port, two.port, three.port, 1].filter(() => random() < 0.8);
    return (
      serviceEntry(HOST, ports.length === 0 ? [one.port] : ports) +
      serviceEntry('dark.example.com', [dark.port]) +
      virtualService(HOST, pick(policies))
    );
  };
  const mesh = await meshOf(policy());
  const swaps = setInterval(() => mesh.set(policy()), 15);
  const calls: Notes[] = [];
  for (let i = 0; i < 600; i += 1) {
    const abortAt = random() < 0.2 ? random() * 60 : undefined;
    const abortOn = random() < 0.1 ? pick(['start', 'headers', 'data'] as const) : undefined;
    const throwOn = random() < 0.1 ? pick(['headers', 'data', 'end'] as const) : undefined;
    const pauses = random() < 0.2;
    const forEver = random() < 0.2;
    const react = (moment: string) => (controller: { abort(error: Error): void; pause(): void; resume(): void }) => {
      if (moment === 'start' && abortAt !== undefined) setTimeout(() => controller.abort(new Error('enough')), abortAt);
      if (pauses && (moment === 'headers' || moment === 'data')) {
        controller.pause();
        if (!forEver) setTimeout(() => controller.resume(), 3);
      }
      if (moment === abortOn) controller.abort(new Error('enough'));
      if (moment === throwOn) throw new Error('a bug of the application');
    };
    const notes = new Notes({ start: react('start'), headers: react('headers'), data: react('data'), end: react('end') });
    calls.push(notes);
    const method = pick(['GET', 'HEAD', 'POST', 'PUT', 'DELETE']);
    mesh.dispatcher.dispatch(
      { origin: `http://${HOST}`, path: '/', method, body: method === 'POST' || method === 'PUT' ? pick(BODIES)() : null } as never,
      notes,
    );
    if (i % 8 === 0) await sleep(2);
  }
  const settled = await Promise.race([Promise.all(calls.map(({ over }) => over)).then(() => true), sleep(8000).then(() => false)]);
  clearInterval(swaps);
  const stuck = calls.filter(({ heard }) => !heard.includes('end') && !heard.includes('error'));
  expect([settled, stuck.map(({ heard }) => heard.join(' '))]).toEqual([true, []]);
  await expect.poll(() => mesh.status().callsInFlight).toBe(0);
  for (const { heard } of calls) {
    const last = heard.findIndex((event) => event === 'end' || event === 'error');
    // A handler that throws at the end is told of it, as undici does.
    expect(heard.slice(last + 1).filter((event) => event !== 'error')).toEqual([]);
    expect(heard.filter((event) => event === 'headers').length).toBeLessThan(2);
    expect(heard.filter((event) => event === 'error').length).toBeLessThan(2);
  }
  const counted = [...mesh.metrics().matchAll(/^istio_requests_total\{[^}]*\} (\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  expect(counted).toBe(calls.length);
  await expect
    .poll(() => mesh.status().snapshot.clusters.map(({ active, waiting, retries }) => [active, waiting, retries]), { timeout: 3000 })
    .toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
  await mesh.close({ graceMs: 1000 });
  await expect.poll(() => mesh.status().leases).toBe(0);
  await expect.poll(() => servers.reduce((sum, { open }) => sum + open.size, 0)).toBe(0);
  for (const { close } of servers) close();
});
