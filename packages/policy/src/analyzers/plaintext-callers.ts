import type { PolicySource } from '../kinds/authorization-policy-schema.ts';
import { peerAuthenticationsOf } from '../resolve/peer-authentication.ts';
import type { Analyzer } from './analyzer.ts';
import { elsewhere, type Policy, rulesOf, selectorOf, sourcesOf } from './policies.ts';

const SAYS_WHO = ['principals', 'namespaces', 'serviceAccounts', 'trustDomains'] as const satisfies readonly (keyof PolicySource)[];
const SAYS_WHO_NOT = [
  'notPrincipals',
  'notNamespaces',
  'notServiceAccounts',
  'notTrustDomains',
] as const satisfies readonly (keyof PolicySource)[];
const IDENTITY = /^source\.(?:principal|namespace|serviceAccount|trustDomain)$/;

/**
 * ALLOW rules whose only word on identity is who must not call (INM0401): a caller in plaintext has no identity, so that
 * no `not…` holds it back. Where only mutual TLS is taken there is no such caller.
 */
export const plaintextCallers: Analyzer = (world, tell) => {
  const peers = peerAuthenticationsOf(world.all('PeerAuthentication'), world.rootNamespace);
  const strict = (policy: Policy): boolean => {
    const { mode, ports } = peers.of(policy.metadata.namespace, selectorOf(policy));
    return mode === 'STRICT' && Object.values(ports).every((one) => one === 'STRICT');
  };
  for (const policy of world.all('AuthorizationPolicy')) {
    if (policy.spec.action !== 'ALLOW' || elsewhere(policy) || strict(policy)) continue;
    const warn = (path: readonly (string | number)[], field: string): void =>
      tell(
        policy,
        'warning',
        'INM0401',
        [...path, field],
        `${field} alone lets every caller in who comes without an identity, in plaintext`,
        'say who may call as well, such as principals: ["*"], or demand mutual TLS (PeerAuthentication STRICT)',
      );
    for (const rule of rulesOf(policy)) {
      const about = rule.value.when.filter(({ key }) => IDENTITY.test(key));
      if (about.some(({ values }) => values.length > 0)) continue;
      for (const { value, path } of sourcesOf(rule)) {
        const not = SAYS_WHO_NOT.find((field) => value[field].length > 0);
        if (not !== undefined && SAYS_WHO.every((field) => value[field].length === 0) && value.requestPrincipals.length === 0)
          warn(path, not);
      }
      const everySourceSaysWho =
        rule.value.from?.every(({ source }) => [...SAYS_WHO, 'requestPrincipals' as const].some((field) => source[field].length > 0)) ??
        false;
      const index = rule.value.when.findIndex(({ key }) => IDENTITY.test(key));
      if (index >= 0 && !everySourceSaysWho) warn([...rule.path, 'when', index], 'notValues');
    }
  }
};
