import type { InboundService } from '../inbound.ts';
import type { Workload } from '../model.ts';
import { compareText } from './order.ts';
import type { Registry } from './registry.ts';
import { selects } from './visibility.ts';

/** A service a workload is a member of. */
export interface Membership extends InboundService {
  readonly headless: boolean;
}

/** Labels of an endpoint that say where it is and how it is reached: no workload carries them itself. */
const OF_THE_PLACE = /^(?:topology\.|security\.istio\.io\/tlsMode$)/;

/**
 * The services a workload is a member of, judged by its labels: those that select it, and those ServiceEntries that list
 * an endpoint with labels of its own. What has no labels to go by could be anybody.
 */
export function membershipsOf(registry: Registry, { namespace, labels }: Workload, domain: string): readonly Membership[] {
  const home = ({ metadata }: { readonly metadata: { readonly namespace: string } }): boolean => metadata.namespace === namespace;
  const itself = (selector: Readonly<Record<string, string>>): boolean => Object.keys(selector).length > 0 && selects(selector, labels);
  const entryOfItself = (said: Readonly<Record<string, string>>): boolean =>
    itself(Object.fromEntries(Object.entries(said).filter(([name]) => !OF_THE_PLACE.test(name))));
  const services = registry
    .of('Service')
    .filter((service) => home(service) && itself(service.spec.selector))
    .map(({ metadata, spec }) => ({
      host: `${metadata.name}.${namespace}.svc.${domain}`.toLowerCase(),
      name: metadata.name,
      namespace,
      ports: spec.ports.some(({ targetPort }) => typeof targetPort === 'string')
        ? null
        : spec.ports.map(({ port, targetPort }) => (typeof targetPort === 'number' && targetPort > 0 ? targetPort : port)),
      headless: spec.clusterIP === 'None',
    }));
  const entries = registry
    .of('ServiceEntry')
    .filter(
      (entry) =>
        home(entry) &&
        (entry.spec.workloadSelector === undefined
          ? entry.spec.endpoints.some((endpoint) => entryOfItself(endpoint.labels))
          : itself(entry.spec.workloadSelector.labels)),
    )
    .flatMap(({ spec, metadata: { name } }) => {
      // Who is selected is one of the WorkloadEntries with its labels, and serves where that one says.
      const listed =
        spec.workloadSelector === undefined
          ? spec.endpoints
          : registry
              .of('WorkloadEntry')
              .filter(home)
              .map((one) => one.spec);
      const own = listed.filter((endpoint) => entryOfItself(endpoint.labels)).map((endpoint) => endpoint.ports ?? {});
      const ports = spec.ports.flatMap((port) => {
        const elsewhere = own.map((by) => by[port.name]).filter((number) => number !== undefined);
        return elsewhere.length > 0 ? elsewhere : [port.targetPort ?? port.number];
      });
      return spec.hosts.map((host) => ({ host: host.toLowerCase(), name, namespace, ports, headless: false }));
    });
  const byHost = new Map([...entries, ...services].map((one) => [one.host, one]));
  return [...byHost.values()].sort((a, b) => compareText(a.host, b.host));
}
