import type { ClusterPolicy, Destination, Model, Route, VirtualHost } from './model.ts';
import type { Objective } from './telemetry.ts';

/** An objective whose enforcement holds. */
export interface Enforced {
  readonly objective: Objective;
  /** The model in force when it began: what `freezeWeights` holds on to. */
  readonly before: Model;
}

/**
 * What becomes of a model while objectives are enforced. `tightenRetries`: calls to the service are neither retried nor hedged.
 * `freezeWeights`: splits towards it are those of the model in force when it began, whatever the document says now. Every route that is
 * changed says so in `why`. Without anything to do the model itself is returned.
 */
export function constrain(model: Model, enforced: readonly Enforced[]): Model {
  return enforced.reduce((changed, { objective, before }) => {
    const actions = new Set(objective.enforcement?.actions);
    const frozen = actions.has('freezeWeights') ? freezeWeights(changed, objective, before) : changed;
    return actions.has('tightenRetries') ? tightenRetries(frozen, objective) : frozen;
  }, model);
}

function tightenRetries(model: Model, objective: Objective): Model {
  const towards = targets(model, objective.service);
  const because = `${objective.resource} burns its budget: calls to ${objective.service} are not sent again`;
  const routes = withRoutes(model, (route) => (forwardsTo(route, towards) ? { ...route, retries: null, why: [...(route.why ?? []), because] } : route));
  const clusters = model.clusters.map((cluster) => (cluster.service === objective.service && cluster.hedging.length > 0 ? { ...cluster, hedging: [] } : cluster));
  return { ...routes, clusters };
} // prettier-ignore

function freezeWeights(model: Model, objective: Objective, before: Model): Model {
  const towards = new Set([...targets(model, objective.service), ...targets(before, objective.service)]);
  // Of several for the same calls the first decides: it is set last.
  const splits = new Map(before.hosts.flatMap((host) => host.routes.map((route) => [placeOf(host, route), route] as const)).reverse());
  const services = new Set(model.services.map(({ host }) => host));
  const earlier = new Map(before.clusters.map((cluster) => [cluster.name, cluster]));
  const clusters = new Map(model.clusters.map((cluster) => [cluster.name, cluster]));

  /** Whether calls can still go there; a cluster that no route names any more is taken from the earlier model. */
  const reachable = ({ cluster, missing }: Destination): boolean => {
    const policy = clusters.get(cluster) ?? earlier.get(cluster);
    return missing !== null || (policy !== undefined && services.has(policy.service));
  };
  const frozen = withRoutes(model, (route, host) => {
    const was = splits.get(placeOf(host, route));
    if (route.action.kind !== 'forward' || was?.action.kind !== 'forward') return route;
    const [now, then] = [route.action.destinations, was.action.destinations];
    const isSplit = now.length > 1 || then.length > 1;
    if (!isSplit || sameSplit(now, then) || ![...now, ...then].some(({ cluster }) => towards.has(cluster))) return route;
    if (!then.every(reachable)) return route;
    for (const { cluster } of then) if (!clusters.has(cluster) && earlier.has(cluster)) clusters.set(cluster, earlier.get(cluster)!);
    const destinations = then.map((old) => ({ ...(now.find(({ cluster }) => cluster === old.cluster) ?? old), weight: old.weight }));
    const because = `${objective.resource} burns its budget: the weights stay as they were when that began (${weightsOf(then)}), the document says ${weightsOf(now)}`;
    return { ...route, action: { kind: 'forward', destinations }, why: [...(route.why ?? []), because] };
  });
  return clusters.size === model.clusters.length ? frozen : { ...frozen, clusters: [...clusters.values()].sort(byName) };
}

/** Routes keep their identity where nothing changes. */
function withRoutes(model: Model, change: (route: Route, host: VirtualHost) => Route): Model {
  let changed = false;
  const hosts = model.hosts.map((host) => {
    const routes = host.routes.map((route) => change(route, host));
    if (routes.every((route, index) => route === host.routes[index])) return host;
    changed = true;
    return { ...host, routes };
  });
  return changed ? { ...model, hosts } : model;
}

/** Clusters of a service. */
const targets = ({ clusters }: Model, service: string): ReadonlySet<string> =>
  new Set(clusters.filter((cluster) => cluster.service === service).map(({ name }) => name));

const forwardsTo = ({ action, retries }: Route, clusters: ReadonlySet<string>): boolean =>
  retries !== null && action.kind === 'forward' && action.destinations.some(({ cluster }) => clusters.has(cluster));

/** Where calls come to a split: the same calls of the same host. Its name, and the resource it is written in, may change. */
const placeOf = ({ name }: VirtualHost, { match }: Route): string => `${name} ${JSON.stringify(match)}`;

const sameSplit = (a: readonly Destination[], b: readonly Destination[]): boolean => weightsOf(a) === weightsOf(b);

const weightsOf = (destinations: readonly Destination[]): string =>
  destinations
    .map(({ cluster, weight }) => `${weight} to ${cluster}`)
    .sort()
    .join(', ');

const byName = (a: ClusterPolicy, b: ClusterPolicy): number => (a.name < b.name ? -1 : 1);
