import type { PeerRule } from '@inmesh/policy';
import type { Endpoint } from '../endpoint/endpoint.ts';
import { selects } from './cluster-members.ts';

/** The endpoints as callers have to meet them: in plaintext where the first rule that is for them turns mutual TLS off (PeerAuthentication DISABLE). */
export function obeyPeers(endpoints: readonly Endpoint[], rules: readonly PeerRule[]): readonly Endpoint[] {
  if (rules.length === 0) return endpoints;
  // Endpoints of a service are thousands in one namespace, or in a few; a mesh may have hundreds of rules for others.
  const byNamespace = new Map<string, readonly PeerRule[]>();
  const rulesIn = (where: string): readonly PeerRule[] => {
    let found = byNamespace.get(where);
    if (found === undefined) byNamespace.set(where, (found = rules.filter(({ namespace }) => namespace === null || namespace === where)));
    return found;
  };
  return endpoints.map((endpoint) =>
    endpoint.mtls && turnedOff(endpoint, rulesIn(endpoint.namespace)) ? { ...endpoint, mtls: false } : endpoint,
  );
}

function turnedOff(endpoint: Endpoint, rules: readonly PeerRule[]): boolean {
  const mtls = rules.find(({ labels }) => selects(labels, endpoint))?.mtls;
  return mtls !== undefined && (mtls.ports[endpoint.port] ?? mtls.mode) === 'DISABLE';
}
