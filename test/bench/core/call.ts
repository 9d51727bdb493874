/** What a call costs on its way from `find` to the last thing learned of it, and that its cost does not grow with the policy. */
import { type Call, Mesh } from '@inmesh/core';
import { istioMetrics } from '@inmesh/telemetry';
import { type Candidate, interleave, quiet, type Row, type Section, threadMs } from './measure.ts';
import { BenchCall, callOnce } from './wire.ts';
import { type Kind, ME, modelOf, oneService, type WorldSize } from './worlds.ts';

const CALLS = 8000;
/** Where a mesh happens to lie in memory decides over a tenth or two of so short a way: of each several are made, the luckiest counts. */
const TWINS = 4;
/** Calls are made beforehand, the same number for every world: a bigger world must not mean a bigger bench. */
const PREPARED = 1024;

interface World extends WorldSize {
  /** Routes that get calls, evenly spread and the last among them. */
  readonly called: number;
  /** Istio's metrics are counted too. */
  readonly metrics: boolean;
}

const BASE: World = { routes: 10, endpoints: 4, called: 1, metrics: false };
/** What grows must cost nothing: the last of a thousand routes is found as the last of ten. */
const GROWN: readonly World[] = [
  { ...BASE, routes: 100 },
  { ...BASE, routes: 1000 },
  { ...BASE, endpoints: 100 },
  { ...BASE, endpoints: 1000 },
];
/** For information: metrics, and calls to many routes at once, which the processor's caches hold less and less of. */
const SHOWN: readonly World[] = [
  { ...BASE, metrics: true },
  { ...BASE, endpoints: 1000, metrics: true },
  { ...BASE, called: 10 },
  { ...BASE, routes: 1000, called: 10 },
  { ...BASE, routes: 1000, called: 1000 },
];

export async function measureCalls(rounds: number): Promise<Section> {
  const worlds = (['plain', 'full'] as const).flatMap((kind) =>
    [BASE, ...GROWN, ...SHOWN].map((size) => ({ kind, size, name: nameOf(kind, size) })),
  );
  const candidates: Candidate[] = [];
  for (let twin = 0; twin < TWINS; twin += 1) {
    for (const { kind, size, name } of worlds) candidates.push({ name: `${name} ${twin}`, run: await world(kind, size) });
  }
  const costs = await interleave(candidates, rounds, 3);
  const costOf = (name: string): number => Math.min(...Array.from({ length: TWINS }, (_, twin) => quiet(costs.get(`${name} ${twin}`)!)));
  const rows = worlds.map(({ kind, size, name }): Row => {
    const mine = costOf(name);
    if (size === BASE) return { what: name, value: mine * 1e6, unit: 'ns' };
    const row: Row = { what: `${name}, as a multiple`, value: mine / costOf(nameOf(kind, BASE)), unit: '×' };
    return GROWN.includes(size) ? { ...row, atLeast: 0.9, atMost: 1.1 } : row;
  });
  return { name: 'A call through the pipeline, answered in the same moment', rows };
}

function nameOf(kind: Kind, { routes, endpoints, called, metrics }: World): string {
  return `${kind}: ${routes} routes${called > BASE.called ? ` (${called} called)` : ''}, ${endpoints} endpoints${metrics ? ', metrics' : ''}`;
}

/** Costs in milliseconds per call. Paths have an id at their end, as real ones do. */
async function world(kind: Kind, size: World): Promise<() => Promise<number>> {
  const mesh = await Mesh.create(
    modelOf(oneService(kind, size)),
    'bench',
    size.metrics ? { observer: istioMetrics({ workload: ME }) } : {},
  );
  const route = (index: number): number => Math.round(((((index * 7919) % size.called) + 1) * size.routes) / size.called) - 1;
  const calls: Call[] = Array.from({ length: PREPARED }, (_, index) => new BenchCall(`/api/${route(index)}/${index}`));
  let next = 0;
  return async () => {
    const began = threadMs();
    for (let count = 0; count < CALLS; count += 1) {
      await callOnce(mesh, calls[next]!);
      next = next + 1 < PREPARED ? next + 1 : 0;
    }
    return (threadMs() - began) / CALLS;
  };
}
