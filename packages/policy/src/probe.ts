import type * as v from 'valibot';
import { inmeshKind } from './kinds/kind.ts';
import { checkProbe, probeSchema } from './kinds/workload-group.ts';
import type { MachineProbe } from './model.ts';
import { parsePlain } from './parse/plain.ts';
import { machineProbe } from './resolve/workload-group.ts';

/** WorkloadGroup.probe, as a program writes it. */
export type ProbeSpec = v.InferInput<typeof probeSchema>;

const probe = inmeshKind({
  kind: 'Probe',
  summary: '',
  body: 'root',
  schema: probeSchema,
  checks: [(spec, report) => checkProbe(spec, [], report)],
});

/** The probe a machine carries out on itself; or what is wrong with it, a sentence each. Never throws. */
export function parseProbe(
  value: unknown,
): { readonly ok: true; readonly probe: MachineProbe } | { readonly ok: false; readonly problems: readonly string[] } {
  const parsed = parsePlain(probe, value);
  // The checks have seen to it that there is something to do.
  return parsed.ok ? { ok: true, probe: machineProbe(parsed.value)! } : parsed;
}
