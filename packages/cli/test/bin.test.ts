import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const BIN = join(import.meta.dirname, '../src/bin.ts');
const BOOKINFO = join(import.meta.dirname, 'bookinfo');

/** The command as a process of its own, run from its source. */
function inmesh(argv: readonly string[], input = '', env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, ['--conditions=@inmesh/source', '--no-warnings', BIN, ...argv], {
    cwd: import.meta.dirname,
    env: { PATH: process.env['PATH'], ...env },
  });
  child.stdin.end(input);
  return new Promise<{ exit: number | null; out: string; err: string }>((resolve, reject) => {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (exit) => resolve({ exit, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }));
  });
}

describe('the inmesh process', () => {
  it('reads a policy from its standard input and ends with 0', async () => {
    const input = readFileSync(join(BOOKINFO, 'services.yaml'), 'utf8');
    expect(await inmesh(['validate', '-f', '-'], input)).toEqual({ exit: 0, out: '✔ no problems in 10 resources\n', err: '' });
  });

  it('ends with 79, 65 and 64 as sysexits and istioctl have them', async () => {
    expect((await inmesh(['validate', '-f', '-'], 'a: [')).exit).toBe(79);
    expect((await inmesh(['validate', '-f', '/nowhere'])).exit).toBe(65);
    expect((await inmesh(['validate'])).exit).toBe(64);
  });

  it('explains a request to the last byte, into a pipe', async () => {
    const asked = [
      'explain',
      '-f',
      BOOKINFO,
      '--from',
      'default/productpage',
      '-H',
      'end-user: jason',
      '-o',
      'json',
      'GET',
      'http://reviews:9080/',
    ];
    const { exit, out, err } = await inmesh(asked);
    expect([exit, err]).toEqual([0, '']);
    expect(JSON.parse(out)).toMatchObject({ decision: 'route', route: 'testers' });
  });

  it('honours FORCE_COLOR without a terminal', async () => {
    expect((await inmesh(['validate', '-f', BOOKINFO], '', { FORCE_COLOR: '1' })).out).toContain('\u001b[33m▲\u001b[39m');
    expect((await inmesh(['validate', '-f', BOOKINFO])).out).not.toContain('\u001b');
  });

  it('is content when its reader leaves early', async () => {
    const child = spawn(process.execPath, ['--conditions=@inmesh/source', '--no-warnings', BIN, 'explain', '--help']);
    child.stdout.destroy();
    const err: Buffer[] = [];
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    const exit = await new Promise((resolve) => child.on('close', resolve));
    expect([exit, Buffer.concat(err).toString()]).toEqual([0, '']);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('runs a registry until %s', async (signal) => {
    const child = spawn(process.execPath, ['--conditions=@inmesh/source', '--no-warnings', BIN, 'registry', '--port', '0']);
    const ended = new Promise((resolve) => child.on('close', (exit, killed) => resolve(exit ?? killed)));
    const first = await new Promise<string>((resolve) => child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString())));
    const url = /http:\S+:\d+/.exec(first)![0];
    expect((await fetch(`${url}/v1/services`)).status).toBe(200);
    child.kill(signal);
    expect(await ended).toBe(0);
  });
});
