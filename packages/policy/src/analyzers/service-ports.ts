import type { ResourceOf } from '../kinds/index.ts';
import type { Analyzer } from './analyzer.ts';
import { compatible, operationsOf, type Path, type Policy, rulesOf, selectorOf } from './policies.ts';

type Service = ResourceOf<'Service'>;

/** Ports of a service where its workloads listen on others (INM0409): rules compare the port of the workload, so such a rule never fits. */
export const servicePorts: Analyzer = (world, tell) => {
  const services = Map.groupBy(world.all('Service'), ({ metadata }) => metadata.namespace);
  const nearby = (namespace: string): readonly Service[] => (namespace === world.rootNamespace ? [] : (services.get(namespace) ?? []));
  for (const policy of world.all('AuthorizationPolicy'))
    for (const { port, path } of portsOf(policy)) {
      const target = mistaken(nearby(policy.metadata.namespace), selectorOf(policy), port);
      if (target !== undefined)
        tell(
          policy,
          'warning',
          'INM0409',
          path,
          `${port} is a port of the service, whose workloads listen on ${target}`,
          `write ${target}`,
        );
    }
  for (const policy of world.all('PeerAuthentication'))
    for (const port of Object.keys(policy.spec.portLevelMtls ?? {})) {
      const target = mistaken(nearby(policy.metadata.namespace), selectorOf(policy), port);
      if (target !== undefined)
        tell(
          policy,
          'warning',
          'INM0409',
          ['spec', 'portLevelMtls', port],
          `${port} is a port of the service, whose workloads listen on ${target}`,
          `write ${target}`,
        );
    }
};

const portsOf = (policy: Policy): { readonly port: string; readonly path: Path }[] =>
  rulesOf(policy).flatMap((rule) => [
    ...operationsOf(rule).flatMap(({ value, path }) =>
      (['ports', 'notPorts'] as const).flatMap((field) => value[field].map((port, index) => ({ port, path: [...path, field, index] }))),
    ),
    ...rule.value.when.flatMap(({ key, values, notValues }, at) =>
      key !== 'destination.port'
        ? []
        : Object.entries({ values, notValues }).flatMap(([field, list]) =>
            list.map((port, index) => ({ port, path: [...rule.path, 'when', at, field, index] })),
          ),
    ),
  ]);

/** The port that was meant; undefined if some workload may listen on the one named, or nobody knows. */
function mistaken(services: readonly Service[], labels: Readonly<Record<string, string>>, port: string): number | undefined {
  const ports = services.filter(({ spec }) => compatible(labels, spec.selector)).flatMap(({ spec }) => spec.ports);
  const named = ports.filter(({ port: number }) => String(number) === port);
  const targets = named.map(({ targetPort }) => targetPort);
  const [target] = targets;
  return typeof target === 'number' &&
    target > 0 &&
    targets.every((one) => one === target) &&
    !ports.some((one) => String(one.targetPort ?? one.port) === port)
    ? target
    : undefined;
}
