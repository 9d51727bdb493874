import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';

/** Runs a program of its own, as only a whole process shows what keeps it alive. */
function run(body: string): { stdout: string; status: number | null } {
  const program = `import { fileSource, firstDocument, httpSource, memorySource } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};\n${body}`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--conditions=@inmesh/source', '--input-type=module', '-e', program], {
    timeout: 15_000,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return { stdout, status };
}

it('a process that only follows sources ends by itself', () => {
  const { stdout, status } = run(`
    fileSource(process.cwd() + '/package.json').watch(() => {});
    httpSource('http://127.0.0.1:9/').watch(() => {});
    memorySource('').watch(() => {});
    console.log('following');`);
  expect({ stdout, status }).toEqual({ stdout: 'following\n', status: 0 });
}, 20_000);

it('a process that waits for its first document does not end before it has one, nor later', async () => {
  // A server that cannot answer while spawnSync holds this thread: it accepts, and is silent.
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { stdout, status } = run(`
    const source = httpSource('http://127.0.0.1:${(server.address() as AddressInfo).port}/');
    const fallbacks = [memorySource('{"kind":"List","apiVersion":"v1","items":[]}', 'bundled')];
    await firstDocument(source, { document: (_, __, from) => console.log('from ' + from) }, { timeoutMs: 300, fallbacks });
    console.log('started');`);
  server.close();
  expect({ stdout, status }).toEqual({ stdout: 'from bundled\nstarted\n', status: 0 });
}, 20_000);

it('the built-in fetch is left as it was: no global dispatcher is set', () => {
  expect(run(`console.log(globalThis[Symbol.for('undici.globalDispatcher.1')] === undefined)`).stdout).toBe('true\n');
});
