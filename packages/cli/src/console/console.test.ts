import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { memoryIo } from '../../test/memory-io.ts';
import { run } from '../program.ts';
import { startConsole } from './server.ts';

const left: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of left.splice(0).reverse()) await end();
});

/** A process, or a Prometheus, that answers as told. */
async function upstream(listener: RequestListener): Promise<URL> {
  const server: Server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  left.push(() => (server.closeAllConnections(), server.close()));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

interface Opened {
  readonly origin: string;
  readonly url: string;
  /** With the cookie of the browser that brought the token. */
  readonly get: (path: string, headers?: Record<string, string>, method?: string) => Promise<Response>;
}

async function opened(options: { admins?: readonly URL[]; prometheus?: URL }): Promise<Opened> {
  const { url, close } = await startConsole({ host: '127.0.0.1', port: 0, admins: [], ...options });
  left.push(close);
  const { origin } = new URL(url);
  const welcome = await fetch(url, { redirect: 'manual' });
  const cookie = welcome.headers.get('set-cookie')!.split(';')[0]!;
  return { origin, url, get: (path, headers = {}, method = 'GET') => fetch(origin + path, { method, redirect: 'manual', headers: { cookie, ...headers } }) };
} // prettier-ignore

const console_ = async (argv: readonly string[], given: Parameters<typeof memoryIo>[0] = {}) => {
  const { io, out, err } = memoryIo(given);
  return { exit: await run(['console', ...argv], io), out: out(), err: err() };
};

describe('who may look', () => {
  it('is the browser that brought the token, which works once', async () => {
    const { url, close } = await startConsole({ host: '127.0.0.1', port: 0, admins: [] });
    left.push(close);
    const { origin } = new URL(url);
    const nobody = await fetch(`${origin}/console/`);
    expect([nobody.status, await nobody.text()]).toEqual([401, expect.stringContaining('open the address that was printed')]);
    expect((await fetch(`${origin}/console/?token=wrong`)).status).toBe(401);
    const welcome = await fetch(url, { redirect: 'manual' });
    expect([welcome.status, welcome.headers.get('location')]).toEqual([303, '/console/']);
    const cookie = welcome.headers.get('set-cookie')!;
    expect(cookie).toMatch(/^inmesh-console-\d+=[\w-]{32}; HttpOnly; SameSite=Strict; Path=\/$/);
    const session = { cookie: `other=1; ${cookie.split(';')[0]}` };
    expect((await fetch(`${origin}/console/`, { headers: session })).status).toBe(200);
    const again = await fetch(url);
    expect([again.status, await again.text()]).toEqual([401, expect.stringContaining('its token works once')]);
    // Who is in may follow it again.
    expect((await fetch(url, { headers: session, redirect: 'manual' })).status).toBe(303);
    for (const path of ['/', '/api/process/0/status', '/console/sources.json', '/nowhere']) expect((await fetch(origin + path)).status).toBe(401);
  }); // prettier-ignore

  it('does not come under a name of its own, nor to change anything', async () => {
    const { get, origin } = await opened({});
    const rebound = await new Promise<number>((resolve) => {
      void import('node:http').then(({ get: ask }) => ask(`${origin}/console/`, { headers: { host: 'evil.example' } }, (answer) => resolve(answer.resume().statusCode!)));
    }); // prettier-ignore
    expect(rebound).toBe(403);
    expect((await get('/console/', {}, 'POST')).status).toBe(405);
  });
});

describe('what is passed on', () => {
  it('is what the page asks of the processes and the Prometheus that were named, and nothing else', async () => {
    const asked: string[] = [];
    const admin = await upstream(({ url = '', headers }, response) => {
      asked.push(`${headers.host} ${url}`);
      response.setHeader('content-type', 'text/html').setHeader('set-cookie', 'a=b').end(url.startsWith('/slo') ? '[]' : '{"url":1}');
    });
    const secret = new URL(`${admin.origin}/prefix/`);
    secret.username = 'me';
    secret.password = 'p%40ss';
    const prometheus = await upstream(({ url, headers }, response) => void response.end(JSON.stringify([url, headers.authorization])));
    const { get } = await opened({ admins: [admin, secret], prometheus: Object.assign(new URL(prometheus), { username: 'me', password: 'p%40ss' }) });
    const status = await get('/api/process/0/status');
    expect([status.status, await status.text(), status.headers.get('content-type'), status.headers.get('set-cookie')]).toEqual([200, '{"url":1}', 'application/json; charset=utf-8', null]);
    await get('/api/process/1/explain?method=GET&url=http%3A%2F%2Freviews%2F');
    expect(asked).toEqual([`${admin.host} /status`, `${admin.host} /prefix/explain?method=GET&url=http%3A%2F%2Freviews%2F`]);
    expect(await (await get('/api/prometheus/query?query=up')).json()).toEqual(['/api/v1/query?query=up', `Basic ${Buffer.from('me:p@ss').toString('base64')}`]);
    for (const path of ['/api/process/2/status', '/api/process/0/ready', '/api/process/0/../0/status/x', '/api/prometheus/admin', '/api/process/0/']) expect([path, (await get(path)).status]).toEqual([path, 404]);
    // The page is told where to ask, but no password.
    expect(await (await get('/console/sources.json')).json()).toEqual({
      processes: [{ name: admin.origin, base: '../api/process/0/' }, { name: `${admin.origin}/prefix`, base: '../api/process/1/' }],
      prometheus: { name: prometheus.origin, base: '../api/prometheus/' },
    });
  }); // prettier-ignore

  it('tells what a process says against a question; what it does not have is nothing', async () => {
    const admin = await upstream(({ url = '' }, response) => {
      if (url.startsWith('/explain')) response.writeHead(400, { 'content-type': 'text/html' }).end('name the URL to explain\n');
      else if (url.startsWith('/metrics')) response.writeHead(302, { location: 'http://elsewhere/' }).end();
      else response.writeHead(404).end('/slo is not served here\n');
    });
    const { get } = await opened({ admins: [admin] });
    const explain = await get('/api/process/0/explain');
    expect([explain.status, await explain.text()]).toEqual([400, 'name the URL to explain\n']);
    expect((await get('/api/process/0/slo')).status).toBe(204);
    const moved = await get('/api/process/0/metrics');
    expect([moved.status, await moved.text()]).toEqual([502, expect.stringContaining('redirect (302) to http://elsewhere/')]);
  });

  it('says of a process that is gone that it is, and serves the others', async () => {
    const { get } = await opened({ admins: [new URL('http://127.0.0.1:9'), await upstream((_, response) => void response.end('{}'))] });
    const [gone, here] = await Promise.all([get('/api/process/0/status'), get('/api/process/1/status')]);
    expect([gone.status, await gone.text(), here.status]).toEqual([502, 'does not answer: connect ECONNREFUSED 127.0.0.1:9\n', 200]);
  });

  it('asks the process that has taken the place of another', async () => {
    const [old, heir] = await Promise.all(
      ['old', 'heir'].map((name) => upstream((_, response) => void response.end(JSON.stringify(name)))),
    );
    const admins = [old!];
    const { get } = await opened({ admins });
    expect(await (await get('/api/process/0/status')).json()).toBe('old');
    admins[0] = heir!;
    expect(await (await get('/api/process/0/status')).json()).toBe('heir');
    expect(await (await get('/console/sources.json')).json()).toMatchObject({ processes: [{ name: heir!.origin }] });
  });

  it('is a tap that flows, and ends with whoever reads it', async () => {
    let over = false;
    const admin = await upstream((request, response) => {
      response.writeHead(200).write('data: {}\n\n');
      request.on('close', () => (over = true));
    });
    const { get } = await opened({ admins: [admin] });
    const tap = await get('/api/process/0/tap?status=5xx');
    expect(tap.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const reader = tap.body!.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('data: {}\n\n');
    await reader.cancel();
    for (let tries = 0; !over && tries < 400; tries += 1) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(over).toBe(true);
  });
});

describe('inmesh console', () => {
  it('runs until it is asked to end, and says where; only a person is shown it', async () => {
    const shown: string[] = [];
    const open = (url: string): void => void shown.push(url);
    const { exit, out } = await console_(['--admin', '127.0.0.1:15000'], { open });
    expect([exit, out]).toEqual([
      0,
      expect.stringMatching(/^✔ the console is at http:\/\/127\.0\.0\.1:\d+\/console\/\?token=[\w-]{32}\n$/),
    ]);
    expect(shown).toEqual([]);
    const tty = { stdin: true, stdout: true, stderr: true };
    const person = await console_(['--admin', '127.0.0.1:15000', '-o', 'json'], { open, tty });
    expect(shown).toEqual([(JSON.parse(person.out) as { url: string }).url]);
    await console_(['--admin', '127.0.0.1:15000', '--no-open'], { open, tty });
    expect(shown).toHaveLength(1);
  });

  it('warns of a network that reads along', async () => {
    expect((await console_(['--admin', 'localhost:1', '--host', '0.0.0.0'])).err).toContain('unencrypted');
  });

  it.each([
    ['nothing to show', [], 64, /--admin URL of a process, --prometheus URL/],
    ['what is no URL', ['--admin', 'http://'], 64, /It must be the URL of an HTTP server/],
    ['what is no HTTP', ['--prometheus', 'ftp://x'], 64, /It must be the URL of an HTTP server/],
    [
      'an address that is not of this machine',
      ['--admin', 'localhost:1', '--host', '192.0.2.1'],
      73,
      /cannot be served.*name another --port or --host/,
    ],
  ])('refuses %s', async (_, argv, exit, message) => {
    const refused = await console_(argv);
    expect([refused.exit, refused.out]).toEqual([exit, '']);
    expect(refused.err).toMatch(message);
  });

  it('prints help with examples', async () => {
    expect((await console_(['--help'])).out).toContain('Examples:\n  inmesh console --admin http://127.0.0.1:15000\n');
  });
});
