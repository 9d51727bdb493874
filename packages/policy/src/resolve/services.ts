import type { Workload } from '../model.ts';
import type { KnownService } from './known-service.ts';
import { kubernetesServices, machinesOf } from './kubernetes.ts';
import { compareText } from './order.ts';
import type { Registry } from './registry.ts';
import { entryServices } from './service-entry.ts';
import { visibleTo } from './visibility.ts';

/** Every service the document declares, whoever may see it. */
export function declaredServices(registry: Registry, domain: string): readonly KnownService[] {
  const machines = machinesOf(registry);
  return withoutSquatters([...kubernetesServices(registry, machines, domain), ...entryServices(registry, machines)]);
}

/** What anybody may register is a service only as long as nobody declares one of that name. */
function withoutSquatters(services: readonly KnownService[]): readonly KnownService[] {
  if (!services.some(({ registered }) => registered)) return services;
  const declared = new Set(services.filter(({ registered }) => !registered).map(({ service }) => service.host));
  return services.filter(({ registered, service }) => !registered || !declared.has(service.host));
}

/**
 * The services exported to the workload's namespace, by host. Several namespaces may declare one host; then the first
 * of each list is who answers: Kubernetes before ServiceEntries, the workload's own namespace, the oldest, by name.
 */
export function visibleServices(
  declared: readonly KnownService[],
  workload: Workload,
  whenEmpty: readonly string[],
): ReadonlyMap<string, readonly KnownService[]> {
  const visible = declared.filter(({ exportTo, service }) => visibleTo(exportTo, whenEmpty, service.namespace, workload.namespace));
  const rank = ({ registry }: KnownService): number => (registry === 'Kubernetes' ? 0 : 1);
  const home = ({ service }: KnownService): number => (service.namespace === workload.namespace ? 0 : 1);
  visible.sort(
    (a, b) =>
      rank(a) - rank(b) ||
      home(a) - home(b) ||
      a.createdAt - b.createdAt ||
      compareText(a.service.name, b.service.name) ||
      compareText(a.service.namespace, b.service.namespace),
  );
  return Map.groupBy(visible, ({ service }) => service.host);
}
