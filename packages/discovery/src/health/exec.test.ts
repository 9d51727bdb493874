import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { askExec } from './exec.ts';

const run = (command: readonly string[], signal = new AbortController().signal): Promise<string> =>
  askExec({ kind: 'exec', command }, signal).then(
    () => 'well',
    (error: Error) => error.message,
  );
const node = (script: string, ...args: string[]): readonly string[] => [process.execPath, '-e', script, ...args];

it('believes the exit code of the command, whatever it prints', async () => {
  expect(await run(node('process.stdout.write("x".repeat(1e6), () => process.exit(0))'))).toBe('well');
  expect(await run(node('process.exit(3)'))).toBe(`${process.execPath} ended with 3`);
  expect(await run(node('process.kill(process.pid, "SIGTERM")'))).toBe(`${process.execPath} ended with SIGTERM`);
});

it('passes arguments as they are: no shell reads them', async () => {
  expect(await run(node('process.exit(process.argv[1] === "$HOME; exit 1 | *" ? 0 : 1)', '$HOME; exit 1 | *'))).toBe('well');
});

it('takes a command that cannot be run for a failure', async () => {
  expect(await run(['/nowhere/check'])).toContain('ENOENT');
  expect(await run(['bad\0name'])).toContain('null bytes');
});

it.skipIf(process.platform === 'win32')('kills a command that is late, and what it started', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-exec-'));
  const file = join(folder, 'pid');
  try {
    const late = new AbortController();
    const answer = run(['sh', '-c', `sleep 60 & echo $! > ${file}.new; mv ${file}.new ${file}; wait`], late.signal);
    const read = (): number => Number(readFileSync(file, 'utf8'));
    await expect.poll(() => alive(read)).toBe(true);
    late.abort();
    expect(await answer).toBe('sh did not end in time');
    await expect.poll(() => alive(read)).toBe(false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** An orphan that was killed may stay listed until somebody asks for its exit code. */
function alive(pid: () => number): boolean {
  try {
    const id = pid();
    process.kill(id, 0);
    return process.platform !== 'linux' || !/^State:\s+Z/m.test(readFileSync(`/proc/${id}/status`, 'utf8'));
  } catch {
    return false;
  }
}
