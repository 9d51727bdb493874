import type { Clock } from '@inmesh/core';
import { LabelSet, type MetricFamily, single } from './exposition.ts';

/** How what the mesh lives on stands at a moment. Moments are milliseconds since 1970. */
export interface MeshHealth {
  readonly policy: { readonly version: string; readonly appliedAt: number };
  /** `failingSince`: 0 while it answers. */
  readonly source: { readonly failingSince: number };
  /** '' = nothing is wrong. */
  readonly registries: readonly { readonly name: string; readonly trouble: string }[];
  /** null: nobody. `expiresAt`: 0 until there is a certificate. */
  readonly identity: { readonly principal: string; readonly expiresAt: number; readonly trouble: string } | null;
}

/** Policy, registries and identity as gauges, for alerts on what is old, gone, or about to expire. */
export function healthFamilies({ policy, source, registries, identity }: MeshHealth, clock: Clock): MetricFamily[] {
  const now = clock.wall();
  const stale = source.failingSince === 0 ? 0 : Math.max(0, now - source.failingSince) / 1000;
  const families: MetricFamily[] = [
    {
      name: 'inmesh_policy_info',
      type: 'gauge',
      help: '1, with the version of the policy in force.',
      samples: [{ labels: new LabelSet({ version: policy.version }), value: 1 }],
    },
    single('inmesh_policy_age_seconds', 'gauge', 'Seconds since the policy in force was applied.', Math.max(0, now - policy.appliedAt) / 1000),
    single('inmesh_policy_source_up', 'gauge', '1 while the source of the policy answers.', Number(source.failingSince === 0)),
    single('inmesh_policy_stale_seconds', 'gauge', 'Seconds for which the source of the policy has not answered; 0 while it does.', stale),
    {
      name: 'inmesh_registry_up',
      type: 'gauge',
      help: '1 while a registry of services and endpoints answers.',
      samples: registries.map(({ name, trouble }) => ({ labels: new LabelSet({ registry: name }), value: Number(trouble === '') })),
    },
  ]; // prettier-ignore
  if (identity === null) return families;
  families.push(single('inmesh_identity_source_up', 'gauge', '1 while certificates can be had.', Number(identity.trouble === '')));
  if (identity.expiresAt > 0)
    families.push({
      name: 'inmesh_identity_expiry_timestamp_seconds',
      type: 'gauge',
      help: 'When the certificate in use expires.',
      samples: [{ labels: new LabelSet({ principal: identity.principal }), value: identity.expiresAt / 1000 }],
    });
  return families;
}
