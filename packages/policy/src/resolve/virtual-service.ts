import type { MeshConfigSpec } from '../kinds/mesh-config.ts';
import type { RetryPolicy, Workload } from '../model.ts';
import { delegatesOf, expandDelegates, type OwnedRule } from './delegates.ts';
import type { Destinations } from './destinations.ts';
import { type Governor, NOTHING, perPort } from './governor.ts';
import { fullName } from './hosts.ts';
import { byAge, labelOf } from './order.ts';
import type { Registry } from './registry.ts';
import { translateRules } from './routes.ts';
import type { Scope } from './sidecar.ts';
import { visibleTo } from './visibility.ts';

/** A VirtualService that governs calls of the workload. */
export interface VirtualServiceGovernor extends Governor {
  /** Full names. */
  readonly hosts: readonly string[];
  /** Ports on which it may say something else than on others: those it names, and those of destinations it leaves open. */
  ports(): readonly number[];
}

/** What rules are translated with. */
export interface Setting {
  readonly workload: Workload;
  readonly mesh: MeshConfigSpec;
  readonly defaultRetries: RetryPolicy | null;
  readonly scope: Scope;
  readonly destinations: Destinations;
}

/**
 * The VirtualServices with hosts that are bound to the mesh (not to gateways only), exported to the workload and
 * imported by its Sidecar; the oldest first, with the rules of their delegates in place.
 */
export function virtualServicesOf(
  registry: Registry,
  { workload, mesh, defaultRetries, scope, destinations }: Setting,
): readonly VirtualServiceGovernor[] {
  const all = registry.of('VirtualService');
  const delegates = delegatesOf(all);
  return all
    .filter(
      ({ spec, metadata }) =>
        spec.hosts.length > 0 &&
        (spec.gateways.length === 0 || spec.gateways.includes('mesh')) &&
        visibleTo(spec.exportTo, mesh.defaultVirtualServiceExportTo, metadata.namespace, workload.namespace),
    )
    .toSorted((a, b) => byAge(a.metadata, b.metadata))
    .map((resource): VirtualServiceGovernor => {
      const { namespace } = resource.metadata;
      const label = labelOf(resource);
      const hosts = resource.spec.hosts.map((host) => fullName(host, namespace, mesh.domain));
      const expansion: string[] = [];
      const rules = expandDelegates(resource, delegates, mesh, expansion);
      return {
        resource: label,
        metadata: resource.metadata,
        hosts,
        ports: () => portsOf(rules, mesh.domain, scope),
        on: perPort((port) => {
          if (!scope.imports(namespace, hosts, port)) return NOTHING;
          const notes = [...expansion];
          const routes = translateRules(rules, {
            workload,
            domain: mesh.domain,
            port,
            defaultRetries,
            destinations,
            resource: label,
            notes,
          });
          return { routes, notes };
        }),
      };
    });
}

function portsOf(rules: readonly OwnedRule[], domain: string, scope: Scope): readonly number[] {
  const ports = new Set<number>();
  for (const { rule, namespace } of rules) {
    for (const { port } of rule.match) if (port !== undefined) ports.add(port);
    for (const { destination } of rule.route) {
      if (destination.port !== undefined) continue;
      const open = scope.destination(fullName(destination.host, namespace, domain))?.service.ports ?? [];
      if (open.length > 1) for (const { number } of open) ports.add(number);
    }
  }
  return [...ports].sort((a, b) => a - b);
}
