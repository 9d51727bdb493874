/**
 * One server scenario in one fresh process: `node serve.ts SCENARIO _ REQUESTS`. Serves, has another process ask it with 32 in
 * flight, and measures the CPU of this process. Prints one JSON line, as client.ts does.
 */
import { execFile } from 'node:child_process';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';

const [scenario, , count] = process.argv.slice(2) as [string, string, string];
const requests = Number(count);
const body = 'x'.repeat(100);
const handler: RequestListener = (request, response) => {
  request.resume();
  response.setHeader('content-type', 'text/plain');
  response.end(body);
};

async function open(): Promise<Server> {
  if (scenario === 'server-bare') return createServer(handler);
  const { createMesh } = await import('inmesh');
  const { memorySource } = await import('@inmesh/policy/source');
  const { twentyPolicies } = await import('./inbound-policy.ts');
  const mesh = await createMesh({
    policy: memorySource([{ file: 'bench.yaml', text: scenario === 'server-authorized' ? twentyPolicies() : '' }]),
    workload: { name: 'echo', namespace: 'default' },
    identity: false,
  });
  return mesh.createServer(handler);
}

const server = await open();
server.keepAliveTimeout = 120_000;
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;

/** Asks from a process of its own, and tells how long calls took there. */
async function load(total: number): Promise<{ rps: number; p50: number; p99: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...process.execArgv,
    `${import.meta.dirname}/client.ts`,
    'bare-request',
    JSON.stringify([port]),
    String(total),
  ]);
  return JSON.parse(stdout) as { rps: number; p50: number; p99: number };
}

await load(Math.floor(requests / 3));
const cpu = process.cpuUsage();
const { rps, p50, p99 } = await load(requests);
const used = process.cpuUsage(cpu);
// The client warms up with a third more.
console.log(JSON.stringify({ cpuUs: (used.user + used.system) / (requests + Math.floor(requests / 3)), rps, p50, p99 }));
process.exit(0);
