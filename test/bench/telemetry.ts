/**
 * `npm run bench:telemetry [-- --rounds 40]`: what metrics, traces and propagation cost a call, on each side, in µs of CPU. A mesh with all of
 * it and one without take turns in one process, some hundred calls at a time, so that whatever else the machine does meets both; who is
 * called, or calls, is another process. Exit code 1 beyond the bar.
 */
import { MeshDispatcher, createServer as createMeshServer } from '@inmesh/http';
import { memorySource } from '@inmesh/policy/source';
import { createMesh } from 'inmesh';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { type Dispatcher, Pool, request } from 'undici';
import { plain } from './policy.ts';
import { silentMesh } from './silent.ts';
import { startSilentSdk } from './traces.ts';

/** µs of CPU per call that all of it may cost with an SDK of OpenTelemetry that keeps one trace in a hundred. */
const MOST = 6;
const CALLS = 1000;
const IN_FLIGHT = 32;
/** A trace that begins here is drawn: one in a hundred is kept. */
const headers = { accept: 'text/plain', 'user-agent': 'bench' };
/** One that others keep. */
const kept = { ...headers, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };

const { values, positionals } = parseArgs({ options: { rounds: { type: 'string', default: '40' } }, allowPositionals: true });
const [role] = positionals;

const answer: RequestListener = (incoming, response) => {
  incoming.resume();
  response.setHeader('content-type', 'text/plain');
  response.end('x'.repeat(100));
};

async function listen(server: Server): Promise<number> {
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** Makes so many calls, some at a time. */
async function call(url: string, dispatcher: Dispatcher, warm: boolean): Promise<void> {
  let left = CALLS;
  const worker = async (): Promise<void> => {
    while ((left -= 1) >= 0) await (await request(url, { dispatcher, headers: warm ? kept : headers })).body.text();
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

/** `warm`: every trace is kept, so that V8 has optimized what makes spans, as it has where a service has run for some minutes. */
type Run = (warm?: boolean) => Promise<void>;
type Side = readonly [silent: Run, told: Run];

/** This process calls; who is called is another. */
async function clients(): Promise<Side> {
  const other = start('server');
  const [port] = (await once(other, 'message')) as [number];
  const policy = plain([port]);
  const silent = new MeshDispatcher(await silentMesh(policy));
  const { dispatcher } = await createMesh({
    policy: memorySource([{ file: 'bench.yaml', text: policy }]),
    workload: { name: 'bench', namespace: 'default' },
    identity: false,
  });
  const url = 'http://echo.example.com/ratings/7';
  return [(warm = false) => call(url, silent, warm), (warm = false) => call(url, dispatcher, warm)];
}

/** This process is called. */
async function servers(): Promise<Side> {
  const silent = await listen(createMeshServer(answer, { mesh: await silentMesh(''), credentials: undefined }));
  const mesh = await createMesh({
    policy: memorySource([{ file: 'bench.yaml', text: '' }]),
    workload: { name: 'bench', namespace: 'default' },
    identity: false,
  });
  const told = await listen(mesh.createServer(answer));
  const other = start('client');
  const ask = async (port: number, warm: boolean): Promise<void> => {
    const done = once(other, 'message');
    other.send({ port, warm });
    await done;
  };
  return [(warm = false) => ask(silent, warm), (warm = false) => ask(told, warm)];
}

function start(as: string): ChildProcess {
  return fork(import.meta.filename, [as], { stdio: 'inherit' });
}

/** µs of CPU per call of both: the medians, and that of the differences between neighbours. */
async function measure([silent, told]: Side): Promise<readonly [silent: number, more: number]> {
  const cost = async (run: Run): Promise<number> => {
    const before = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / CALLS;
  };
  for (let round = 0; round < 20; round += 1) for (const run of [silent, told]) await run(round < 10);
  const costs: number[] = [];
  const more: number[] = [];
  for (let round = 0; round < Number(values.rounds); round += 1) {
    const [first, second] = round % 2 === 0 ? [silent, told] : [told, silent];
    const pair = [await cost(first), await cost(second)] as const;
    const [without, by] = round % 2 === 0 ? pair : ([pair[1], pair[0]] as const);
    costs.push(without);
    more.push(by - without);
  }
  return [median(costs), median(more)];
}

const median = (all: readonly number[]): number => all.toSorted((a, b) => a - b)[all.length >> 1]!;

// Whoever has a parent leaves with it.
process.on('disconnect', () => process.exit(0));

if (role === 'server') process.send!(await listen(createServer(answer)));
else if (role === 'client') {
  const pools = new Map<number, Pool>();
  process.on('message', ({ port, warm }: { readonly port: number; readonly warm: boolean }) => {
    const pool = pools.get(port) ?? new Pool(`http://127.0.0.1:${port}`);
    pools.set(port, pool);
    void call(`http://127.0.0.1:${port}/ratings/7`, pool, warm).then(() => process.send!('done'));
  });
} else if (role === undefined) {
  console.log(
    '| side | without | metrics, request ids, propagation | … and an SDK that keeps one trace in a hundred | bar |\n|---|---|---|---|---|',
  );
  let over = false;
  for (const side of ['clients', 'servers']) {
    const parts: (readonly [number, number])[] = [];
    for (const as of [side, `${side}-sdk`]) {
      const child = fork(import.meta.filename, [as, '--rounds', values.rounds], { stdio: 'inherit' });
      parts.push(((await once(child, 'message')) as [[number, number]])[0]);
    }
    const [[without, more], [, sdk]] = parts as [readonly [number, number], readonly [number, number]];
    over ||= sdk > MOST;
    console.log(`| ${side.slice(0, -1)} | ${without.toFixed(1)} µs | +${more.toFixed(1)} µs | **+${sdk.toFixed(1)} µs** | +${MOST} µs |`);
  }
  process.exitCode = over ? 1 : 0;
} else {
  if (role.endsWith('-sdk')) await startSilentSdk();
  process.send!(await measure(await (role.startsWith('clients') ? clients() : servers())), () => process.exit(0));
}
