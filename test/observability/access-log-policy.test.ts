import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { meshOf, serviceEntry } from '../support/mesh.ts';
import { say, upstream } from '../support/upstream.ts';

const HOST = 'reviews.example.com';
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-logs-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const meshConfig = (yaml: string): string => `---
apiVersion: inmesh.dev/v1
kind: MeshConfig
metadata: { name: mesh, namespace: istio-system }
spec: ${yaml}
`;
const telemetry = (logging: string): string => `---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: logs, namespace: default }
spec: { accessLogging: [${logging}] }
`;

it('a mesh writes the logs its policy asks for: the last lines when it closes, and as a new policy has it', async () => {
  await using server = await upstream((request, response) => say('hello', request.url === '/bad' ? 500 : 200)(request, response, ''));
  const file = join(folder, 'access.log');
  const config = meshConfig(`{ accessLogFile: ${file}, accessLogEncoding: JSON }`);
  const entry = serviceEntry(HOST, [server.port]);
  const mesh = await meshOf(entry + config, { identity: false });
  const call = async (path: string) => (await mesh.fetch(`http://${HOST}${path}`)).text();
  await call('/good');
  mesh.set(entry + config + telemetry('{ filter: { expression: "response.code >= 400" } }'));
  for (const path of ['/quiet', '/bad']) await call(path);
  mesh.set(entry);
  await call('/unlogged');
  await mesh.close({ graceMs: 500 });
  const lines = readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>); // prettier-ignore
  expect(lines.map(({ path, response_code: code }) => [path, code])).toEqual([
    ['/good', 200],
    ['/bad', 500],
  ]);
});

it('lines that cannot be written are told and counted', async () => {
  await using server = await upstream(say('hello'));
  const mesh = await meshOf(serviceEntry(HOST, [server.port]) + meshConfig('{ accessLogFile: /dev/full }'), { identity: false });
  await (await mesh.fetch(`http://${HOST}/`)).text();
  await expect.poll(() => mesh.events.filter(({ type }) => type === 'log.failed'), { timeout: 5000 }).toHaveLength(1);
  expect(mesh.metrics()).toContain('inmesh_access_log_dropped_total{log="/dev/full"} 1');
  await mesh.close({ graceMs: 100 });
});

it.skipIf(process.platform === 'win32')(
  'a pipe that nobody reads costs lines, and neither calls nor the end of the mesh; one that is read gets them',
  async () => {
    await using server = await upstream(say('hello'));
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const mesh = await meshOf(serviceEntry(HOST, [server.port]) + meshConfig(`{ accessLogFile: ${pipe} }`), { identity: false });
    await (await mesh.fetch(`http://${HOST}/unread`)).text();
    await expect.poll(() => mesh.events.filter(({ type }) => type === 'log.failed'), { timeout: 5000 }).toHaveLength(1);
    const reader = spawn('cat', [pipe]);
    let read = '';
    reader.stdout.setEncoding('utf8').on('data', (text: string) => (read += text));
    await (await mesh.fetch(`http://${HOST}/read`)).text();
    await expect.poll(() => read, { timeout: 5000 }).toMatch(/"GET \/read /);
    reader.kill();
    await (await mesh.fetch(`http://${HOST}/unread`)).text();
    await mesh.close({ graceMs: 100 });
  },
);
