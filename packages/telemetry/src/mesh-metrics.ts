import { type Clock, type RbacView, systemClock, type UpstreamView } from '@inmesh/core';
import type { MetricSource } from './exposition.ts';
import { healthFamilies, type MeshHealth } from './health.ts';
import { rbacFamilies } from './rbac.ts';
import { UpstreamMetrics } from './upstream.ts';

/** A mesh, as metrics look at it at each scrape. */
export interface MeshLook {
  readonly upstream: () => readonly UpstreamView[];
  readonly rbac: () => readonly RbacView[];
  /** undefined: it has not started yet. */
  readonly health: () => MeshHealth | undefined;
  readonly clock?: Clock;
}

/** What nobody tells, since it is there to be looked at: clusters' statistics, decisions about callers, how policy and registries stand. */
export function meshMetrics({ upstream, rbac, health, clock = systemClock }: MeshLook): MetricSource {
  const clusters = new UpstreamMetrics(upstream);
  return {
    families: () => {
      const standing = health();
      return [...clusters.families(), ...rbacFamilies(rbac()), ...(standing === undefined ? [] : healthFamilies(standing, clock))];
    },
  };
}
