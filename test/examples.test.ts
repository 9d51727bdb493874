import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);

it('greets as the ten lines of policy say: nine in ten in English', async () => {
  const hello = join(import.meta.dirname, '../examples/hello/hello.ts');
  const { stdout } = await run(process.execPath, ['--conditions=@inmesh/source', hello]);
  // Weights are kept exactly while calls come one at a time; who is heard first is not ours to say.
  expect(stdout).toMatch(/^\{ (hello: 90, hola: 10|hola: 10, hello: 90) \}\n$/);
});
