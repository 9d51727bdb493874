import { REQUESTS, type Sample } from './sample.ts';
import type { Process, World } from './world.ts';

/** One destination of a route that has several. */
export interface Split {
  readonly process: Process;
  readonly host: string;
  readonly route: string;
  readonly resource: string | null;
  readonly service: string;
  readonly subset: string | null;
  /** 0–1. */
  readonly wanted: number;
  /** 0–1 of the calls to these destinations in the window; null: metrics cannot tell them apart, or there were none. */
  readonly seen: number | null;
  /** Further apart than chance would explain. */
  readonly off: boolean;
}

/** Weights as the policy wants them, beside what the metrics saw. */
export function splitsOf({ processes, rates, windowMs }: World): Split[] {
  const once = new Set<string>();
  return processes.flatMap((process) =>
    (process.snapshot?.hosts ?? []).flatMap((host) =>
      host.routes.flatMap((route) => {
        if (route.action.kind !== 'forward' || route.action.destinations.length < 2) return [];
        const { destinations } = route.action;
        // A host without a port is in the model once for each port it may be called on, and replicas obey one document: unless one of them
        // has not got it yet.
        const weights = destinations.map(({ cluster, weight }) => `${cluster} ${weight}`);
        const { workload } = process.status ?? {};
        const who = workload === undefined ? process.base : `${workload.namespace}/${workload.name}`;
        const id = [who, host.service ?? host.name, route.resource, route.name, ...weights].join(' ');
        if (once.has(id)) return [];
        once.add(id);
        const total = destinations.reduce((sum, { weight }) => sum + weight, 0);
        const mine = rates.filter(({ name, labels }) => name === REQUESTS && labels['reporter'] === 'source' && isOf(process, labels));
        const counts = destinations.map(({ cluster }) => {
          const policy = process.snapshot!.clusters.find(({ name }) => name === cluster);
          return policy === undefined ? null : seenAt(mine, policy.service, policy.labels);
        });
        const all = counts.includes(null) ? 0 : counts.reduce<number>((sum, value) => sum + value!, 0);
        return destinations.map(({ cluster, weight }, at) => {
          const [, , subset = '', service = cluster] = cluster.split('|');
          const wanted = weight / total;
          const seen = all > 0 ? counts[at]! / all : null;
          const calls = all * (windowMs / 1000);
          const off = seen !== null && calls >= 30 && Math.abs(seen - wanted) > 4 * Math.sqrt((wanted * (1 - wanted)) / calls) + 0.02;
          return {
            process,
            host: host.service ?? host.name,
            route: route.name,
            resource: route.resource,
            service,
            subset: subset || null,
            wanted,
            seen,
            off,
          };
        });
      }),
    ),
  );
}

/** Of this process's calls, where the metrics are those of many. */
const isOf = ({ status }: Process, labels: Sample['labels']): boolean =>
  status === undefined ||
  (labels['source_workload'] === status.workload.name && labels['source_workload_namespace'] === status.workload.namespace);

/** Calls to the endpoints with these labels, as far as Istio's labels tell; null: they do not. */
function seenAt(rates: readonly Sample[], service: string, labels: Readonly<Record<string, string>>): number | null {
  const { version, app, ...others } = labels;
  if (Object.keys(others).length > 0) return null;
  return rates
    .filter(
      ({ labels: own }) =>
        own['destination_service'] === service &&
        (version === undefined || own['destination_version'] === version || own['destination_canonical_revision'] === version) &&
        (app === undefined || (own['destination_app'] ?? app) === app),
    )
    .reduce((sum, { value }) => sum + value, 0);
}
