/** Consistent-hash tables after a change of endpoints: how long they take in all, and that nobody has to wait for them. */
import { type Clock, Mesh, systemClock } from '@inmesh/core';
import { istioMetrics } from '@inmesh/telemetry';
import { endpointOf, toldResolver } from './change.ts';
import { type Candidate, interleave, median, type Row, type Section, threadMs } from './measure.ts';
import { BenchCall, callOnce } from './wire.ts';
import { lookedUp, ME, modelOf } from './worlds.ts';

const KEY = { httpHeaderName: 'x-user' };

const TABLES = [
  { name: 'ring hash of 1,024 points or more', hash: { ringHash: { minimumRingSize: 1024 } } },
  { name: 'ring hash of 1,000,000 points', hash: { ringHash: { minimumRingSize: 1_000_000 } } },
  { name: 'Maglev of 65,537 slots', hash: { maglev: { tableSize: 65_537 } } },
  { name: 'Maglev of 1,000,003 slots', hash: { maglev: { tableSize: 1_000_003 } } },
];

/** Longest piece of table work that may stand between a call and its turn. */
const SLICE_MS = 20;

export async function measureTables(rounds: number): Promise<Section> {
  // Timers of the mesh never keep a process alive; here nothing else would.
  const awake = setInterval(() => {}, 1000);
  const builds: { readonly name: string; readonly build: Rebuild }[] = [];
  for (const { name, hash } of TABLES) {
    for (const endpoints of [1000, 10_000]) builds.push({ name: `${name}, ${endpoints} endpoints`, build: await rebuild(hash, endpoints) });
  }
  const candidates = builds.map(({ name, build }): Candidate => ({ name, run: () => build.run() }));
  const costs = await interleave(candidates, rounds, 1);
  clearInterval(awake);
  const rows = builds.flatMap(({ name, build }): Row[] => [
    { what: `${name}: in all`, value: median(costs.get(name)!), unit: 'ms' },
    { what: `${name}: longest slice`, value: median(build.slices.slice(1)), unit: 'ms', atMost: SLICE_MS },
    { what: `${name}: longest call meanwhile`, value: median(build.calls.slice(1)), unit: 'ms', atMost: SLICE_MS },
  ]);
  return { name: 'A table is built anew because one endpoint was replaced', rows };
}

interface Rebuild {
  /** CPU of the whole. */
  run(): Promise<number>;
  /** Per run: its longest slice, and its longest call (the one that finds the change included). */
  readonly slices: number[];
  readonly calls: number[];
}

async function rebuild(hash: object, count: number): Promise<Rebuild> {
  const told = toldResolver();
  let longestSlice = 0;
  /** Whatever core does off the call path, it does in timers. */
  const clock: Clock = {
    now: () => systemClock.now(),
    wall: () => systemClock.wall(),
    after: (ms, callback) =>
      systemClock.after(ms, () => {
        const began = threadMs();
        callback();
        longestSlice = Math.max(longestSlice, threadMs() - began);
      }),
  };
  const model = modelOf(lookedUp({ consistentHash: { ...KEY, ...hash } }));
  const mesh = await Mesh.create(model, 'bench', { resolvers: [told.resolver], observer: istioMetrics({ workload: ME }), clock });
  let endpoints = Array.from({ length: count }, (_, index) => endpointOf(index));
  let joined = count;
  told.tell(endpoints);
  const call = new BenchCall('/');
  await callOnce(mesh, call);
  const building = (): boolean => mesh.status().snapshot.clusters.some((cluster) => cluster.building);
  const slices: number[] = [];
  const calls: number[] = [];
  return {
    slices,
    calls,
    run: async () => {
      endpoints = endpoints.with((joined * 7919) % count, endpointOf(joined));
      joined += 1;
      told.tell(endpoints);
      longestSlice = 0;
      let longestCall = 0;
      let total = 0;
      do {
        const began = threadMs();
        await callOnce(mesh, call);
        const called = threadMs();
        longestCall = Math.max(longestCall, called - began);
        await new Promise((resolve) => setImmediate(resolve));
        total += threadMs() - began;
      } while (building());
      slices.push(longestSlice);
      calls.push(longestCall);
      return total;
    },
  };
}
