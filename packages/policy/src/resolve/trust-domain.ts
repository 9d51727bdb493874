import type { MeshConfigSpec } from '../kinds/mesh-config.ts';

/** In a rule it means the trust domain of the mesh, whatever its name is. */
const LOCAL = 'cluster.local';

type Domains = Pick<MeshConfigSpec, 'trustDomain' | 'trustDomainAliases'>;

const known = ({ trustDomain, trustDomainAliases }: Domains): readonly string[] => [...new Set([trustDomain, ...trustDomainAliases])];

/**
 * Principals with those that mean the same under the other names of the trust domain (Istio trustdomain/bundle.go). Only
 * the whole form `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT` is renamed; patterns that begin or end elsewhere stay as they are.
 */
export function expandPrincipals(principals: readonly string[], domains: Domains): readonly string[] {
  const names = known(domains);
  return principals.flatMap((principal) => {
    const parts = principal.split('/');
    const domain = parts[0] ?? '';
    if (parts.length !== 5) return [principal];
    const rest = principal.slice(domain.length);
    const fits = (name: string): boolean => name === domain || (domain.startsWith('*') && name.endsWith(domain.slice(1)));
    if (domain !== LOCAL && !names.some(fits)) return [principal];
    // A wildcard covers the names it fits, and the others stand for the same callers.
    return [...new Set(names.map((name) => `${domain.startsWith('*') && fits(name) ? domain : name}${rest}`))];
  });
}

/** Trust domains by name with the other names of the mesh's own. */
export function expandTrustDomains(trustDomains: readonly string[], domains: Domains): readonly string[] {
  const names = known(domains);
  return trustDomains.flatMap((domain) => (domain === LOCAL || names.includes(domain) ? names : [domain]));
}
