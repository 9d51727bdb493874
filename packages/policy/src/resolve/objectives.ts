import type { ResourceOf } from '../kinds/index.ts';
import type { Objective } from '../telemetry.ts';
import { fullName } from './hosts.ts';
import { compareText, labelOf } from './order.ts';

type ServiceLevelObjective = ResourceOf<'ServiceLevelObjective'>;

/** The objectives of these services, by namespace and name. */
export const objectivesOf = (
  objectives: readonly ServiceLevelObjective[],
  services: ReadonlySet<string>,
  domain: string,
): readonly Objective[] =>
  objectives
    .map((objective) => translate(objective, domain))
    .filter(({ service }) => services.has(service))
    .sort((a, b) => compareText(a.namespace, b.namespace) || compareText(a.name, b.name));

function translate(resource: ServiceLevelObjective, domain: string): Objective {
  const { name, namespace } = resource.metadata;
  const { service, indicator, objective, window, enforcement } = resource.spec;
  return {
    resource: labelOf(resource),
    name,
    namespace,
    service: fullName(service, namespace, domain),
    indicator: indicator.latency === undefined ? { kind: 'availability' } : { kind: 'latency', thresholdMs: indicator.latency.threshold },
    objective,
    windowMs: window,
    enforcement: enforcement === undefined ? null : { when: enforcement.when, actions: [...new Set(enforcement.actions)] },
  };
}
