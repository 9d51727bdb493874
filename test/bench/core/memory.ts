/** That a mesh whose policy never rests does not grow: 1,000 swaps under calls, some of which outlive the policy they began on. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Mesh } from '@inmesh/core';
import { istioMetrics } from '@inmesh/telemetry';
import type { Section } from './measure.ts';
import { BenchCall, callOnce, openCall } from './wire.ts';
import { manyServices, ME, modelOf } from './worlds.ts';

const SWAPS = 1000;
/** Caches and tables are as big as they get by then. */
const SETTLED = 200;
/** Calls that end only after this many further policies. */
const LINGER = 10;

export async function measureMemory(): Promise<Section> {
  // Two policies in turn, of which the second has a service more, one less, and other routes.
  const models = [modelOf(manyServices(50, 2)), modelOf(manyServices(51, 3).slice(3))];
  const mesh = await Mesh.create(models[0]!, '0', { observer: istioMetrics({ workload: ME }) });
  const calls = Array.from({ length: 50 }, (_, index) => new BenchCall(`/api/${index % 2}/x`, `service-${index}.example.com`));
  const open: { end(): void }[] = [];
  let settled = { heap: 0, leases: 0 };
  for (let swap = 1; swap <= SWAPS; swap += 1) {
    mesh.apply(models[swap % 2]!, `${swap}`);
    for (const call of calls.slice(1)) await callOnce(mesh, call);
    open.push(openCall(mesh, calls[1 + (swap % 49)]!));
    if (open.length > LINGER) open.shift()!.end();
    // Looked at under the same one of the two.
    if (swap === SETTLED) settled = { heap: heapMb(), leases: mesh.status().leases };
  }
  const heap = heapMb();
  const { leases } = mesh.status();
  for (const call of open) call.end();
  const atRest = mesh.status().leases;
  await mesh.close(0);
  return {
    name: `${SWAPS} policy swaps of 50 services under calls`,
    rows: [
      { what: `heap after ${SETTLED} swaps`, value: settled.heap, unit: 'MB' },
      { what: `heap after ${SWAPS} swaps, against that`, value: heap / settled.heap, unit: '×', atMost: 1.05 },
      { what: `leases after ${SETTLED} swaps`, value: settled.leases, unit: '' },
      { what: `leases after ${SWAPS} swaps`, value: leases, unit: '', atLeast: settled.leases, atMost: settled.leases },
      { what: 'leases once the calls of old policies have ended', value: atRest, unit: '', atMost: settled.leases },
      { what: 'leases after close', value: mesh.status().leases, unit: '', atMost: 0 },
    ],
  };
}

/** What is alive, after everything else was collected. */
function heapMb(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed / 1e6;
}
