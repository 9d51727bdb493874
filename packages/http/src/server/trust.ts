import type { HopProof, Mesh, Principal } from '@inmesh/core';
import type { InboundWiring } from './wiring.ts';

/** Istio's server takes callers of the mesh's own trust domain and its aliases. */
export function isTrusted({ trustDomain: domain }: Principal, { settings }: Mesh): boolean {
  return domain === settings.trustDomain || settings.trustDomainAliases.includes(domain);
}

/** Whom the hop tokens of this mesh prove; undefined: nobody asked for them. */
export function hopProof({ mesh, credentials }: InboundWiring): HopProof | undefined {
  const hops = credentials?.hops;
  if (hops === undefined) return undefined;
  return (token) => {
    const peer = hops.verify(token);
    if (!peer.ok || isTrusted(peer.principal, mesh)) return peer;
    return { ok: false, reason: `hop token: this mesh has no trust domain "${peer.principal.trustDomain}"` };
  };
}
