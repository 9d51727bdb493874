import type { PolicyOperation, PolicySource } from '../kinds/authorization-policy-schema.ts';
import type { Analyzer } from './analyzer.ts';
import { rulesOf } from './policies.ts';

const PEER = [
  'principals', 'notPrincipals', 'namespaces', 'notNamespaces', 'serviceAccounts', 'notServiceAccounts', 'trustDomains', 'notTrustDomains',
  'ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks',
] as const satisfies readonly (keyof PolicySource)[]; // prettier-ignore
const PORT = ['ports', 'notPorts'] as const satisfies readonly (keyof PolicyOperation)[];

/** DENY rules of HTTP conditions only (IST0133, as Istio's validation warns): on raw TCP nothing of them is left, so they refuse every connection. */
export const tcpDenied: Analyzer = (world, tell) => {
  for (const policy of world.all('AuthorizationPolicy')) {
    if (policy.spec.action !== 'DENY') continue;
    for (const { value, path } of rulesOf(policy)) {
      const { from = [], to = [] } = value;
      const peer = from.some(({ source }) => PEER.some((field) => source[field].length > 0));
      const port = to.some(({ operation }) => PORT.some((field) => operation[field].length > 0));
      if (to.length > 0 ? !port : from.length > 0 && !peer)
        tell(
          policy,
          'warning',
          'IST0133',
          path,
          'the rule asks for HTTP only, so it refuses every connection to the TCP ports of the workloads',
          'name the ports it is for in to.operation.ports',
        );
    }
  }
};
