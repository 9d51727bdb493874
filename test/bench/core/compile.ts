/** What a new document of 1,000 services and 2,000 routes costs until it is in force. */
import { Mesh } from '@inmesh/core';
import { resolve } from '@inmesh/policy';
import { istioMetrics } from '@inmesh/telemetry';
import { median, type Section, threadMs } from './measure.ts';
import { ME, manyServices, parsed, textOf } from './worlds.ts';

export async function measureCompile(rounds: number): Promise<Section> {
  const text = textOf(manyServices(1000, 2));
  const observer = istioMetrics({ workload: ME });
  const parts = { parse: [] as number[], resolve: [] as number[], first: [] as number[], again: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    const began = threadMs();
    const document = parsed(text);
    const read = threadMs();
    const model = resolve(document, ME);
    const resolved = threadMs();
    const mesh = await Mesh.create(model, 'first', { observer });
    const compiled = threadMs();
    // As after an update: everything is made anew and nothing learned is lost.
    const next = resolve(document, ME);
    const applying = threadMs();
    mesh.apply(next, 'again');
    const applied = threadMs();
    await mesh.close(0);
    parts.parse.push(read - began);
    parts.resolve.push(resolved - read);
    parts.first.push(compiled - resolved);
    parts.again.push(applied - applying);
  }
  return {
    name: 'A document of 1,000 services and 2,000 routes (JSON)',
    rows: [
      { what: `parse and check ${(text.length / 1e6).toFixed(1)} MB`, value: median(parts.parse), unit: 'ms' },
      { what: 'resolve', value: median(parts.resolve), unit: 'ms' },
      { what: 'compile, at the start', value: median(parts.first), unit: 'ms', atMost: 300 },
      { what: 'compile and swap, as an update', value: median(parts.again), unit: 'ms', atMost: 300 },
    ],
  };
}
