import { byAge, labelOf } from '../resolve/order.ts';
import type { Analyzer } from './analyzer.ts';

/** Several VirtualServices for one host: they are not merged, the oldest governs alone (IST0109). */
export const conflictingHosts: Analyzer = (world, tell) => {
  const holders = new Map<string, { readonly exportTo: readonly string[]; readonly label: string; readonly namespace: string }[]>();
  for (const rule of world.all('VirtualService').toSorted((a, b) => byAge(a.metadata, b.metadata))) {
    const { hosts, gateways, exportTo } = rule.spec;
    if (gateways.length > 0 && !gateways.includes('mesh')) continue;
    const { namespace } = rule.metadata;
    for (const [index, written] of hosts.entries()) {
      const host = world.host(written, namespace);
      const others = holders.get(host) ?? [];
      const winner = others.find((other) => seenTogether(other, { exportTo, namespace }));
      if (winner !== undefined)
        tell(
          rule,
          'warning',
          'IST0109',
          ['spec', 'hosts', index],
          `${winner.label} is for "${host}" too; it is older and governs alone, nothing of this resource holds for that host`,
          'write the rules into one VirtualService, or delegate',
        );
      holders.set(host, [...others, { exportTo, namespace, label: labelOf(rule) }]);
    }
  }
};

interface Seen {
  readonly exportTo: readonly string[];
  readonly namespace: string;
}

/** There is a namespace that sees both. */
function seenTogether(a: Seen, b: Seen): boolean {
  const [one, other] = [a, b].map(
    ({ exportTo, namespace }) => new Set(exportTo.length === 0 ? ['*'] : exportTo.map((target) => (target === '.' ? namespace : target))),
  );
  if (one === undefined || other === undefined) return false;
  return one.has('*') || other.has('*') || [...one].some((target) => other.has(target));
}
