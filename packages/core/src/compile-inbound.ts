import type { InboundModel, InboundService, JwtRule, Model, MtlsMode } from '@inmesh/policy';
import type { Call } from './call.ts';
import type { Handler, Runtime } from './handler.ts';
import { compileCors, type CompiledCors } from './filters/cors.ts';
import { type Authorization, asksForPeer, compileAuthorization, decideConnection } from './inbound/authorization.ts';
import { createLedger } from './inbound/ledger.ts';
import { RbacStats } from './inbound/rbac-stats.ts';
import { NOBODY_VERIFIES } from './inbound/verified.ts';
import { type InboundInfo, silentRoute } from './observer.ts';
import type { AuditSink } from './ports/audit.ts';
import type { TokenVerifier, TokenVerifiers } from './ports/tokens.ts';
import type { Tracer } from './ports/tracer.ts';
import { type Addressed, HostTable } from './route/hosts.ts';
import { RouteTable } from './route/table.ts';
import type { InboundTable } from './inbound-table.ts';
import type { CallCount, Routed } from './routed.ts';
import { inboundStack } from './stack.ts';

/** What the inbound side of a snapshot is built from. */
export interface InboundTools {
  readonly runtime: Runtime;
  readonly calls: CallCount;
  readonly tokens: TokenVerifiers | undefined;
  readonly sinks: readonly AuditSink[];
  readonly tracer: Tracer | undefined;
}

export function compileInbound({ inbound, telemetry }: Model, { runtime, calls, tokens, sinks, tracer }: InboundTools): InboundTable {
  const authorization = compileAuthorization(inbound.authorization);
  const verifier = verifierOf(inbound.jwt, tokens, runtime);
  const ledger = createLedger(sinks, authorization, runtime.clock);
  const cors = corsOf(inbound);
  const rbac = runtime.lease('rbac', () => new RbacStats());
  const mtls = (port: number): MtlsMode => inbound.mtls.ports[port] ?? inbound.mtls.mode;
  const named = asksForPeer(inbound.authorization);

  // Most workloads accept no plain connections: compiled when the first comes.
  let forTcp: Authorization | undefined;
  const ports = new Map<number, Routed>();
  const compilePort = (port: number): Routed => {
    const service = serviceAt(inbound, port);
    const info: InboundInfo = {
      side: 'server',
      cluster: `inbound|${port}||`,
      port,
      service: service?.host ?? '',
      serviceName: service?.name ?? '',
      serviceNamespace: service?.namespace ?? '',
      // As Istio names the one route of an inbound listener.
      route: 'default',
      telemetry: telemetry.server,
    };
    const observer = runtime.observer.inbound?.(info) ?? silentRoute;
    const handler: Handler = inboundStack(
      {
        mtls: mtls(port),
        begin: tracer?.inbound(info),
        cors,
        jwt: inbound.jwt,
        verifier,
        authorization,
        ledger,
        stats: rbac.at(port),
      },
      runtime,
    );
    return { kind: 'route', handler, observer, calls };
  };
  return {
    mtls,
    asksForPeer: (port) => named || mtls(port) === 'STRICT',
    admit: (peer) => {
      const { localPort, principal } = peer.connection;
      if (principal === undefined && mtls(localPort) === 'STRICT') return { allowed: false, rule: '' };
      forTcp ??= compileAuthorization(inbound.authorization, 'tcp');
      return decideConnection(forTcp, peer);
    },
    rbac: () => rbac.view(),
    view: () => ({
      mtls: inbound.mtls.mode,
      mtlsPorts: inbound.mtls.ports,
      policies: inbound.authorization.length,
      tokens: inbound.jwt.length === 0 ? 'not looked at' : tokens === undefined ? 'refused' : 'verified',
    }),
    receive: (port) => {
      // Ports are those this process listens on: few, and known only when the first call comes.
      let routed = ports.get(port);
      if (routed === undefined) ports.set(port, (routed = compilePort(port)));
      return routed;
    },
  };
}

/** The service whose callers come in at a port. */
function serviceAt({ services }: InboundModel, port: number): InboundService | undefined {
  return services.find(({ ports }) => ports?.includes(port)) ?? services.find(({ ports }) => ports === null);
}

/** The cross-origin rules of the route a call matches; undefined if nobody has any. */
export function corsOf({ cors }: InboundModel): ((call: Call) => CompiledCors | undefined) | undefined {
  if (cors.every((route) => route.cors === null)) return undefined;
  const byHosts = new Map<string, (typeof cors)[number][]>();
  for (const route of cors) {
    const key = JSON.stringify(route.domains);
    byHosts.set(key, [...(byHosts.get(key) ?? []), route]);
  }
  const hosts = [...byHosts.values()].map((routes): Addressed<RouteTable<{ readonly cors: CompiledCors | undefined }>> => ({
    domains: routes[0]!.domains,
    port: null,
    value: new RouteTable(
      routes.map((route) => ({
        match: route.match,
        value: { cors: route.cors === null ? undefined : compileCors(route.cors, route.resource) },
      })),
    ),
  }));
  const table = new HostTable(hosts);
  return (call) => table.find(call.host, call.port)?.find(call)?.cors;
}

/** Keys once fetched stay with the rules, whatever else of the policy changes. */
function verifierOf(rules: readonly JwtRule[], tokens: TokenVerifiers | undefined, runtime: Runtime): TokenVerifier | undefined {
  if (rules.length === 0) return undefined;
  if (tokens === undefined) return NOBODY_VERIFIES;
  const { clock, random, observer } = runtime;
  return runtime.lease(
    `tokens ${JSON.stringify(rules)}`,
    () => tokens.prepare(rules, { clock, random, onEvent: (event) => observer.event(event) }),
    (verifier) => verifier.close(),
  );
}
