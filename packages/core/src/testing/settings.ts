import type { Settings } from '@inmesh/policy';

/** Istio's defaults. */
export const testSettings = (settings: Partial<Settings> = {}): Settings => ({
  rootNamespace: 'istio-system',
  domain: 'cluster.local',
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
  outboundTrafficPolicy: 'ALLOW_ANY',
  enableAutoMtls: true,
  dnsRefreshRateMs: 60_000,
  pathNormalization: 'BASE',
  alwaysEjectOne: true,
  connectionsPerEndpoint: 128,
  ...settings,
});
