import type { Analyzer } from './analyzer.ts';
import { destinationsOf } from './destinations.ts';

/** Destinations, DestinationRules and HedgePolicies for hosts that no Service or ServiceEntry declares (IST0101, IST0174). */
export const unknownHosts: Analyzer = (world, tell) => {
  for (const rule of world.all('VirtualService'))
    for (const { destination, path } of destinationsOf(rule.spec)) {
      const host = world.host(destination.host, rule.metadata.namespace);
      if (world.missing(host))
        tell(rule, 'warning', 'IST0101', [...path, 'host'], `no service "${host}" is declared`, hintFor(destination.host, host));
    }
  for (const rule of [...world.all('DestinationRule'), ...world.all('HedgePolicy')]) {
    const host = world.host(rule.spec.host, rule.metadata.namespace);
    if (world.missing(host))
      tell(rule, 'warning', 'IST0174', ['spec', 'host'], `no service "${host}" is declared`, hintFor(rule.spec.host, host));
  }
};

const hintFor = (written: string, host: string): string =>
  written.includes('.') && !written.startsWith('*') && !written.includes('.svc') && host.split('.').length === 2
    ? `a rule may write "${written.split('.')[0]}" for its own namespace only; write the full name of the service`
    : 'calls drawn to it are answered with 503; declare a Service or ServiceEntry, or correct the name';
