import type { Clock } from '@inmesh/core';
import type { MachineProbe } from '@inmesh/policy';
import type { Ask, Dialled } from './ask.ts';
import { realAsks } from './asks.ts';
import { Check } from './check.ts';
import { askExec } from './exec.ts';

/**
 * How this machine finds itself, by a probe of its own. It is ill until it has proved to be well, as a WorkloadEntry of Istio with health checks
 * is; the first question comes after the initial delay. `at`: where its service listens.
 */
export function ownCheck(probe: MachineProbe, at: Dialled, tools: { readonly clock: Clock; readonly random: () => number }): Check {
  const { ask } = probe;
  const to = 'path' in at ? at : { host: at.host, port: ('port' in ask ? ask.port : null) ?? at.port };
  return new Check({
    pace: probe,
    ask: (signal) => (ask.kind === 'exec' ? askExec(ask, signal) : (realAsks[ask.kind] as Ask)(ask, to, signal)),
    healthy: false,
    firstMs: probe.initialDelayMs,
    ...tools,
  });
}
