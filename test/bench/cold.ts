/**
 * A cold pool by mutual TLS: a client that has no connection yet is offered calls at a fixed rate, however slow the answers
 * are (open loop), against a STRICT server in a process of its own. Tells when it has caught up, and exits with 1 if that
 * took longer than the bar or a call failed.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createDevCa, devCertificates, loadDevCa, saveDevCa } from '@inmesh/identity/dev';
import { memorySource } from '@inmesh/policy/source';
import { createMesh, type Mesh } from 'inmesh';

const { values, positionals } = parseArgs({
  options: { rate: { type: 'string', default: '2000' }, seconds: { type: 'string', default: '4' } },
  allowPositionals: true,
});
const BAR_MS = 2000;
/** The pool has caught up when 99 of 100 calls of a quarter of a second take less than this. */
const PROMPT_MS = 50;

const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
`;
const entry = (port: string): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: echo, namespace: default }
spec:
  hosts: [echo.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ${port} }, serviceAccount: echo }]
`;

async function member(folder: string, name: string, policy: string): Promise<Mesh> {
  const ca = await loadDevCa(folder);
  return createMesh({
    policy: memorySource([{ file: 'bench.yaml', text: policy }]),
    identity: devCertificates(ca, { namespace: 'default', serviceAccount: name }),
    workload: { name, namespace: 'default' },
  });
}

const [serving] = positionals;
if (serving !== undefined) {
  const server = await member(serving, 'echo', STRICT);
  const { port } = await server.listen((_, response) => response.end('x'.repeat(100)), { port: 0, host: '127.0.0.1' });
  console.log(port);
} else await measure();

async function measure(): Promise<void> {
  const [rate, seconds] = [Number(values.rate), Number(values.seconds)];
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-cold-'));
  await saveDevCa(folder, createDevCa(), { replace: true });
  const server = spawn(process.execPath, [...process.execArgv, import.meta.filename, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<string>((resolve) => server.stdout.once('data', (data: Buffer) => resolve(data.toString().trim())));
  const client = await member(folder, 'client', entry(port));

  const calls: { readonly at: number; readonly took: number }[] = [];
  let failed = 0;
  const began = performance.now();
  const call = async (): Promise<void> => {
    const at = performance.now();
    const status = await client.request('http://echo.example.com/').then(
      (answer) => answer.status,
      () => 0,
    );
    if (status !== 200) failed += 1;
    calls.push({ at: at - began, took: performance.now() - at });
  };
  let sent = 0;
  while (sent < rate * seconds) {
    for (const due = Math.min(rate * seconds, ((performance.now() - began) / 1000) * rate); sent < due; sent += 1) void call();
    await pause(2);
  }
  while (calls.length < sent) await pause(10);

  const quarters = Array.from({ length: seconds * 4 }, (_, index) => {
    const took = calls.filter(({ at }) => Math.floor(at / 250) === index).map((one) => one.took);
    took.sort((a, b) => a - b);
    return { from: index * 250, p50: took[took.length >> 1]!, p99: took[Math.floor(took.length * 0.99)]!, max: took.at(-1)! };
  });
  console.log('| calls offered from | p50 | p99 | slowest |\n|---|---|---|---|');
  for (const { from, p50, p99, max } of quarters)
    console.log(`| ${from} ms | ${p50.toFixed(1)} ms | ${p99.toFixed(1)} ms | ${max.toFixed(1)} ms |`);
  const first = quarters.findIndex(({ p99 }) => p99 <= PROMPT_MS);
  const caughtUp = first < 0 ? Infinity : first * 250;
  const later = quarters.slice(first).filter(({ p99 }) => p99 > PROMPT_MS).length;
  console.log(
    `\n${sent} calls at ${rate}/s to a pool without connections: caught up after ${caughtUp} ms (bar ${BAR_MS} ms), ${failed} failed, ${later} slow quarters of a second later on.`,
  );
  server.kill();
  rmSync(folder, { recursive: true });
  process.exit(caughtUp > BAR_MS || failed > 0 ? 1 : 0);
}
