import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestPrometheus } from '../support/prometheus.ts';

export const DASHBOARDS: string = join(import.meta.dirname, '../../dashboards');

interface Variable {
  readonly name: string;
  readonly type: string;
  readonly query: string | { readonly query: string };
  readonly regex?: string;
  readonly multi: boolean;
  readonly allValue?: string;
}

/** A query of a panel, as it is written. */
export interface PanelQuery {
  readonly panel: string;
  readonly expr: string;
}

export interface Dashboard {
  readonly file: string;
  readonly uid: string;
  readonly variables: readonly Variable[];
  readonly queries: readonly PanelQuery[];
  readonly panels: readonly Panel[];
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

interface DashboardJson {
  readonly uid: string;
  readonly templating: { readonly list: readonly Variable[] };
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
  readonly panels: readonly Panel[];
}

export const dashboards: readonly Dashboard[] = readdirSync(join(DASHBOARDS, 'grafana')).map((file) => {
  const json = JSON.parse(readFileSync(join(DASHBOARDS, 'grafana', file), 'utf8')) as DashboardJson;
  return {
    file,
    uid: json.uid,
    variables: json.templating.list,
    panels: json.panels,
    queries: [
      ...json.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ panel: title, expr }))),
      ...json.annotations.list.map(({ name, expr }) => ({ panel: name, expr })),
    ],
  };
});

export type Chosen = Readonly<Record<string, string>>;

/** Puts values where variables stand, as Grafana does. */
export function filledIn(text: string, chosen: Chosen, rateInterval: string): string {
  const filled = text.replaceAll('$__rate_interval', rateInterval).replaceAll(/\$([a-z]\w*)/g, (_, name: string) => {
    const value = chosen[name];
    if (value === undefined) throw new Error(`${text} has a variable nobody defined: ${name}`);
    return value;
  });
  return filled;
}

/** Every choice of the variables of a dashboard, as Grafana would find them: each value of those that take one, all of those that take many. */
export async function choices({ variables }: Dashboard, prometheus: TestPrometheus): Promise<readonly Chosen[]> {
  let chosen: readonly Chosen[] = [{}];
  for (const variable of variables) {
    if (variable.type === 'datasource') continue;
    const next: Chosen[] = [];
    for (const before of chosen) {
      const values = await valuesOf(variable, before, prometheus);
      if (variable.multi) {
        // What Grafana writes for All; without such a value, all of them.
        next.push({ ...before, [variable.name]: variable.allValue ?? `(${values.join('|')})` });
      } else for (const value of values) next.push({ ...before, [variable.name]: value });
    }
    chosen = next;
  }
  return chosen;
}

async function valuesOf({ type, query, regex = '' }: Variable, chosen: Chosen, prometheus: TestPrometheus): Promise<readonly string[]> {
  if (type === 'custom') return (query as string).split(',');
  const asked = filledIn((query as { readonly query: string }).query, chosen, '1m');
  const labelValues = /^label_values\((.+), ?(\w+)\)$/.exec(asked);
  if (labelValues !== null) return prometheus.labelValues(labelValues[2]!, labelValues[1]!);
  const expression = /^query_result\((.+)\)$/.exec(asked)?.[1];
  if (expression === undefined) throw new Error(`no query of a variable: ${asked}`);
  const pattern = new RegExp(regex.slice(1, -1));
  const rows = await prometheus.query(expression);
  // Grafana's text of a row: {label="value"} value time.
  const texts = rows.map(({ labels }) => `{${Object.entries(labels).map(([name, value]) => `${name}="${value}"`).join(',')}}`); // prettier-ignore
  return [...new Set(texts.flatMap((text) => pattern.exec(text)?.[1] ?? []))];
}

/** The selectors of an expression: `name{matchers}`, of metrics this project has to do with, and of what rules record of them. */
export const selectorsOf = (expr: string): readonly string[] =>
  expr.match(/\b(?:up|\w+:inmesh_\w+:\w+|(?:istio|envoy|inmesh|nodejs|process)_\w+)\b(?:\{[^}]*\})?/g) ?? [];
