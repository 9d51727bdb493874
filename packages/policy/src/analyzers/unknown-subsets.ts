import { covers } from '../resolve/hosts.ts';
import type { Analyzer } from './analyzer.ts';
import { destinationsOf } from './destinations.ts';

/** Destinations with a subset that no DestinationRule of the host defines (IST0101). */
export const unknownSubsets: Analyzer = (world, tell) => {
  const exact = new Map<string, Set<string>>();
  const wild: { readonly host: string; readonly subsets: ReadonlySet<string> }[] = [];
  for (const { spec, metadata } of world.all('DestinationRule')) {
    const host = world.host(spec.host, metadata.namespace);
    const subsets = spec.subsets.map(({ name }) => name);
    if (host.startsWith('*')) wild.push({ host, subsets: new Set(subsets) });
    else exact.set(host, new Set([...(exact.get(host) ?? []), ...subsets]));
  }
  for (const rule of world.all('VirtualService'))
    for (const { destination, path } of destinationsOf(rule.spec)) {
      const { subset } = destination;
      if (subset === undefined) continue;
      const host = world.host(destination.host, rule.metadata.namespace);
      if (exact.get(host)?.has(subset) === true || wild.some((one) => covers(one.host, host) && one.subsets.has(subset))) continue;
      const known = [...(exact.get(host) ?? [])];
      tell(
        rule,
        'warning',
        'IST0101',
        [...path, 'subset'],
        `no DestinationRule defines subset "${subset}" of ${host}`,
        known.length > 0
          ? `its subsets are ${known.join(', ')}`
          : 'calls drawn to it are answered with 503; add a DestinationRule with the subset',
      );
    }
};
