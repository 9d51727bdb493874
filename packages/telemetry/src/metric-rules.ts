import type { EndedCall, InboundInfo, RouteInfo } from '@inmesh/core';
import type { MetricRule, SideTelemetry } from '@inmesh/policy';
import { printValue } from './cel/expression.ts';
import { familiesOf, type Shape } from './istio-families.ts';

/** What an expression of the policy says of a call; undefined: it could not be evaluated. */
export type CallExpression = (call: EndedCall, info: RouteInfo | InboundInfo) => unknown;

/** Families of one shape that have the same labels. */
export interface MetricGroup {
  readonly parts: number;
  /** Standard labels that are left out. */
  readonly removed: ReadonlySet<string>;
  /** Labels that each call says for itself, a standard one's value included. */
  readonly tags: readonly { readonly name: string; readonly expression: CallExpression }[];
}

/** Which families are kept, and with which labels, by shape. */
export type MetricPlan = Readonly<Record<Shape, readonly MetricGroup[]>>;

/** What the policy makes of Istio's metrics (Telemetry, `metrics[].overrides`). Families that nobody speaks of are one group. */
export function planMetrics({ metrics }: SideTelemetry, compile: (text: string) => CallExpression): MetricPlan {
  const groupsOf = (shape: Shape): MetricGroup[] => {
    const byTags = new Map<string, { parts: number; readonly tags: MetricRule['tags'] }>();
    for (const { metric, bit } of familiesOf(shape)) {
      const { disabled = false, tags = [] } = metrics[metric] ?? {};
      if (disabled) continue;
      const key = JSON.stringify(tags);
      const group = byTags.get(key);
      if (group === undefined) byTags.set(key, { parts: bit, tags });
      else group.parts |= bit;
    }
    return [...byTags.values()].map(({ parts, tags }) => {
      const last = new Map(tags.map(({ name, expression }) => [name, expression]));
      return {
        parts,
        removed: new Set([...last].flatMap(([name, expression]) => (expression === null ? [name] : []))),
        tags: [...last].flatMap(([name, expression]) => (expression === null ? [] : [{ name, expression: compile(expression) }])),
      };
    });
  };
  return { calls: groupsOf('calls'), messages: groupsOf('messages'), connections: groupsOf('connections') };
}

/** What an expression comes to as a label; `unknown` where it fails, as in Istio. */
export const tagText = (value: unknown): string => printValue(value) || 'unknown';
