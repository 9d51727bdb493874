import type { Analyzer } from './analyzer.ts';
import { destinationsOf } from './destinations.ts';

/** Destinations, objectives, DestinationRules and HedgePolicies for hosts that no Service or ServiceEntry declares (IST0101, IST0174). */
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
  for (const objective of world.all('ServiceLevelObjective')) {
    const host = world.host(objective.spec.service, objective.metadata.namespace);
    if (world.missing(host))
      tell(
        objective,
        'warning',
        'IST0101',
        ['spec', 'service'],
        `no service "${host}" is declared`,
        'nothing is counted for it; declare a Service or ServiceEntry, or correct the name',
      );
  }
};

const hintFor = (written: string, host: string): string =>
  written.includes('.') && !written.startsWith('*') && !written.includes('.svc') && host.split('.').length === 2
    ? `a rule may write "${written.split('.')[0]}" for its own namespace only; write the full name of the service`
    : 'calls drawn to it are answered with 503; declare a Service or ServiceEntry, or correct the name';
