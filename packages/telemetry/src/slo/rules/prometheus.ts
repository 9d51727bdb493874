import type { DeclaredObjective } from '@inmesh/policy';
import { alertsOf, type BurnAlert, budgetOf, type Severity, WINDOWS, windowsOf } from '../burn-rates.ts';
import { describe, idOf, promDuration, selectors, tidy } from './queries.ts';

interface RuleGroup {
  readonly name: string;
  readonly rules: readonly object[];
}

/**
 * Recording and alerting rules under the names Sloth gives them (github.com/slok/sloth), so that its dashboards show them: error ratios by
 * window, what is known of the objective, and alerts that hold over two windows.
 */
export function ruleGroups(objective: DeclaredObjective): readonly RuleGroup[] {
  const id = idOf(objective);
  const labels = { sloth_id: id, sloth_service: objective.service, sloth_slo: objective.name };
  const rules = new Rules(objective, labels);
  return [
    { name: `sloth-slo-sli-recordings-${id}`, rules: rules.ratios() },
    { name: `sloth-slo-meta-recordings-${id}`, rules: rules.known() },
    { name: `sloth-slo-alerts-${id}`, rules: rules.alerts() },
  ];
}

class Rules {
  readonly #objective: DeclaredObjective;
  readonly #labels: Readonly<Record<string, string>>;
  /** `{sloth_id="…",…}`. */
  readonly #mine: string;
  readonly #period: string;

  constructor(objective: DeclaredObjective, labels: Readonly<Record<string, string>>) {
    this.#objective = objective;
    this.#labels = labels;
    this.#mine = `{${Object.entries(labels).map(([name, value]) => `${name}="${value}"`).join(', ')}}`; // prettier-ignore
    this.#period = promDuration(objective.windowMs);
  }

  ratios(): readonly object[] {
    const { good, total } = selectors(this.#objective);
    const record = (window: string, expr: string): object => ({
      record: `slo:sli_error:ratio_rate${window}`,
      expr,
      labels: { ...this.#labels, sloth_window: window },
    });
    // Where every call fails there may be no good series at all; where there are no calls there is no ratio.
    const windows = windowsOf(this.#objective).map((name) =>
      record(name, `1 - (\n  (sum(rate(${good}[${name}])) or vector(0))\n  /\n  (sum(rate(${total}[${name}])) > 0)\n)\n`),
    );
    if (Object.values<number>(WINDOWS).includes(this.#objective.windowMs)) return windows;
    // As Sloth: a rate over weeks costs too much; the average of what was recorded is near enough.
    const recorded = `slo:sli_error:ratio_rate5m${this.#mine}[${this.#period}]`;
    const period = `sum_over_time(${recorded})\n/ ignoring (sloth_window)\ncount_over_time(${recorded})\n`;
    return [...windows, record(this.#period, period)];
  }

  known(): readonly object[] {
    const budget = budgetOf(this.#objective);
    const { objective, windowMs } = this.#objective;
    const record = (name: string, expr: string, more: Readonly<Record<string, string>> = {}): object => ({
      record: name,
      expr,
      labels: { ...this.#labels, ...more },
    });
    const burn = (window: string): string =>
      `slo:sli_error:ratio_rate${window}${this.#mine}\n/ on(sloth_id, sloth_slo, sloth_service) group_left\nslo:error_budget:ratio${this.#mine}\n`;
    return [
      record('slo:objective:ratio', `vector(${tidy(objective / 100)})`),
      record('slo:error_budget:ratio', `vector(${budget})`),
      record('slo:time_period:days', `vector(${tidy(windowMs / 86_400_000)})`),
      record('slo:current_burn_rate:ratio', burn('5m')),
      record('slo:period_burn_rate:ratio', burn(this.#period)),
      record('slo:period_error_budget_remaining:ratio', `1 - slo:period_burn_rate:ratio${this.#mine}`),
      record('sloth_slo_info', 'vector(1)', { sloth_mode: 'inmesh', sloth_spec: 'prometheus/v1', sloth_objective: String(objective) }),
    ];
  }

  alerts(): readonly object[] {
    const alerts = alertsOf(this.#objective);
    return (['page', 'ticket'] as const).flatMap((severity) => {
      const mine = alerts.filter((alert) => alert.severity === severity);
      return mine.length === 0 ? [] : [this.#alert(severity, mine)];
    });
  }

  #alert(severity: Severity, alerts: readonly BurnAlert[]): object {
    const budget = budgetOf(this.#objective);
    const burns = (window: string, factor: number): string =>
      `  max(slo:sli_error:ratio_rate${window}${this.#mine} > (${tidy(factor)} * ${budget})) without (sloth_window)\n`;
    const expr = alerts.map(({ short, long, factor }) => `(\n${burns(short, factor)}  and\n${burns(long, factor)})\n`).join('or\n');
    return {
      alert: 'SLOErrorBudgetBurn',
      expr,
      // Those of the objective come with the expression, too; promtool tells rules apart by what is written here.
      labels: { ...this.#labels, sloth_severity: severity },
      annotations: {
        title: `(${severity}) {{$labels.sloth_service}} {{$labels.sloth_slo}} burns its error budget too fast`,
        summary: describe(this.#objective),
      },
    };
  }
}
