import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);

it('greets as the ten lines of policy say: nine in ten in English', async () => {
  const hello = join(import.meta.dirname, '../examples/hello/hello.ts');
  const { stdout } = await run(process.execPath, ['--conditions=@inmesh/source', hello]);
  const heard = /^\{ hello: (\d+), hola: (\d+) \}\n$/.exec(stdout);
  expect(heard, stdout).not.toBeNull();
  const [hello_, hola] = [Number(heard![1]), Number(heard![2])];
  expect(hello_ + hola).toBe(100);
  expect(hola).toBe(10);
});
