import type { Destination, Model, Route, VirtualHost } from '@inmesh/policy';
import type { Clock } from './clock.ts';
import { type Cluster, createCluster } from './cluster/cluster.ts';
import { leaseFeed } from './cluster/feed.ts';
import type { Deadlines } from './deadlines.ts';
import { staticResolver } from './endpoint/static.ts';
import { MeshError } from './errors.ts';
import { charging } from './filters/charge.ts';
import type { Handler, Runtime } from './handler.ts';
import type { Hash } from './hash.ts';
import type { LeaseBook } from './lease.ts';
import { type Observer, type RouteInfo, type RouteObserver, silentRoute } from './observer.ts';
import type { Resolver } from './ports/resolver.ts';
import { type Addressed, HostTable } from './route/hosts.ts';
import { RouteTable } from './route/table.ts';
import { trace } from './filters/trace.ts';
import { CallCount, type Routed } from './routed.ts';
import { type CompiledHost, Snapshot } from './snapshot.ts';
import { outboundStack } from './stack.ts';
import { compileInbound } from './compile-inbound.ts';
import type { AuditSink } from './ports/audit.ts';
import type { HealthChecks } from './ports/health.ts';
import type { TokenVerifiers } from './ports/tokens.ts';
import type { Tracer } from './ports/tracer.ts';

/** What stays the same from one snapshot to the next. */
export interface Compiler {
  readonly clock: Clock;
  readonly random: () => number;
  readonly observer: Observer;
  readonly deadlines: Deadlines;
  readonly hash: Hash;
  readonly leases: LeaseBook;
  readonly resolvers: readonly Resolver[];
  readonly health: HealthChecks | undefined;
  readonly tokens: TokenVerifiers | undefined;
  readonly sinks: readonly AuditSink[];
  readonly tracer: Tracer | undefined;
}

/**
 * Turns a model into a snapshot: every route's stack composed, every cluster tied to what was learned of it before.
 * Starts nothing and disturbs nothing: the snapshot in force serves meanwhile. `version` names the document.
 */
export function compile(model: Model, version: string, compiler: Compiler): Snapshot {
  const { clock, random, observer, deadlines, hash, tracer } = compiler;
  const leases = compiler.leases.scope();
  const runtimeAt = (place: string): Runtime => ({ clock, random, observer, deadlines, hash, lease: leases.at(place) });
  const calls = new CallCount();
  const services = new Map(model.services.map((service) => [service.host, service]));
  const resolvers = [staticResolver, ...compiler.resolvers];
  const clusters = new Map<string, Cluster>();

  try {
    for (const policy of model.clusters) {
      const service = services.get(policy.service);
      if (service === undefined) throw new MeshError('POLICY_INVALID', `cluster ${policy.name} is of a service the model does not hold`);
      const feed = leaseFeed(leases.at('endpoints'), service, policy.port, { resolvers, health: compiler.health, clock, random });
      const { peers, settings, workload } = model;
      const tools = { runtime: runtimeAt(policy.name), feed, peers, connectionsPerEndpoint: settings.connectionsPerEndpoint };
      clusters.set(policy.name, createCluster(policy, service, workload, tools));
    }
    const clusterOf = (name: string): Cluster | undefined => clusters.get(name);

    /** What is known of the calls of a route to a cluster; undefined where there is no cluster of ours. */
    const infoOf = (cluster: Cluster | undefined, name: string, host: string, route: string): RouteInfo => {
      const service = services.get(cluster?.policy.service ?? host);
      return {
        side: 'client',
        cluster: name,
        service: service?.host ?? host,
        serviceName: service?.name ?? host,
        serviceNamespace: service?.namespace ?? '',
        route,
        protocol: cluster?.policy.protocol === 'GRPC' ? 'grpc' : 'http',
        telemetry: model.telemetry.client,
      };
    };
    const hostOf = (host: VirtualHost): string => host.service ?? host.domains[0] ?? host.name;
    const infoFor = (host: VirtualHost, route: Route, destination: Destination | undefined): RouteInfo =>
      infoOf(clusterOf(destination?.cluster ?? ''), destination?.cluster ?? '', hostOf(host), route.name);
    /** Who counts the calls of a route to a cluster, and charges it with them. */
    const observerOf = (info: RouteInfo): RouteObserver => {
      const counting = observer.route(info);
      const cluster = clusterOf(info.cluster);
      return cluster === undefined ? counting : charging(cluster.stats, counting);
    };

    /** Refuses the calls of no route; they are counted, and have a place in their traces. */
    const refusing = (info: RouteInfo, handler: Handler): Routed => {
      const begin = tracer?.outbound(info);
      const traced = begin === undefined ? handler : trace.outbound!({ begin }, runtimeAt('refused'))(handler);
      return { kind: 'route', handler: traced, observer: observer.route(info), calls };
    };

    const compileHost = (host: VirtualHost): Addressed<CompiledHost> => {
      const routed = host.routes.map((route): Routed => {
        const first = route.action.kind === 'forward' ? route.action.destinations[0] : undefined;
        const info = infoFor(host, route, first);
        const routeObserver = observerOf(info);
        const handler = outboundStack({
          route,
          runtime: runtimeAt(`${host.name}/${route.name}`),
          observer: routeObserver,
          observerOf: (destination) => (destination === first ? routeObserver : observerOf(infoFor(host, route, destination))),
          begin: tracer?.outbound(info),
          clusterOf,
        });
        return { kind: 'route', handler, observer: routeObserver, calls };
      });
      return {
        domains: host.domains,
        port: host.port,
        value: {
          routes: new RouteTable(host.routes.map(({ match }, index) => ({ match, value: routed[index]! }))),
          unmatched: refusing(infoOf(undefined, '', hostOf(host), ''), noRoute(host)),
        },
      };
    };

    const outside = model.settings.outboundTrafficPolicy === 'ALLOW_ANY' ? 'PassthroughCluster' : 'BlackHoleCluster';
    const unknown = infoOf(undefined, outside, outside, outside);
    const outsideObserver = observer.route(unknown);
    return new Snapshot({
      version,
      model,
      hosts: new HostTable(model.hosts.map(compileHost)),
      clusters,
      inbound: compileInbound(model, { runtime: runtimeAt('inbound'), calls, tokens: compiler.tokens, sinks: compiler.sinks, tracer }),
      unknown:
        outside === 'PassthroughCluster'
          ? { kind: 'passthrough', handler: blackHole, observer: outsideObserver, calls }
          : refusing(unknown, blackHole),
      closed: { kind: 'route', handler: refuseClosed, observer: outsideObserver, calls },
      shut: { kind: 'route', handler: refuseClosed, observer: silentRoute, calls },
      calls,
      leases,
    });
  } catch (error) {
    leases.release();
    throw error;
  }
}

function noRoute(host: VirtualHost): Handler {
  return ({ call }) => {
    throw new MeshError(
      'NO_ROUTE',
      `no route of ${host.name} matches ${call.method} ${call.path} (${host.routes.length} looked at); inmesh explain tells why`,
    );
  };
}

const blackHole: Handler = ({ call }) => {
  throw new MeshError(
    'BLACK_HOLE',
    `the policy knows no host "${call.host}" on port ${call.port}, and outboundTrafficPolicy is REGISTRY_ONLY: declare it in a ServiceEntry`,
  );
};

const refuseClosed: Handler = () => {
  throw new MeshError('CLOSED', 'the mesh was closed');
};
