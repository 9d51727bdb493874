import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createMesh } from 'inmesh';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { destinationRule, meshOf, serviceEntry, virtualService } from '../support/mesh.ts';
import { rawUpstream, say, upstream } from '../support/upstream.ts';

const HOST = 'shop.example.com';
const URL_OF = `http://${HOST}/`;
const ROUTE = `route: [{ destination: { host: ${HOST} } }]`;

const left: AsyncDisposable[] = [];
function later<T extends AsyncDisposable>(one: T): T {
  left.push(one);
  return one;
}
afterEach(async () => {
  for (const one of left.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

describe('close', () => {
  it('lets calls in flight finish, those of an earlier policy too', async () => {
    const slow = later(await upstream((_request, response) => void setTimeout(() => response.end('done'), 200)));
    const mesh = await meshOf(serviceEntry(HOST, [slow.port]));
    const early = mesh.request(URL_OF);
    await expect.poll(() => slow.seen.length).toBe(1);
    mesh.set(serviceEntry(HOST, [slow.port]) + virtualService(HOST, `- timeout: 5s\n  ${ROUTE}`));
    const late = mesh.request(URL_OF);
    await expect.poll(() => slow.seen.length).toBe(2);
    expect(mesh.status().callsInFlight).toBe(2);
    await Promise.all([mesh.close(), mesh.close()]);
    expect(mesh.status().callsInFlight).toBe(0);
    expect([(await early).text(), (await late).text()]).toEqual(['done', 'done']);
    await expect.poll(() => slow.open.size).toBe(0);
  });

  it('ends what takes longer than its grace: waiting for headers, in a body, in a queue, paused for ever', async () => {
    const hanging = later(
      await rawUpstream((request, response) => {
        if (request.url === '/body') response.write('x'.repeat(200_000));
      }),
    );
    const mesh = await meshOf(
      serviceEntry(HOST, [hanging.port]) + destinationRule(HOST, 'trafficPolicy: { connectionPool: { tcp: { maxConnections: 3 } } }'),
    );
    const body = await mesh.request(`${URL_OF}body`, { stream: true });
    const unread = await mesh.request(`${URL_OF}body`, { stream: true });
    const calls = [mesh.request(URL_OF), mesh.request(URL_OF), mesh.request(URL_OF)];
    await sleep(50);
    const read = body.stream!.toArray().catch((error: unknown) => error);
    unread.stream!.on('error', () => {});
    await mesh.close({ graceMs: 100 });
    const answers = await Promise.all(calls);
    for (const answer of answers) expect([answer.status, answer.text()]).toEqual([503, expect.stringContaining('closed') as string]);
    expect(await read).toMatchObject({ code: 'CLOSED' });
    await expect.poll(() => mesh.status().callsInFlight).toBe(0);
    expect(mesh.status().leases).toBe(0);
    await expect.poll(() => hanging.open.size).toBe(0);
  });

  it('is final', async () => {
    const mesh = await meshOf(serviceEntry(HOST, [1]));
    await mesh.close();
    expect((await mesh.request(URL_OF)).status).toBe(503);
    expect(() => mesh.install()).toThrow(/closed/);
    expect(mesh.status().installed).toBe('no');
  });
});

describe('two meshes in one process', () => {
  for (const [first, second] of [
    ['older', 'newer'],
    ['newer', 'older'],
  ] as const) {
    it(`both installed, the ${first} one closed first`, async () => {
      const [one, two, outside] = [
        later(await upstream(say('one'))),
        later(await upstream(say('two'))),
        later(await upstream(say('outside'))),
      ];
      const meshes = {
        older: await meshOf(serviceEntry('one.example.com', [one.port])),
        newer: await meshOf(serviceEntry('two.example.com', [two.port])),
      };
      const get = async (url: string): Promise<string> => (await fetch(url)).text();
      const original = (globalThis as never)[Symbol.for('undici.globalDispatcher.1')];
      meshes.older.install();
      meshes.newer.install();
      meshes.newer.install();
      expect(
        await Promise.all([get('http://one.example.com/'), get('http://two.example.com/'), get(`http://127.0.0.1:${outside.port}/`)]),
      ).toEqual(['one', 'two', 'outside']);
      await meshes[first].close();
      expect(await get(`http://127.0.0.1:${outside.port}/`)).toBe('outside');
      expect(await get(second === 'older' ? 'http://one.example.com/' : 'http://two.example.com/')).toBe(
        second === 'older' ? 'one' : 'two',
      );
      await meshes[second].close();
      expect(await get(`http://127.0.0.1:${outside.port}/`)).toBe('outside');
      if (first === 'newer') expect((globalThis as never)[Symbol.for('undici.globalDispatcher.1')]).toBe(original);
    });
  }
});

describe('a mesh that cannot start', () => {
  it('leaves nothing watching when its admin port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    let watching = 0;
    const source = {
      name: 'test',
      watch: (onUpdate: (update: never) => void) => {
        watching += 1;
        onUpdate({ ok: true, texts: [{ file: 'a.yaml', text: serviceEntry(HOST, [1]) }], version: '1' } as never);
        return { close: () => void (watching -= 1) };
      },
    };
    await expect(createMesh({ policy: source, admin: { port: (taken.address() as AddressInfo).port } })).rejects.toThrow(
      /EADDRINUSE|in use/,
    );
    expect(watching).toBe(0);
    taken.close();
  });
});

describe('observers of the application', () => {
  it('that throw cost no call', async () => {
    const shop = later(await upstream(say('ok')));
    const broken = (): never => {
      throw new Error('a bug of the observer');
    };
    const mesh = later(
      await meshOf(serviceEntry(HOST, [shop.port]), {
        observers: [
          { route: () => ({ ended: broken }), event: broken },
          { route: broken, event: broken },
        ],
      }),
    );
    expect((await mesh.request(URL_OF)).status).toBe(200);
    expect(mesh.status().callsInFlight).toBe(0);
  });
});

describe('a process', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'inmesh-exit-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Runs a program on a mesh (`mesh`) and says how it ended. */
  async function run(yaml: string, program: string): Promise<{ code: number | null; out: string; ms: number }> {
    writeFileSync(join(folder, 'policy.yaml'), yaml);
    writeFileSync(
      join(folder, 'program.mjs'),
      `import { createMesh } from ${JSON.stringify(import.meta.resolve('inmesh'))};
const mesh = await createMesh({ policy: ${JSON.stringify(join(folder, 'policy.yaml'))}, admin: 0, workload: { name: 'client', namespace: 'default' } });
${program}`,
    );
    const began = performance.now();
    const child = spawn(process.execPath, ['--conditions=@inmesh/source', '--unhandled-rejections=strict', join(folder, 'program.mjs')]);
    let out = '';
    child.stdout.on('data', (text: Buffer) => (out += String(text)));
    child.stderr.on('data', (text: Buffer) => (out += String(text)));
    const timer = setTimeout(() => child.kill(), 15_000);
    const code = await new Promise<number | null>((resolve) => child.on('exit', resolve));
    clearTimeout(timer);
    return { code, out: out.trim(), ms: performance.now() - began };
  }

  it('that closed its mesh ends, and so does one that never does', async () => {
    const shop = later(await upstream(say('ok')));
    const policy = serviceEntry(HOST, [shop.port]);
    expect(await run(policy, `console.log((await mesh.request('${URL_OF}')).text()); await mesh.close();`)).toMatchObject({
      code: 0,
      out: 'ok',
    });
    expect(await run(policy, `console.log((await mesh.request('${URL_OF}')).text());`)).toMatchObject({ code: 0, out: 'ok' });
  });

  it('lives on while a call waits: for a backoff, for an injected delay', async () => {
    const delayed =
      serviceEntry(HOST, [1]) +
      virtualService(
        HOST,
        `- fault: { delay: { fixedDelay: 300ms, percentage: { value: 100 } }, abort: { httpStatus: 418, percentage: { value: 100 } } }\n  ${ROUTE}`,
      );
    expect(await run(delayed, `console.log((await mesh.request('${URL_OF}')).status);`)).toMatchObject({ code: 0, out: '418' });
    const retried =
      serviceEntry(HOST, [1]) + virtualService(HOST, `- retries: { attempts: 2, retryOn: connect-failure, backoff: 300ms }\n  ${ROUTE}`);
    expect(await run(retried, `console.log((await mesh.request('${URL_OF}')).status);`)).toMatchObject({ code: 0, out: '503' });
  });
});
