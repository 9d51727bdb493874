import type { Document } from '../document.ts';
import type { ResourceOf } from '../kinds/index.ts';
import type { ServicePort } from '../model.ts';
import type { Objective } from '../telemetry.ts';
import { fullName } from './hosts.ts';
import { meshOf } from './mesh-config.ts';
import { compareText, labelOf } from './order.ts';
import { registryOf } from './registry.ts';
import { declaredServices } from './services.ts';

type ServiceLevelObjective = ResourceOf<'ServiceLevelObjective'>;

/** The objectives of these services, by namespace and name. */
export const objectivesOf = (
  objectives: readonly ServiceLevelObjective[],
  services: ReadonlySet<string>,
  domain: string,
): readonly Objective[] =>
  sorted(objectives.map((objective) => translate(objective, domain)).filter(({ service }) => services.has(service)));

/** An objective of a document, whoever may see its service. */
export interface DeclaredObjective extends Objective {
  /** What the ports of the service speak; empty: the document does not declare it. */
  readonly protocols: readonly ServicePort['protocol'][];
}

/** All objectives of a document, by namespace and name: for rules of those who watch the whole mesh. */
export function declaredObjectives(document: Document): readonly DeclaredObjective[] {
  const registry = registryOf(document);
  const { domain } = meshOf(registry).config;
  const services = Map.groupBy(declaredServices(registry, domain), ({ service }) => service.host);
  return sorted(registry.of('ServiceLevelObjective').map((resource) => translate(resource, domain))).map((objective) => ({
    ...objective,
    protocols: [...new Set(services.get(objective.service)?.flatMap(({ service }) => service.ports.map(({ protocol }) => protocol)))],
  }));
}

const sorted = (objectives: readonly Objective[]): readonly Objective[] =>
  objectives.toSorted((a, b) => compareText(a.namespace, b.namespace) || compareText(a.name, b.name));

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
