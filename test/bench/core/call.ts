/** What a call costs on its way from `find` to the last thing learned of it, and that its cost does not grow with the policy. */
import { type Call, Mesh } from '@inmesh/core';
import { istioMetrics } from '@inmesh/telemetry';
import { type Candidate, interleave, median, ratio, type Row, type Section, threadMs } from './measure.ts';
import { BenchCall, callOnce } from './wire.ts';
import { type Kind, ME, modelOf, oneService, type WorldSize } from './worlds.ts';

const CALLS = 20_000;
/** Calls are made beforehand, the same number for every world: a bigger world must not mean a bigger bench. */
const PREPARED = 1024;

interface World extends WorldSize {
  /** Routes that get calls, evenly spread from the first to the last. */
  readonly called: number;
}

const BASE: World = { routes: 10, endpoints: 4, called: 10 };
/** What grows must cost nothing; that calls to very many routes at once find less in the processor's caches is another matter, shown apart. */
const WORLDS: readonly World[] = [
  BASE,
  { routes: 100, endpoints: 4, called: 10 },
  { routes: 1000, endpoints: 4, called: 10 },
  { routes: 10, endpoints: 100, called: 10 },
  { routes: 10, endpoints: 1000, called: 10 },
  { routes: 1000, endpoints: 4, called: 1000 },
];

export async function measureCalls(rounds: number): Promise<Section> {
  const worlds: { readonly kind: Kind; readonly size: World; readonly candidate: Candidate }[] = [];
  for (const kind of ['plain', 'full'] as const) {
    for (const size of WORLDS) worlds.push({ kind, size, candidate: await world(kind, size) });
  }
  const costs = await interleave(
    worlds.map(({ candidate }) => candidate),
    rounds,
    3,
  );
  const rows = worlds.map(({ kind, size, candidate: { name } }): Row => {
    const mine = costs.get(name)!;
    if (size === BASE) return { what: name, value: median(mine) * 1e6, unit: 'ns' };
    const row: Row = { what: `${name}, as a multiple`, value: ratio(mine, costs.get(nameOf(kind, BASE))!), unit: '×' };
    return size.called > BASE.called ? row : { ...row, atLeast: 0.9, atMost: 1.1 };
  });
  return { name: 'A call through the pipeline, counted, answered in the same moment', rows };
}

function nameOf(kind: Kind, { routes, endpoints, called }: World): string {
  return `${kind}: ${routes} routes${called > BASE.called ? `, all of them called` : ''}, ${endpoints} endpoints`;
}

/** Costs in milliseconds per call. Paths have an id at their end, as real ones do. */
async function world(kind: Kind, size: World): Promise<Candidate> {
  const mesh = await Mesh.create(modelOf(oneService(kind, size)), 'bench', { observer: istioMetrics({ workload: ME }) });
  const step = (size.routes - 1) / (size.called - 1);
  const calls: Call[] = Array.from(
    { length: PREPARED },
    (_, index) => new BenchCall(`/api/${Math.round(((index * 7919) % size.called) * step)}/${index}`),
  );
  let next = 0;
  return {
    name: nameOf(kind, size),
    run: async () => {
      const began = threadMs();
      for (let count = 0; count < CALLS; count += 1) {
        await callOnce(mesh, calls[next]!);
        next = next + 1 < PREPARED ? next + 1 : 0;
      }
      return (threadMs() - began) / CALLS;
    },
  };
}
