import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serviceEntry } from '../support/mesh.ts';
import { nodeOf, NODES } from '../support/node-versions.ts';
import { rawUpstream, type Upstream } from '../support/upstream.ts';

const run = promisify(execFile);
let folder: string;
let inside: Upstream;
let outside: Upstream;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-fetch-'));
  inside = await rawUpstream((request, response) => {
    if (request.url === '/hang') return;
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => response.end(`mesh got ${request.method} ${request.url} ${body}`));
  });
  outside = await rawUpstream((request, response) => void response.end(`outside got ${request.url}`));
  writeFileSync(join(folder, 'policy.yaml'), serviceEntry('shop.example.com', [inside.port]));
});

afterAll(async () => {
  await inside.kill();
  await outside.kill();
  rmSync(folder, { recursive: true });
});

describe.each(Object.keys(NODES).map(Number) as (keyof typeof NODES)[])('the built-in fetch of Node %i', (line) => {
  it(
    'is left alone by import and createMesh, follows mesh.install(), and is given back by close()',
    { timeout: 240_000 },
    async ({ skip }) => {
      const node = await nodeOf(line);
      if (node === undefined) return skip(`Node ${NODES[line]} cannot be fetched here`);
      const child = join(import.meta.dirname, 'built-in-fetch.child.ts');
      const flags = ['--conditions=@inmesh/source', '--disable-warning=ExperimentalWarning'];
      const { stdout } = await run(node, [...flags, child, String(inside.port), String(outside.port)], {
        env: { ...process.env, POLICY_FILE: join(folder, 'policy.yaml'), NODE_OPTIONS: '' },
        timeout: 30_000,
      });
      expect(JSON.parse(stdout)).toEqual({
        node: `v${NODES[line]}`,
        untouched: true,
        meshFetch: [200, 'mesh got POST /mesh-fetch twelve bytes', true],
        installed: [200, 'mesh got POST /installed hello'],
        passthrough: [200, 'outside got /passed'],
        refused: 'TypeError',
        aborted: 'TimeoutError',
        status: 'yes',
        restored: true,
        after: 'outside got /after',
      });
    },
  );
});
