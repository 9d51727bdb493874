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
}

interface Pair {
  readonly name: string;
  readonly scenario: string;
  readonly against: string;
  /** Client CPU per call, as a multiple of the bare client's, that must not be exceeded. */
  readonly bar: number;
  readonly aim: number;
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
    scenario: 'mesh-grpc',
    against: 'bare-grpc',
    bar: 1.15,
    aim: 1.05,
  },
  { name: 'built-in fetch through the mesh', scenario: 'mesh-fetch', against: 'bare-fetch', bar: 1.08, aim: 1.05 },
];

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
const NODE_ARGS = ['--conditions=@inmesh/source', '--disable-warning=ExperimentalWarning'];
const here = import.meta.dirname;

const ca = mkdtempSync(join(tmpdir(), 'inmesh-bench-'));
await saveDevCa(ca, createDevCa(), { replace: true });
const upstream = (...args: string[]): ChildProcess =>
  spawn(process.execPath, [...NODE_ARGS, `${here}/server.ts`, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
const servers = { plain: upstream('plain'), mutual: upstream('mutual', ca), grpc: upstream('grpc') };
const ports = { plain: await firstLine(servers.plain), mutual: await firstLine(servers.mutual), grpc: await firstLine(servers.grpc) };

const chosen = PAIRS.filter(({ scenario }) => values.only === undefined || scenario.includes(values.only));
const scenarios = [...new Set(chosen.flatMap(({ scenario, against }) => [against, scenario]))];
const samples = new Map<string, Sample[]>(scenarios.map((name) => [name, []]));
for (let round = 1; round <= rounds; round += 1) {
  for (const scenario of scenarios) {
    process.stderr.write(`\rround ${round}/${rounds}  ${scenario.padEnd(24)}`);
    const file = scenario.startsWith('server-') ? 'serve.ts' : 'client.ts';
    const to = scenario.endsWith('-mutual') ? ports.mutual : scenario.endsWith('-grpc') ? ports.grpc : ports.plain;
    const { stdout } = await execute(process.execPath, [...NODE_ARGS, `${here}/${file}`, scenario, to, values.requests, ca]);
    samples.get(scenario)!.push(JSON.parse(stdout) as Sample);
  }
}
process.stderr.write('\r'.padEnd(60) + '\r');
for (const server of Object.values(servers)) server.kill();
rmSync(ca, { recursive: true });

const rows = chosen.map(({ name, scenario, against, bar, aim }) => {
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
    bar,
    aim,
  };
});

console.log(`| call | client CPU per call | bare client | CPU ratio | bar (aim) | p99 ratio | throughput ratio |`);
console.log(`|---|---|---|---|---|---|---|`);
for (const row of rows) {
  console.log(
    `| ${row.name} | ${row.cpuUs.toFixed(1)} µs | ${row.bareUs.toFixed(1)} µs | **${row.cpu.toFixed(2)}** | ${row.bar.toFixed(2)} (${row.aim.toFixed(2)}) | ${row.p99.toFixed(2)} | ${row.rps.toFixed(2)} |`,
  );
}
console.log(`\n${rounds} rounds of ${values.requests} calls, 32 in flight, Node ${process.version}, medians of same-round ratios.`);
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ node: process.version, rounds, rows }, null, 2));
const over = rows.filter(({ cpu, bar, p99 }) => cpu > bar || p99 > 2);
for (const { name, cpu, bar, p99 } of over)
  console.error(`over its bar: ${name}: CPU ${cpu.toFixed(2)} (bar ${bar}), p99 ${p99.toFixed(2)} (bar 2)`);
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
