import { get as ask, type IncomingMessage } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { type Admin, startAdmin } from './admin.ts';

type Line = Record<string, unknown>;

const listeners = new Set<(line: Line) => void>();
const tell = (line: Line): void => {
  for (const listener of listeners) listener(line);
};
const left: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of left.splice(0).reverse()) await end();
  listeners.clear();
});

async function start(): Promise<Admin> {
  const admin = await startAdmin({
    port: 0,
    metrics: { text: () => '' },
    status: () => ({}),
    snapshot: () => ({}),
    ready: () => true,
    tap: (listener) => {
      listeners.add(listener);
      return { close: () => void listeners.delete(listener) };
    },
  });
  left.push(() => admin.close());
  return admin;
}

/** A reader that may be as slow as it likes. */
async function read(admin: Admin, query = ''): Promise<{ readonly response: IncomingMessage; readonly text: () => string; readonly lines: () => Line[] }> {
  let text = '';
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = ask(`${admin.url}/tap${query}`, { agent: false }, resolve).on('error', reject);
    left.push(() => request.destroy());
  });
  response.on('error', () => {});
  response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return { response, text: () => text, lines: () => [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json = '']) => JSON.parse(json) as Line) };
} // prettier-ignore

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; !what(); tries += 1) {
    if (tries > 500) throw new Error('it did not come to that');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const call = (more: Line): Line => ({ reporter: 'source', method: 'GET', path: '/', response_code: 200, response_flags: '-', destination_service: 'reviews.shop.svc.cluster.local', authority: 'reviews:9080', ...more }); // prettier-ignore

describe('the tap', () => {
  it('tells every reader of calls as they end, as server-sent events', async () => {
    const admin = await start();
    const readers = await Promise.all([read(admin), read(admin)]);
    expect(readers[0]!.response.headers).toMatchObject({ 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' });
    tell(call({ path: '/ratings/7?access_token=abc' }));
    await until(() => readers.every(({ lines }) => lines().length === 1));
    expect(readers[1]!.lines()).toEqual([call({ path: '/ratings/7?access_token=[redacted]' })]);
  });

  it.each([
    ['status=5xx', [{ response_code: 503 }], [{ response_code: 404 }, { response_code: 0 }]],
    ['status=404', [{ response_code: 404 }, { response_code: '404' }], [{ response_code: 405 }]],
    ['path=/orders', [{ path: '/orders/7' }], [{ path: '/a/orders' }]],
    ['service=reviews', [{}, { destination_service: 'reviews' }], [{ destination_service: 'reviews-v2.shop', authority: 'other' }]],
    ['service=reviews.shop.svc.cluster.local', [{}], [{ destination_service: 'x', authority: 'y' }]],
    ['method=post', [{ method: 'POST' }], [{}]],
    ['reporter=destination', [{ reporter: 'destination' }], [{}]],
    ['flag=uh', [{ response_flags: 'UH' }, { response_flags: 'URX,UH' }], [{ response_flags: 'UHX' }]],
    ['status=5xx&path=/a', [{ response_code: 500, path: '/a' }], [{ response_code: 500 }, { path: '/a' }]],
  ])('with %s tells of those only', async (query, wanted, others) => {
    const { lines } = await read(await start(), `?${query}`);
    for (const more of [...others, ...wanted]) tell(call(more));
    await until(() => lines().length >= wanted.length);
    expect(lines()).toEqual(wanted.map(call));
  });

  it.each([
    ['?status=abc', 'status=abc is neither a code as 503 nor a class as 5xx'],
    ['?colour=red', 'there is no filter "colour"; filters are service=reviews'],
  ])('refuses %s, saying what there is', async (query, sentence) => {
    const { response, text } = await read(await start(), query);
    await until(() => text().endsWith('\n'));
    expect([response.statusCode, text()]).toEqual([400, expect.stringContaining(sentence)]);
    expect(listeners.size).toBe(0);
  });

  it('stops listening when its reader goes', async () => {
    const { response } = await read(await start());
    expect(listeners.size).toBe(1);
    response.destroy();
    await until(() => listeners.size === 0);
  });

  it('drops what a slow reader does not take, says how much, and holds nobody up', async () => {
    const admin = await start();
    const [slow, quick] = await Promise.all([read(admin), read(admin)]);
    slow.response.pause();
    const many = 6000;
    for (let at = 0; at < many; at += 1) {
      tell(call({ number: at, user_agent: 'x'.repeat(2000) }));
      if (at % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => quick.lines().at(-1)?.['number'] === many - 1);
    slow.response.resume();
    await until(() => /event: dropped\ndata: \d+/.test(slow.text()));
    const dropped = [...slow.text().matchAll(/event: dropped\ndata: (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    expect(dropped).toBeGreaterThan(0);
    await until(() => slow.lines().length + dropped === many);
  });

  it('has room for a few dozen readers, and ends with the port', async () => {
    const admin = await start();
    const readers = await Promise.all(Array.from({ length: 32 }, () => read(admin)));
    const late = await read(admin);
    await until(() => late.text().endsWith('\n'));
    expect([late.response.statusCode, late.text()]).toEqual([503, '32 readers follow the tap already: close one\n']);
    await admin.close();
    await until(() => readers.every(({ response }) => response.closed));
    expect(listeners.size).toBe(0);
  });
});
