import type { PeerRule } from '@inmesh/policy';
import type { Endpoint } from '../endpoint/endpoint.ts';
import { selects } from './cluster-members.ts';

/** The endpoints as callers have to meet them: in plaintext where the first rule that is for them turns mutual TLS off (PeerAuthentication DISABLE). */
export function obeyPeers(endpoints: readonly Endpoint[], rules: readonly PeerRule[]): readonly Endpoint[] {
  if (rules.length === 0) return endpoints;
  return endpoints.map((endpoint) => (endpoint.mtls && turnedOff(endpoint, rules) ? { ...endpoint, mtls: false } : endpoint));
}

function turnedOff(endpoint: Endpoint, rules: readonly PeerRule[]): boolean {
  const rule = rules.find(({ namespace, labels }) => (namespace === null || namespace === endpoint.namespace) && selects(labels, endpoint));
  return rule !== undefined && (rule.mtls.ports[endpoint.port] ?? rule.mtls.mode) === 'DISABLE';
}
