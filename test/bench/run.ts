/**
 * `npm run bench [-- --rounds 5 --requests 30000]`: what a call through the mesh costs, as ratios against the bare client.
 * Every scenario is a fresh process; the scenarios of a round run one after another; the figure is the median of the
 * ratios within the same round, because neighbours on the machine change from minute to minute.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { parseArgs, promisify } from 'node:util';
import { createDevCa, saveDevCa } from '@inmesh/identity/dev';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Sample {
  readonly cpuUs: number;
  readonly rps: number;
  readonly p50: number;
  readonly p99: number;
  /** Resident memory and live heap when all is done. */
  readonly rssMb: number;
  readonly heapMb: number;
}

interface Pair {
  readonly name: string;
  readonly scenario: string;
  readonly against: string;
  /** Client CPU per call, as a multiple of the bare client's, that must not be exceeded. */
  readonly bar: number;
  readonly aim: number;
  /** Of the bare client's throughput, what must be left. */
  readonly throughput?: number;
}

const PAIRS: readonly Pair[] = [
  { name: 'undici.request through the mesh, plain route', scenario: 'mesh-request-plain', against: 'bare-request', bar: 1.2, aim: 1.15 },
  { name: 'undici.request through the mesh, everything on', scenario: 'mesh-request-full', against: 'bare-request', bar: 1.25, aim: 1.18 },
  { name: 'mesh.request, plain route', scenario: 'light-plain', against: 'bare-request', bar: 1.1, aim: 1 },
  { name: 'mesh.request, everything on', scenario: 'light-full', against: 'bare-request', bar: 1.2, aim: 1 },
  {
    name: 'undici.request by mutual TLS through the mesh (bare: undici with the same certificate)',
    scenario: 'mesh-mutual',
    against: 'bare-mutual',
    bar: 1.25,
    aim: 1.2,
  },
  {
    name: 'server: 20 policies, a known JWT and metrics (CPU of the server)',
    scenario: 'server-authorized',
    against: 'server-bare',
    bar: 1.3,
    aim: 1.2,
  },
  {
    name: 'gRPC, unary, through the mesh (bare: grpc-js with round_robin)',
    scenario: 'mesh-unary-grpc',
    against: 'bare-unary-grpc',
    bar: 1.15,
    aim: 1.05,
  },
  {
    name: 'gRPC, unary, through the mesh to one endpoint (bare: grpc-js to it)',
    scenario: 'mesh-unary-one-grpc',
    against: 'bare-unary-one-grpc',
    // Against a client that has nobody to choose from.
    bar: 1.25,
    aim: 1.15,
  },
  {
    name: 'gRPC, unary, through the mesh (other: @grpc/grpc-js-xds)',
    scenario: 'mesh-unary-grpc',
    against: 'xds-unary-grpc',
    bar: 1.15,
    aim: 1,
  },
  {
    name: 'gRPC, a message of a server stream, through the mesh (bare: grpc-js with round_robin)',
    scenario: 'mesh-repeat-grpc',
    against: 'bare-repeat-grpc',
    bar: 1.1,
    aim: 1.05,
    throughput: 0.95,
  },
  {
    name: 'gRPC, a message each way of a bidirectional stream, through the mesh (bare: grpc-js with round_robin)',
    scenario: 'mesh-chat-grpc',
    against: 'bare-chat-grpc',
    bar: 1.1,
    aim: 1.05,
    throughput: 0.95,
  },
  {
    name: 'mesh.request with a request id (other: without traces)',
    scenario: 'traced-light',
    against: 'untraced-light',
    bar: 1.2,
    aim: 1.1,
  },
  {
    name: 'mesh.request with an SDK that keeps one trace in a hundred (other: without traces)',
    scenario: 'traced-sdk',
    against: 'untraced-light',
    bar: 1.3,
    aim: 1.15,
  },
  {
    name: 'server that hands traces on (other: without traces; CPU of the server)',
    scenario: 'server-traced',
    against: 'server-untraced',
    bar: 1.15,
    aim: 1.08,
  },
  {
    name: 'server with an SDK (other: without traces; CPU of the server)',
    scenario: 'server-traced-sdk',
    against: 'server-untraced',
    bar: 1.3,
    aim: 1.15,
  },
  { name: 'built-in fetch through the mesh', scenario: 'mesh-fetch', against: 'bare-fetch', bar: 1.08, aim: 1.05 },
];

const DROPPED = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    requests: { type: 'string', default: '30000' },
    json: { type: 'string' },
    only: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const execute = promisify(execFile);
// The packages as they are installed, built just before: with its types stripped as it is loaded, source is a third more heap to collect.
const NODE_ARGS = ['--disable-warning=ExperimentalWarning'];
const here = import.meta.dirname;

