import type { Workload } from '../model.ts';
import { compareText } from './order.ts';
import type { Registry } from './registry.ts';
import { selects } from './visibility.ts';

/** A service a workload is a member of. */
export interface Membership {
  readonly host: string;
  readonly namespace: string;
  readonly headless: boolean;
}

/**
 * The services a workload is a member of, judged by its labels: those that select it, and those ServiceEntries that list
 * an endpoint with labels of its own. What has no labels to go by could be anybody.
 */
export function membershipsOf(registry: Registry, { namespace, labels }: Workload, domain: string): readonly Membership[] {
  const home = ({ metadata }: { readonly metadata: { readonly namespace: string } }): boolean => metadata.namespace === namespace;
  const itself = (selector: Readonly<Record<string, string>>): boolean => Object.keys(selector).length > 0 && selects(selector, labels);
  const services = registry
    .of('Service')
    .filter((service) => home(service) && itself(service.spec.selector))
    .map(({ metadata, spec }) => ({
      host: `${metadata.name}.${namespace}.svc.${domain}`.toLowerCase(),
      namespace,
      headless: spec.clusterIP === 'None',
    }));
  const entries = registry
    .of('ServiceEntry')
    .filter(
      (entry) =>
        home(entry) &&
        (entry.spec.workloadSelector === undefined
          ? entry.spec.endpoints.some((endpoint) => itself(endpoint.labels))
          : itself(entry.spec.workloadSelector.labels)),
    )
    .flatMap(({ spec }) => spec.hosts.map((host) => ({ host: host.toLowerCase(), namespace, headless: false })));
  const byHost = new Map([...entries, ...services].map((one) => [one.host, one]));
  return [...byHost.values()].sort((a, b) => compareText(a.host, b.host));
}
