/** What a call costs on its way from `find` to the last thing learned of it, and that its cost does not grow with the policy. */
import { type Call, Mesh } from '@inmesh/core';
import { istioMetrics } from '@inmesh/telemetry';
import { type Candidate, interleave, median, ratio, type Row, type Section, threadMs } from './measure.ts';
import { BenchCall, callOnce } from './wire.ts';
import { type Kind, ME, modelOf, oneService, type WorldSize } from './worlds.ts';

const CALLS = 20_000;
/** Calls are made beforehand, the same number for every world: a bigger world must not mean a bigger bench. */
const PREPARED = 4096;
const BASE: WorldSize = { routes: 10, endpoints: 4 };
const SIZES: readonly WorldSize[] = [
  BASE,
  { routes: 100, endpoints: 4 },
  { routes: 1000, endpoints: 4 },
  { routes: 10, endpoints: 100 },
  { routes: 10, endpoints: 1000 },
];

export async function measureCalls(rounds: number): Promise<Section> {
  const worlds: { readonly kind: Kind; readonly size: WorldSize; readonly candidate: Candidate }[] = [];
  for (const kind of ['plain', 'full'] as const) {
    for (const size of SIZES) worlds.push({ kind, size, candidate: await world(kind, size) });
  }
  const costs = await interleave(
    worlds.map(({ candidate }) => candidate),
    rounds,
    3,
  );
  const rows = worlds.map(({ kind, size, candidate: { name } }): Row[] => {
    const mine = costs.get(name)!;
    if (size === BASE) return [{ what: `${kind}: ${nameOf(size)}`, value: median(mine) * 1e6, unit: 'ns' }];
    return [
      {
        what: `${kind}: ${nameOf(size)}, against ${nameOf(BASE)}`,
        value: ratio(mine, costs.get(keyOf(kind, BASE))!),
        unit: '×',
        atMost: 1.1,
      },
    ];
  });
  return { name: 'A call through the pipeline, metrics counted, answered in the same moment', rows: rows.flat() };
}

const nameOf = ({ routes, endpoints }: WorldSize): string => `${routes} routes, ${endpoints} endpoints`;
const keyOf = (kind: Kind, size: WorldSize): string => `${kind} ${nameOf(size)}`;

/** Costs in milliseconds per call. Paths go over all routes, and have an id at their end as real ones do. */
async function world(kind: Kind, size: WorldSize): Promise<Candidate> {
  const mesh = await Mesh.create(modelOf(oneService(kind, size)), 'bench', { observer: istioMetrics({ workload: ME }) });
  const calls: Call[] = Array.from({ length: PREPARED }, (_, index) => new BenchCall(`/api/${(index * 7919) % size.routes}/${index}`));
  let next = 0;
  return {
    name: keyOf(kind, size),
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
