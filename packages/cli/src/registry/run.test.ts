import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memoryIo } from '../../test/memory-io.ts';
import { run } from '../program.ts';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'inmesh-cli-registry-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const registry = async (argv: readonly string[], given: Parameters<typeof memoryIo>[0] = {}) => {
  const { io, out, err } = memoryIo(given);
  return { exit: await run(['registry', '--port', '0', ...argv], io), out: out(), err: err() };
};

/** Asks while the registry runs; it ends when the answer is there. */
async function asked(
  argv: readonly string[],
  question: (url: string) => Promise<unknown>,
  env: Record<string, string> = {},
): Promise<unknown> {
  let answer: unknown;
  const { io, out } = memoryIo({
    env,
    stopped: async () => {
      answer = await question((JSON.parse(out()) as { url: string }).url);
    },
  });
  expect(await run(['registry', '--port', '0', '-o', 'json', ...argv], io)).toBe(0);
  return answer;
}

describe('inmesh registry', () => {
  it('runs until it is asked to end, and says where', async () => {
    const { exit, out } = await registry([]);
    expect([exit, out]).toEqual([
      0,
      expect.stringMatching(/^✔ a registry at http:\/\/127\.0\.0\.1:\d+, 0 registrations, kept in memory only\n$/),
    ]);
  });

  it('keeps what it is told for the next one', async () => {
    const data = join(folder, 'data');
    const body = JSON.stringify({ service: 'reviews', ports: { http: 9080 } });
    expect(await asked(['--data', data], async (url) => (await fetch(`${url}/v1/registrations/a`, { method: 'PUT', body })).status)).toBe(
      201,
    );
    const { out } = await registry(['--data', data]);
    expect(out).toContain(`1 registrations kept in ${data}`);
  });

  it('takes its token from the environment or the command line, which wins', async () => {
    const status = (token: string) => async (url: string) =>
      (await fetch(`${url}/v1/services`, { headers: { authorization: `Bearer ${token}` } })).status;
    const env = { INMESH_REGISTRY_TOKEN: 'secret' };
    expect(await asked([], status('secret'), env)).toBe(200);
    expect(await asked([], status('wrong'), env)).toBe(401);
    expect(await asked(['--token', 'a', '--token', 'b'], status('b'), env)).toBe(200);
    expect(await asked(['--token', 'a'], status('secret'), env)).toBe(401);
  });

  it.each([
    ['to be open to everybody', ['--host', '0.0.0.0'], 64, /give it a token/],
    ['half of TLS', ['--tls-cert', 'x'], 64, /belong together/],
    ['a certificate that is not there', ['--tls-cert', '/nowhere', '--tls-key', '/nowhere'], 65, /ENOENT/],
    ['an address that is not of this machine', ['--host', '192.0.2.1', '--token', 'x'], 73, /EADDRNOTAVAIL|ENETUNREACH/],
    ['a folder that cannot be made', ['--data', '/dev/null/x'], 73, /ENOTDIR/],
    ['a port that is none', ['--port', '70000'], 64, /port/],
    ['a stray word', ['here'], 64, /too many arguments/],
  ])('refuses %s', async (_, argv, exit, message) => {
    const refused = await registry(argv);
    expect([refused.exit, refused.out]).toEqual([exit, '']);
    expect(refused.err).toMatch(message);
  });

  it('refuses a folder whose registrations cannot be read, and leaves them as they are', async () => {
    writeFileSync(join(folder, 'registrations.json'), 'nonsense');
    expect(await registry(['--data', folder])).toMatchObject({
      exit: 65,
      err: expect.stringMatching(/restore it, or move it away/) as string,
    });
  });

  it('refuses a certificate that is none', async () => {
    const file = join(folder, 'x.pem');
    writeFileSync(file, 'nonsense');
    expect(await registry(['--tls-cert', file, '--tls-key', file])).toMatchObject({ exit: 65 });
  });
});
