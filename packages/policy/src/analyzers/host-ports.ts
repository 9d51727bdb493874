import type { Analyzer } from './analyzer.ts';
import { operationsOf, rulesOf } from './policies.ts';

/**
 * Hosts without their port (INM0402, ISTIO-SECURITY-2021-008): callers choose whether they write one, and `example.com`
 * does not match `example.com:8080`. Where the host is to be kept out, that is a way around the rule.
 */
export const hostPorts: Analyzer = (world, tell) => {
  for (const policy of world.all('AuthorizationPolicy'))
    for (const rule of rulesOf(policy))
      for (const { value, path } of operationsOf(rule))
        for (const field of ['hosts', 'notHosts'] as const)
          for (const [index, host] of value[field].entries()) {
            const open = host.endsWith('*') || host.includes(':');
            if (open || value[field].some((other) => other.toLowerCase().startsWith(`${host.toLowerCase()}:`))) continue;
            const keepsOut = (policy.spec.action === 'ALLOW') === (field === 'notHosts');
            tell(
              policy,
              keepsOut ? 'warning' : 'info',
              'INM0402',
              [...path, field, index],
              `"${host}" does not match the same host with a port, which ${keepsOut ? 'gets around the rule' : 'callers may write'}`,
              host.startsWith('*') ? `add "${host}:PORT" for each port` : `write both: "${host}", "${host}:*"`,
            );
          }
};
