/**
 * One scenario in one fresh process: `node client.ts SCENARIO PORTS REQUESTS`. Keeps 32 calls in flight, warms up, then
 * measures CPU of this process and latency of each call. Prints one JSON line.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { grpcCall, STREAMED } from './grpc.ts';

const [scenario, portList, count, caFolder] = process.argv.slice(2) as [string, string, string, string?];
const ports = JSON.parse(portList) as number[];
const requests = Number(count);
const CONCURRENCY = 32;
/** '' for none: then traces begin here, and the policy draws which are kept. */
const TRACEPARENT = process.env['BENCH_TRACEPARENT'] ?? '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

type CallOnce = () => Promise<void>;

async function meshOf(policy: 'plain' | 'full') {
  const { createMesh } = await import('inmesh');
  const policies = await import('./policy.ts');
  const { memorySource } = await import('@inmesh/policy/source');
  return createMesh({
    policy: memorySource([{ file: 'bench.yaml', text: policies[policy](ports) }]),
    workload: { name: 'client', namespace: 'default' },
    ...(scenario.startsWith('untraced-') ? { tracing: false as const } : {}),
  });
}

/** Both sides send the same application headers; those of the mesh come on top. */
const authorization = process.env['BENCH_AUTHORIZATION'];
const headers = {
  accept: 'text/plain',
  'user-agent': 'bench',
  ...(TRACEPARENT === '' ? {} : { traceparent: TRACEPARENT }),
  ...(authorization === undefined ? {} : { authorization }),
};
const url = 'http://echo.example.com/ratings/7';

async function prepare(): Promise<CallOnce> {
  if (scenario.endsWith('-grpc')) return grpcCall(scenario, ports, TRACEPARENT, () => meshOf('plain'));
  switch (scenario) {
    case 'bare-request': {
      const { Pool, request } = await import('undici');
      const pools = ports.map((port) => new Pool(`http://127.0.0.1:${port}`));
      let next = 0;
      return async () => {
        const i = next++ % ports.length;
        const response = await request(`http://127.0.0.1:${ports[i]}/ratings/7`, { dispatcher: pools[i]!, headers });
        await response.body.text();
      };
    }
    case 'mesh-request-plain':
    case 'mesh-request-full': {
      const mesh = await meshOf(scenario.endsWith('plain') ? 'plain' : 'full');
      const { request } = await import('undici');
      return async () => {
        const response = await request(url, { dispatcher: mesh.dispatcher, headers });
        await response.body.text();
      };
    }
    case 'light-plain':
    case 'light-full': {
      const mesh = await meshOf(scenario.endsWith('plain') ? 'plain' : 'full');
      return async () => {
        (await mesh.request(url, { headers })).text();
      };
    }
    case 'untraced-light':
    case 'traced-light':
    case 'traced-sdk': {
      if (scenario === 'traced-sdk') await (await import('./traces.ts')).startSilentSdk();
      const mesh = await meshOf('plain');
      return async () => {
        (await mesh.request(url, { headers })).text();
      };
    }
    case 'bare-mutual': {
      // What a hand-written client does: the same certificate, the server verified against the same root.
      const { Pool, request } = await import('undici');
      const { loadDevCa } = await import('@inmesh/identity/dev');
      const ca = await loadDevCa(caFolder!);
      const { certificate, privateKey } = ca.issue({ namespace: 'default', serviceAccount: 'client' });
      const connect = { cert: certificate, key: privateKey, ca: ca.roots, checkServerIdentity: () => undefined };
      const pools = ports.map((port) => new Pool(`https://127.0.0.1:${port}`, { connect, connections: 128 }));
      let next = 0;
      return async () => {
        const i = next++ % ports.length;
        const response = await request(`https://127.0.0.1:${ports[i]}/ratings/7`, { dispatcher: pools[i]!, headers });
        await response.body.text();
      };
    }
    case 'mesh-mutual': {
      const { createMesh } = await import('inmesh');
      const { memorySource } = await import('@inmesh/policy/source');
      const { devCertificates, loadDevCa } = await import('@inmesh/identity/dev');
      const { takesMutualTls } = await import('./inbound-policy.ts');
      const mesh = await createMesh({
        policy: memorySource([{ file: 'bench.yaml', text: takesMutualTls(ports) }]),
        workload: { name: 'client', namespace: 'default' },
        identity: devCertificates(await loadDevCa(caFolder!), { namespace: 'default', serviceAccount: 'client' }),
      });
      const { request } = await import('undici');
      return async () => {
        const response = await request(url, { dispatcher: mesh.dispatcher, headers });
        if (response.statusCode !== 200) throw new Error(await response.body.text());
        await response.body.text();
      };
    }
    case 'bare-fetch': {
      let next = 0;
      return async () => {
        const response = await fetch(`http://127.0.0.1:${ports[next++ % ports.length]}/ratings/7`, { headers });
        await response.text();
      };
    }
    case 'mesh-fetch': {
      const mesh = await meshOf('plain');
      mesh.install();
      return async () => {
        const response = await fetch(url, { headers });
        await response.text();
      };
    }
    default:
      throw new Error(`no scenario "${scenario}"`);
  }
}

const callOnce = await prepare();
/** What is counted of a stream is its messages, ten for each call there would be: they cost that much less. */
const perCall = /-(?:repeat|chat)-grpc$/.test(scenario) ? STREAMED : 1;
const calls = perCall === 1 ? requests : Math.ceil((requests * 10) / perCall);
const latencies = new Float64Array(calls);

async function run(total: number, record: boolean): Promise<void> {
  let started = 0;
  const worker = async () => {
    while (started < total) {
      const index = started++;
      const at = performance.now();
      await callOnce();
      if (record) latencies[index] = performance.now() - at;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

await run(Math.max(CONCURRENCY, Math.floor(calls / 3)), false);
const cpu = process.cpuUsage();
const began = performance.now();
await run(calls, true);
const wall = performance.now() - began;
const used = process.cpuUsage(cpu);
latencies.sort();
setFlagsFromString('--expose-gc');
(runInNewContext('gc') as () => void)();
const { rss, heapUsed } = process.memoryUsage();
console.log(
  JSON.stringify({
    cpuUs: (used.user + used.system) / (calls * perCall),
    rps: ((calls * perCall) / wall) * 1000,
    p50: latencies[Math.floor(calls * 0.5)],
    p99: latencies[Math.floor(calls * 0.99)],
    rssMb: rss / 2 ** 20,
    heapMb: heapUsed / 2 ** 20,
  }),
);
process.exit(0);
