import type { DeclaredObjective } from '@inmesh/policy';
import { stringify } from 'yaml';
import { ruleGroups } from './prometheus.ts';
import { pyrraObjectives } from './pyrra.ts';
import { remarks } from './queries.ts';
import { serviceLevel, slothRemarks } from './sloth.ts';

/** Who evaluates the rules: Prometheus itself, or a tool that makes rules of its own. */
export type SloFormat = 'prometheus' | 'sloth' | 'pyrra';

const yaml = (value: unknown): string => stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });

const comments = (lines: readonly string[]): string => lines.map((line) => `# ${line}\n`).join('');

const FORMATS: Readonly<Record<SloFormat, (objectives: readonly DeclaredObjective[]) => string>> = {
  prometheus: (objectives) =>
    `groups:\n${objectives
      .map((objective) => comments(remarksOf(objective, remarks)) + yaml(ruleGroups(objective)))
      .join('')
      .replaceAll(/^(?=.)/gm, '  ')}`,
  sloth: (objectives) =>
    [...Map.groupBy(objectives, ({ service, namespace }) => `${namespace} ${service}`).values()]
      .map(
        ([first, ...more]) =>
          comments([first!, ...more].flatMap((objective) => remarksOf(objective, (each) => [...remarks(each), ...slothRemarks(each)]))) +
          yaml(serviceLevel([first!, ...more])),
      )
      .join('---\n'),
  pyrra: (objectives) =>
    objectives
      .flatMap((objective) => pyrraObjectives(objective).map((resource) => comments(remarksOf(objective, remarks)) + yaml(resource)))
      .join('---\n'),
};

/**
 * Rules that watch objectives in a whole mesh, from what its processes count (`istio_requests_total` and
 * `istio_request_duration_milliseconds` of callers), as YAML for one of the tools.
 */
export function sloRules(objectives: readonly DeclaredObjective[], format: SloFormat): string {
  return FORMATS[format](objectives);
}

const remarksOf = (objective: DeclaredObjective, of: (objective: DeclaredObjective) => readonly string[]): readonly string[] =>
  of(objective).map((remark) => `${objective.resource}: ${remark}`);
