import * as v from 'valibot';
import { meshConfig, type MeshConfigSpec } from '../kinds/mesh-config.ts';
import type { RetryPolicy, Settings } from '../model.ts';
import { byAge } from './order.ts';
import type { Registry } from './registry.ts';
import { convert, DEFAULT_RETRIES } from './retries.ts';

/** Settings of the mesh with every default filled in; what resolve itself needs of them beside what the model says. */
export interface Mesh {
  readonly config: MeshConfigSpec;
  /** Retries of a route that says nothing; null: none. */
  readonly retries: RetryPolicy | null;
}

const DEFAULTS = v.parse(meshConfig.schema, {});

/** A document has one MeshConfig; of several the oldest holds. */
export function meshOf(registry: Registry): Mesh {
  const config = registry.of('MeshConfig').toSorted((a, b) => byAge(a.metadata, b.metadata))[0]?.spec ?? DEFAULTS;
  return { config, retries: config.defaultHttpRetryPolicy === undefined ? DEFAULT_RETRIES : convert(config.defaultHttpRetryPolicy) };
}

/** The settings as the model carries them. A Sidecar may decide about unknown hosts. */
export const settingsOf = ({ config }: Mesh, outboundTrafficPolicy: Settings['outboundTrafficPolicy'] | undefined): Settings => ({
  rootNamespace: config.rootNamespace,
  domain: config.domain,
  trustDomain: config.trustDomain,
  trustDomainAliases: config.trustDomainAliases,
  outboundTrafficPolicy: outboundTrafficPolicy ?? config.outboundTrafficPolicy.mode,
  enableAutoMtls: config.enableAutoMtls,
  dnsRefreshRateMs: config.dnsRefreshRate,
  pathNormalization: config.pathNormalization.normalization,
  alwaysEjectOne: config.alwaysEjectOne,
  connectionsPerEndpoint: config.connectionsPerEndpoint,
});