const ca = mkdtempSync(join(tmpdir(), 'inmesh-bench-'));
await saveDevCa(ca, createDevCa(), { replace: true });
const servers: ChildProcess[] = [];
/** Starts a process of this folder that listens; its ports as JSON. */
const serve = (file: string, ...args: string[]): Promise<string> => {
  const child = spawn(process.execPath, [...NODE_ARGS, `${here}/${file}`, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  servers.push(child);
  return firstLine(child);
};
const plain = await serve('server.ts', 'plain');
const mutual = await serve('server.ts', 'mutual', ca);
const grpc = await serve('server.ts', 'grpc');
const xds = await serve('xds.ts', grpc);
const portsFor = (scenario: string): string => {
  if (scenario.endsWith('-mutual')) return mutual;
  if (!scenario.endsWith('-grpc')) return plain;
  if (scenario.startsWith('xds-')) return xds;
  return scenario.endsWith('-one-grpc') ? JSON.stringify((JSON.parse(grpc) as number[]).slice(0, 1)) : grpc;
};

const chosen = PAIRS.filter(({ scenario }) => values.only === undefined || scenario.includes(values.only));
const scenarios = [...new Set(chosen.flatMap(({ scenario, against }) => [against, scenario]))];
const samples = new Map<string, Sample[]>(scenarios.map((name) => [name, []]));
for (let round = 1; round <= rounds; round += 1) {
  for (const scenario of scenarios) {
    process.stderr.write(`\rround ${round}/${rounds}  ${scenario.padEnd(24)}`);
    const file = scenario.startsWith('server-') ? 'serve.ts' : 'client.ts';
    const args = [`${here}/${file}`, scenario, portsFor(scenario), values.requests, ca];
    // Of traces that were decided about elsewhere, or begin in the client: neither keeps more than the policy's share.
    const BENCH_TRACEPARENT = scenario.startsWith('server-') ? DROPPED : '';
    const env = /traced/.test(scenario) ? { ...process.env, BENCH_TRACEPARENT } : process.env;
    const { stdout } = await execute(process.execPath, [...NODE_ARGS, ...args], { env });
    samples.get(scenario)!.push(JSON.parse(stdout) as Sample);
  }
}
process.stderr.write('\r'.padEnd(60) + '\r');
for (const server of servers) server.kill();
rmSync(ca, { recursive: true });

const rows = chosen.map(({ name, scenario, against, bar, aim, throughput = 0 }) => {
  const mine = samples.get(scenario)!;
  const bare = samples.get(against)!;
  const ratio = (pick: (sample: Sample) => number) => median(mine.map((sample, round) => pick(sample) / pick(bare[round]!)));
  return {
    name,
    cpuUs: median(mine.map(({ cpuUs }) => cpuUs)),
    bareUs: median(bare.map(({ cpuUs }) => cpuUs)),
    cpu: ratio(({ cpuUs }) => cpuUs),
    p99: ratio(({ p99 }) => p99),
    rps: ratio(({ rps }) => rps),
    heap: `${median(mine.map(({ heapMb }) => heapMb)).toFixed(0)} / ${median(bare.map(({ heapMb }) => heapMb)).toFixed(0)} MB`,
    rss: `${median(mine.map(({ rssMb }) => rssMb)).toFixed(0)} / ${median(bare.map(({ rssMb }) => rssMb)).toFixed(0)} MB`,
    bar,
    aim,
    throughput,
  };
});

console.log(`| call | client CPU per call | bare client | CPU ratio | bar (aim) | p99 ratio | throughput ratio | heap | RSS |`);
console.log(`|---|---|---|---|---|---|---|---|---|`);
for (const row of rows) {
  console.log(
    `| ${row.name} | ${row.cpuUs.toFixed(1)} µs | ${row.bareUs.toFixed(1)} µs | **${row.cpu.toFixed(2)}** | ${row.bar.toFixed(2)} (${row.aim.toFixed(2)}) | ${row.p99.toFixed(2)} | ${row.rps.toFixed(2)} | ${row.heap} | ${row.rss} |`,
  );
}
console.log(`\n${rounds} rounds of ${values.requests} calls, 32 in flight, Node ${process.version}, medians of same-round ratios.`);
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ node: process.version, rounds, rows }, null, 2));
const over = rows.filter(({ cpu, bar, p99, rps, throughput }) => cpu > bar || p99 > 2 || rps < throughput);
for (const { name, cpu, bar, p99, rps, throughput } of over)
  console.error(
    `over its bar: ${name}: CPU ${cpu.toFixed(2)} (bar ${bar}), p99 ${p99.toFixed(2)} (bar 2), throughput ${rps.toFixed(2)} (bar ${throughput})`,
  );
process.exitCode = over.length > 0 ? 1 : 0;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout!.once('data', (data: Buffer) => resolve(data.toString().trim()));
    child.once('exit', (code) => reject(new Error(`the upstream servers ended with ${code}`)));
  });
}
