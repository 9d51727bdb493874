/**
 * One server scenario in one fresh process: `node serve.ts SCENARIO _ REQUESTS`. Serves, has another process ask it with 32 in
 * flight, and measures the CPU of this process. Prints one JSON line, as client.ts does.
 */
import { execFile } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';

const [scenario, , count] = process.argv.slice(2) as [string, string, string];
const requests = Number(count);
const body = 'x'.repeat(100);
/** The same token with every call, as one caller sends it: verified once, then known. The bare server is sent it too. */
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwks = JSON.stringify({ keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256' }] });
const token = ((): string => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: 'https://issuer.example.com', sub: 'client', exp: Math.floor(Date.now() / 1000) + 3600 };
  const content = `${part({ alg: 'ES256', kid: 'one' })}.${part(claims)}`;
  const signature = sign('sha256', Buffer.from(content), { key: keys.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${content}.${signature.toString('base64url')}`;
})();

const handler: RequestListener = (request, response) => {
  request.resume();
  response.setHeader('content-type', 'text/plain');
  response.end(body);
};

async function open(): Promise<Server> {
  if (scenario === 'server-bare') return createServer(handler);
  if (scenario === 'server-traced-sdk') await (await import('./traces.ts')).startSilentSdk();
  const { createMesh } = await import('inmesh');
  const { memorySource } = await import('@inmesh/policy/source');
  const { twentyPolicies } = await import('./inbound-policy.ts');
  const mesh = await createMesh({
    policy: memorySource([{ file: 'bench.yaml', text: scenario === 'server-authorized' ? twentyPolicies(jwks) : '' }]),
    workload: { name: 'echo', namespace: 'default' },
    identity: false,
    ...(scenario === 'server-untraced' ? { tracing: false as const } : {}),
  });
  return mesh.createServer(handler);
}

const server = await open();
server.keepAliveTimeout = 120_000;
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;

/** Asks from a process of its own, and tells how long calls took there. */
async function load(total: number): Promise<{ rps: number; p50: number; p99: number }> {
  const args = [`${import.meta.dirname}/client.ts`, 'bare-request', JSON.stringify([port]), String(total)];
  const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, ...args], {
    env: { ...process.env, BENCH_AUTHORIZATION: `Bearer ${token}` },
  });
  return JSON.parse(stdout) as { rps: number; p50: number; p99: number };
}

await load(Math.floor(requests / 3));
const cpu = process.cpuUsage();
const { rps, p50, p99 } = await load(requests);
const used = process.cpuUsage(cpu);
// The client warms up with a third more.
const { rss, heapUsed } = process.memoryUsage();
const cpuUs = (used.user + used.system) / (requests + Math.floor(requests / 3));
console.log(JSON.stringify({ cpuUs, rps, p50, p99, rssMb: rss / 2 ** 20, heapMb: heapUsed / 2 ** 20 }));
process.exit(0);
