import type { DeclaredObjective } from '@inmesh/policy';
import { describe, idOf, promDuration, selectors } from './queries.ts';

const SLOTH_PERIOD = '30d';

/** A PrometheusServiceLevel of Sloth (sloth.slok.dev/v1), for `sloth generate` and its operator: one for each service. */
export function serviceLevel(objectives: readonly [DeclaredObjective, ...DeclaredObjective[]]): object {
  const [{ service, namespace }] = objectives;
  return {
    apiVersion: 'sloth.slok.dev/v1',
    kind: 'PrometheusServiceLevel',
    // Names of Kubernetes have no stars: that is the wildcard of a ServiceEntry.
    metadata: { name: service.replace('*', 'any'), namespace },
    spec: { service, slos: objectives.map(slo) },
  };
}

function slo(objective: DeclaredObjective): object {
  const { good, total } = selectors(objective);
  const severity = (alert: 'page' | 'ticket') => ({ labels: { severity: alert } });
  return {
    name: idOf(objective),
    objective: objective.objective,
    description: describe(objective),
    sli: {
      events: {
        errorQuery: `sum(rate(${total}[{{.window}}])) - (sum(rate(${good}[{{.window}}])) or vector(0))`,
        totalQuery: `sum(rate(${total}[{{.window}}]))`,
      },
    },
    alerting: { name: 'SLOErrorBudgetBurn', pageAlert: severity('page'), ticketAlert: severity('ticket') },
  };
}

/** Sloth has one window for all it is given at once, and alerts for 28 and 30 days; others it must be given. */
export const slothRemarks = (objective: DeclaredObjective): readonly string[] => {
  const period = promDuration(objective.windowMs);
  return period === SLOTH_PERIOD
    ? []
    : [`${objective.name} is over ${period}: sloth generate --default-slo-period=${period}, with --slo-period-windows-path for its alerts`];
};
